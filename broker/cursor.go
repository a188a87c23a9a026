package broker

import (
	"container/heap"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/schemas"
)

// cursor is a stream's place in one shard: its position there, and what it asks for.
// Every message up to the position has been handed out, is not wanted, or was reported
// as lost.
//
// A cursor of one channel may go on to the head of that log. One that merges channels
// must not pass a position while an older message may still appear in another log, so
// it stops at the position that the notifier has announced.
//
// Its walk belongs to the stream's carrier alone. Others do little to a cursor: they
// mark channels as pending, queue messages that are out of order, read the position,
// and note that it is lagging.
type cursor struct {
	// Static after construction.
	stream *Stream
	shard  *shard
	filter *channelFilter   // what the stream asks for in this shard
	topics schemas.TopicSet // of its channel if single: sweeps ask for them often
	single bool             // exactly one channel, by name: no watermark is needed

	pace atomic.Int32 // one of the paces

	following atomic.Pointer[delivery.List] // nil: no message has been followed to it yet

	upstream *upstreamRead // what the engine delivers for it; set before anybody else knows the cursor

	start    atomic.Uint64 // position at which it began
	position atomic.Uint64 // written by the carrier alone

	mu        sync.Mutex
	pending   map[*channel]struct{} // guarded by mu; channels with news
	reordered *reordered            // guarded by mu; nil: no message has been out of order yet

	// Owned by the stream's carrier.
	arrival  *arrival             // nil once it is over
	sources  map[*channel]*source // channels that are being read
	reported uint64               // position that the client knows
	lossMark uint64               // the client was told of losses up to here, and its position must pass it; 0: nothing to pass
	skips    bool                 // it leaves messages out, so its position can move without the client noticing
	outrun   bool                 // what comes next is no longer in memory
	live     atomic.Bool          // what was there when it came has been handed out; others read it

	wakeQueued bool // owned by the shard's notifier: it will be woken at the end of the round
}

// The paces of a cursor.
const (
	keepingUp int32 = iota
	lagging         // its client accepted nothing at its turn: publishers do not wait for it until it has caught up
	departed        // it is not counted any more
)

func (c *cursor) isLagging() bool { return c.pace.Load() == lagging }

// fallBehind makes a cursor that keeps up one that is lagging, and reports whether it was
// the former.
func (c *cursor) fallBehind() bool {
	if !c.pace.CompareAndSwap(keepingUp, lagging) {
		return false
	}
	c.shard.broker.stats.lagging.Add(1)
	return true
}

// catchUp undoes fallBehind.
func (c *cursor) catchUp() {
	if c.isLagging() && c.pace.CompareAndSwap(lagging, keepingUp) {
		c.shard.broker.stats.lagging.Add(-1)
	}
}

// depart is catchUp for good.
func (c *cursor) depart() {
	if c.pace.Swap(departed) == lagging {
		c.shard.broker.stats.lagging.Add(-1)
	}
}

// arrival is what a cursor needs until its client has what was there when it came, and
// what that makes it leave out later.
type arrival struct {
	preamble cursorPreamble
	toldRuns map[*channel]uint64 // run messages that the preamble has told ahead of their turn
	hole     *hole               // a loss of any channel that the cursor has yet to pass; nil: none
	tell     func(int64, bool)   // as of [Subscription]; nil: nobody, or it was told
	joinedAt uint64              // watermark when it came: what there was up to here is in its sources or handed out
}

// over tells who wants to know that the client has what was there when the cursor came, or
// that it never will.
func (a *arrival) over(messages int64, complete bool) {
	if a != nil && a.tell != nil {
		a.tell(messages, complete)
		a.tell = nil
	}
}

// told returns the position of the run message of ch that the preamble has told, 0 if
// that is none.
func (a *arrival) told(ch *channel) uint64 {
	if a == nil {
		return 0
	}
	return a.toldRuns[ch]
}

// passedTold reports whether a cursor at the position is past every run message that
// the preamble has told.
func (a *arrival) passedTold(position uint64) bool {
	for _, told := range a.toldRuns {
		if position < told {
			return false
		}
	}
	return true
}

// continueArrival notes that the cursor has handed out everything up to its position.
func (c *cursor) continueArrival(b *Batch) {
	if c.arrival == nil {
		return
	}
	position := c.position.Load()
	if c.single || position >= c.arrival.joinedAt {
		c.live.Store(true)
		c.arrival.over(c.stream.messages+int64(b.Messages), true)
	}
	if c.live.Load() && c.arrival.passedTold(position) {
		c.arrival = nil
	}
}

// source is a channel that a cursor is reading.
type source struct {
	ring.Reader
	channel *channel
}

// fetch takes the next frames of the channel, see [ring.Reader.Fill].
func (src *source) fetch(position, limit uint64, maxBytes int) *ring.Gap {
	c := src.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	return src.Fill(&c.log, c.runFrame(), position, limit, maxBytes)
}

// markPending notes that ch has news.
func (c *cursor) markPending(ch *channel) {
	c.mu.Lock()
	if c.pending == nil {
		c.pending = make(map[*channel]struct{}, 1)
	}
	c.pending[ch] = struct{}{}
	behind := c.outlived(len(c.pending))
	if behind {
		clear(c.pending)
	}
	c.mu.Unlock()
	if behind {
		c.stream.End(SlowConsumer())
	}
}

// awaited reports whether publishers wait for the cursor when it is behind.
func (c *cursor) awaited(clock time.Duration) bool {
	if c.stream.away(clock) {
		c.fallBehind()
	}
	return !c.isLagging()
}

// collect puts what the cursor's channels have for the stream into b, in the order of
// positions and at most maxBytes but for the last message, and moves the position past
// it.
func (c *cursor) collect(b *Batch, maxBytes int) {
	limit := uint64(math.MaxUint64)
	if !c.single {
		limit = max(c.shard.notifier.announced.Load(), c.position.Load())
	}
	if c.lossMark > 0 && c.arrival != nil { // the notifier may have no reason to announce anything newer
		limit = max(limit, c.arrival.joinedAt)
	}
	c.deliverOutOfOrder(b)
	c.openSources()
	if b.measured && c.live.Load() {
		b.behind += c.behind()
	}
	if c.arrival != nil && c.arrival.hole != nil {
		bytes, done := c.walk(b, c.arrival.hole.upTo, maxBytes)
		if !done {
			return
		}
		c.passHole(b)
		maxBytes -= bytes
	}
	if _, done := c.walk(b, limit, maxBytes); done {
		c.arrive(limit)
		c.catchUp()
		c.confirmLosses(b)
		c.continueArrival(b)
	}
}

// walk is collect up to a limit. It returns how many bytes it put into b, and whether
// nothing more is left up to the limit.
func (c *cursor) walk(b *Batch, limit uint64, maxBytes int) (bytes int, done bool) {
	merge := c.fillSources(b, limit)
	for len(merge) > 0 && !c.outrun && bytes < maxBytes && b.Messages < maxBatchMessages {
		src := merge[0]
		bytes += c.handOut(b, src, merge.second())
		if src.Empty() {
			c.advance(b, src, limit)
		}
		if src.Empty() {
			heap.Pop(&merge)
		} else if len(merge) > 1 {
			heap.Fix(&merge, 0)
		}
	}
	return bytes, len(merge) == 0 && !c.outrun
}

// behind returns how many messages the channels have beyond the cursor's position, wanted
// or not.
func (c *cursor) behind() int {
	n, position := 0, c.position.Load()
	for ch := range c.sources {
		ch.mu.Lock()
		n += ch.log.Frames() - ch.log.After(position)
		ch.mu.Unlock()
	}
	return n
}

// maxAhead is how many bytes of messages a cursor may have taken out of the logs of its
// channels while its client accepts nothing more. The logs may drop them, and then they
// count nowhere else. Half of it is shared out to the sources, so that it suffices for
// ordinary messages: each source takes at least one, and exceeds its share by less than
// one.
const maxAhead = 256 << 10

// stall is called when the client accepts nothing more for now, or may not. If the
// sources have taken more than [maxAhead], they give it all back and take it again
// later, or find that it is lost.
func (c *cursor) stall() {
	ahead := 0
	for _, src := range c.sources {
		ahead += src.Ahead()
	}
	if ahead <= maxAhead {
		return
	}
	for _, src := range c.sources {
		src.GiveBack()
	}
}

// openSources turns the channels with news into sources.
func (c *cursor) openSources() {
	c.mu.Lock()
	for ch := range c.pending {
		if c.sources[ch] == nil {
			// The stream was there when the channel came, so what was lost before that
			// is no news to it.
			c.addSource(&source{ring.NewReader(c.filter.topics(ch.name), max(ch.born, c.knownLoss()), ch.coldAtStart.Load()), ch})
		}
	}
	clear(c.pending)
	c.mu.Unlock()
	if c.outlived(len(c.sources)) {
		clear(c.sources)
		c.stream.End(SlowConsumer())
	}
}

func (c *cursor) addSource(src *source) {
	if c.sources == nil {
		c.sources = make(map[*channel]*source, 1)
	}
	c.sources[src.channel] = src
}

// maxOutlived is how many forgotten channels a stream may still have to read.
const maxOutlived = 1000

// outlived reports whether a stream holds on to so many channels that more than
// maxOutlived of them must have been forgotten. Channels come and go faster than it
// reads, so it has to end. It resumes by id and is then told what it has missed.
func (c *cursor) outlived(channels int) bool {
	return channels > int(c.shard.registry.count.Load())+maxOutlived
}

// fillSources refills every empty source and returns those that have a frame, as a
// heap.
func (c *cursor) fillSources(b *Batch, limit uint64) sourceHeap {
	var m sourceHeap
	for _, src := range c.sources {
		if src.Empty() {
			c.advance(b, src, limit)
		}
		if !src.Empty() {
			m = append(m, src)
		}
	}
	heap.Init(&m)
	return m
}

// advance refills src. If something is lost, it tells the client.
func (c *cursor) advance(b *Batch, src *source, limit uint64) {
	gap := src.fetch(c.position.Load(), limit, max(1, maxAhead/2/len(c.sources)))
	c.deliverPassed(b, src.channel)
	switch {
	case gap == nil:
		return
	case gap.Reason == ring.Kept: // the client comes back, and what it needs is loaded then
		c.outrun = true
		c.stream.End(SlowConsumer())
		return
	}
	c.lossMark = max(c.lossMark, gap.Newest)
	if c.single { // no other channel has messages in the gap, so the position can pass it at once
		c.position.Store(max(c.position.Load(), gap.Behind))
	}
	// The id of the event is the cursor's position: other channels may have messages
	// between that and the position where this one resumes.
	b.add(c.gapEvent(schemas.Pattern(src.channel.name), c.at(gap.After), gap.Resumes, gap.Reason))
}

// handOut puts the next frame of src into b, as far as it stands for what is before the
// given position, and moves the cursor's position to it. It returns how many bytes that
// were.
func (c *cursor) handOut(b *Batch, src *source, before uint64) int {
	f := src.Next(before - 1)
	c.position.Store(f.Seq)
	if !c.single && c.handedOutBefore(f) {
		return 0
	}
	if f.Kind == schemas.KindRun && f.Seq <= c.arrival.told(src.channel) {
		c.skips = true
		return 0
	}
	event := f.In(c.stream.format)
	if c.stream.merges() {
		c.stream.report()
		event = f.WithID(c.stream.here(), c.stream.format)
	}
	if b.at == 0 && c.live.Load() {
		b.at = f.At
	}
	b.addMessage(event)
	c.reported = f.Seq
	return len(event)
}

// arrive moves the position to the limit, up to which all sources are empty, and drops
// the sources that have nothing beyond it. A cursor of one channel arrives at the head
// instead and keeps its source.
func (c *cursor) arrive(limit uint64) {
	if c.single {
		limit = c.position.Load()
		for _, src := range c.sources {
			limit = max(limit, src.Head())
		}
	}
	c.position.Store(limit)
	if c.single && len(c.sources) <= 1 {
		return
	}
	for ch, src := range c.sources {
		if src.Head() <= limit {
			delete(c.sources, ch)
		}
	}
}

// at returns the text of the stream's position when the cursor is at p.
func (c *cursor) at(p uint64) string {
	if !c.stream.merges() {
		return c.shard.idOf(p).String()
	}
	return c.stream.positionAt(c, p).String()
}

// runEnded reports whether the run of the cursor's one channel has a final status,
// which has been handed out.
func (c *cursor) runEnded() bool {
	name, _ := c.filter.selectors[0].Channel.Exact()
	ch := c.shard.registry.get(name)
	if ch == nil {
		return false
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.run != nil && ch.run.change.Status.Final() && ch.run.frame.Seq <= c.position.Load()
}

// moved reports whether the position has moved past messages that were left out,
// without the client knowing.
func (c *cursor) moved() bool { return c.position.Load() != c.reported && c.skips }

// releaseMemory frees what a burst has taken. With many streams that are quiet most of
// the time, that would be most of their memory.
func (c *cursor) releaseMemory() {
	c.dropPending()
	if len(c.sources) == 0 {
		c.sources = nil
	}
	for _, src := range c.sources {
		src.Release()
	}
}

// dropPending frees the set of pending channels if it is empty.
func (c *cursor) dropPending() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		c.pending = nil
	}
}

// sourceHeap is a heap of sources that are not empty, the oldest frame first.
type sourceHeap []*source

func (m sourceHeap) Len() int           { return len(m) }
func (m sourceHeap) Less(i, j int) bool { return m[i].Peek() < m[j].Peek() }
func (m sourceHeap) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// second returns the position at which the oldest frame of the sources other than the
// first begins; [ring.NoReader] if there is none.
func (m sourceHeap) second() uint64 {
	begins := uint64(ring.NoReader)
	for _, src := range m[1:min(len(m), 3)] {
		begins = min(begins, src.Peek())
	}
	return begins
}

// Push implements [heap.Interface].
func (m *sourceHeap) Push(x any) { *m = append(*m, x.(*source)) }

// Pop implements [heap.Interface].
func (m *sourceHeap) Pop() any {
	last := len(*m) - 1
	src := (*m)[last]
	*m = (*m)[:last]
	return src
}
