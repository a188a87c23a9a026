package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/internal/netpoll"
	"github.com/sluicehq/sluice/broker/ring"
)

// notifier tells the readers of a shard's channels that there is news. It is one
// goroutine. A publisher only marks its channel and goes on, however many readers there
// are.
//
// It works in rounds, see [notifier.round]. A round starts no earlier than the pace
// after the previous one began, so that messages gather meanwhile and leave together.
// If nothing was published for longer than that, it starts at once.
//
// A round also moves the position up to which merging streams may read. The order
// matters:
//
//  1. It reads the watermark of the sequence: every message up to there is in
//     its log.
//  2. It takes the queue of dirty channels. A publisher queues its channel
//     before it completes its position, so every channel with a message up to
//     the watermark is in this queue or was in an earlier one.
//  3. It marks these channels as pending with all their readers.
//  4. It announces the watermark, and only then wakes the readers.
//
// A stream that merges channels reads up to the announced position. Whatever lies below
// it, in any channel, is in a log and marked as pending, so nothing older can appear
// later. Announcing before marking would let a stream run past a message of a channel
// that it does not yet know to have news.
//
// A message above the watermark waits for another round. Its channel stays queued, and
// restless makes the publisher that completes the missing position start that round.
type notifier struct {
	shard *shard
	news  chan struct{} // capacity 1: there may be dirty channels or a new watermark

	mu    sync.Mutex
	dirty []*channel // guarded by mu

	// announced is a watermark: the readers of every channel with a message up to here
	// have been notified of it.
	announced atomic.Uint64

	// restless is set while a channel may be waiting for an older message, of any
	// channel, to complete.
	restless atomic.Bool

	// Owned by run.
	batch   []*channel
	woken   []*cursor        // each has wakeQueued set
	yielder *netpoll.Yielder // made when it is needed first
}

// wakeBatch is how many goroutines of streams are woken before publishers have their
// turn: what these publish meanwhile is sent together.
const wakeBatch = 32

func newNotifier(sh *shard) *notifier {
	return &notifier{shard: sh, news: make(chan struct{}, 1)}
}

// enqueue adds c to the next round, once. The caller holds c.mu.
func (n *notifier) enqueue(c *channel) {
	if c.dirty {
		return
	}
	c.dirty = true
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dirty = append(n.dirty, c)
}

// notifyNewReader makes sure that a reader of c that has just come is notified of
// everything in the log. The round for the newest messages may have missed the reader
// and not yet have raised the watermark. The caller holds c.mu.
func (n *notifier) notifyNewReader(c *channel) {
	if c.log.Last() > n.announced.Load() {
		n.enqueue(c)
		n.signal()
	}
}

// appended starts a round if one is needed. A publisher calls it once its position is
// complete, and says whether its channel waits for a round.
func (n *notifier) appended(waits bool) {
	if waits || n.restless.Load() {
		n.signal()
	}
}

// signal starts a round.
func (n *notifier) signal() {
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// run works until stop is closed.
func (n *notifier) run(stop <-chan struct{}) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	defer func() { n.yielder.Close() }()
	<-pause.C
	for {
		select {
		case <-stop:
			return
		case <-n.news:
		}
		began := time.Now()
		n.round()
		rest := n.shard.opts.Pace - time.Since(began)
		if rest <= 0 {
			continue
		}
		pause.Reset(rest)
		select {
		case <-stop:
			return
		case <-pause.C:
		}
	}
}

// round notifies the readers of every dirty channel, then raises the watermark, then
// wakes them.
func (n *notifier) round() {
	n.restless.Store(true)          // before the watermark is read: whoever completes a position after that starts a round
	mark := n.shard.seq.Watermark() // before the queue is taken: what is below it is in the queue, or was notified earlier
	n.mu.Lock()
	n.batch, n.dirty = n.dirty, n.batch[:0]
	n.mu.Unlock()

	for _, c := range n.batch {
		n.tell(c, mark)
	}
	clear(n.batch)
	n.announced.Store(mark)
	n.mu.Lock()
	if len(n.dirty) == 0 {
		n.restless.Store(false)
	}
	n.mu.Unlock()
	n.wakeAll()
}

// wakeAll wakes the streams of the cursors that were told something. If that takes long,
// it lets others run now and then. With very many goroutines that are ready, Go would
// not look for requests to read before all of them have run.
func (n *notifier) wakeAll() {
	running := 0
	for _, cu := range n.woken {
		cu.wakeQueued = false
		if !cu.stream.wake() {
			continue
		}
		if running++; running%wakeBatch == 0 {
			n.yield()
		}
	}
	clear(n.woken)
	n.woken = n.woken[:0]
}

// yield lets others run.
func (n *notifier) yield() {
	if n.yielder == nil {
		n.yielder, _ = netpoll.NewYielder() // without descriptors, nil is good enough
	}
	n.yielder.Yield()
}

// tell marks c as pending with its readers. If c has messages above the watermark, it
// stays in the queue. What the log held for readers that have passed it or left is
// dropped.
func (n *notifier) tell(c *channel, mark uint64) {
	c.mu.Lock()
	c.dirty = false
	if c.log.Last() > mark {
		n.enqueue(c)
	}
	c.log.BeginMeasure()
	c.mu.Unlock()

	floor := uint64(ring.NoReader)
	c.readers.each(func(cu *cursor) {
		floor = min(floor, cu.position.Load())
		cu.markPending(c)
		if !cu.wakeQueued {
			cu.wakeQueued = true
			n.woken = append(n.woken, cu)
		}
	})

	c.mu.Lock()
	c.log.EndMeasure(floor)
	if c.log.OverLimits() {
		c.log.Swept, _ = c.readers.swept()
		n.shard.logBytes.Add(-c.log.Trim(time.Now().UnixMilli()))
	}
	c.wakePublishers()
	c.mu.Unlock()
}
