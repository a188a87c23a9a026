package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// herald tells the readers of channels that there is news. It is one goroutine:
// a publisher marks its channel and goes on, however many readers there are.
//
// It works in rounds, and a round starts no earlier than pace after the last
// one began: meanwhile messages gather that then leave together. When all was
// quiet for longer, it starts at once.
type herald struct {
	broker *Broker
	news   chan struct{} // capacity 1: there may be dirty channels or a new watermark

	mu    sync.Mutex
	dirty []*channel // guarded by mu

	// announced is a watermark: the readers of every channel with a message up
	// to here have been told of it. A stream that merges channels goes no
	// further, so that nothing older can reach it later.
	announced atomic.Uint64

	// restless is set while a channel may wait for an elder message to settle, in
	// whichever channel that is.
	restless atomic.Bool

	batch []*channel // owned by run
	woken []*Stream  // owned by run; each has its told flag set
}

func newHerald(b *Broker) *herald {
	return &herald{broker: b, news: make(chan struct{}, 1)}
}

// enqueue puts c into the next round, once. The caller holds c.mu.
func (h *herald) enqueue(c *channel) {
	if c.dirty {
		return
	}
	c.dirty = true
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirty = append(h.dirty, c)
}

// greet makes sure that a reader of c, which has just come, is told of
// everything in its log: the round that told of the newest messages may have
// passed the reader by and not have raised the watermark yet. The caller holds
// c.mu.
func (h *herald) greet(c *channel) {
	if c.log.last > h.announced.Load() {
		h.enqueue(c)
		h.call()
	}
}

// settled starts a round if one is needed: a publisher calls it after its position
// is settled, and says whether its channel waits for a round.
func (h *herald) settled(waits bool) {
	if waits || h.restless.Load() {
		h.call()
	}
}

// call starts a round.
func (h *herald) call() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// run works until stop is closed.
func (h *herald) run(stop <-chan struct{}) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		select {
		case <-stop:
			return
		case <-h.news:
		}
		began := time.Now()
		h.round()
		rest := h.broker.opts.Pace - time.Since(began)
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

// round tells the readers of every dirty channel, and only then raises the
// watermark and wakes them.
func (h *herald) round() {
	h.restless.Store(true)           // before the watermark is read: who settles after that calls
	mark := h.broker.seq.watermark() // before the queue is taken: what is below it is in the queue or told already
	h.mu.Lock()
	h.batch, h.dirty = h.dirty, h.batch[:0]
	h.mu.Unlock()

	for _, c := range h.batch {
		h.tell(c, mark)
	}
	clear(h.batch)
	h.announced.Store(mark)
	h.mu.Lock()
	if len(h.dirty) == 0 {
		h.restless.Store(false)
	}
	h.mu.Unlock()
	for _, s := range h.woken {
		s.told = false
		s.wake()
	}
	clear(h.woken)
	h.woken = h.woken[:0]
}

// tell marks c as news for its readers. If c has messages above the watermark
// it stays in the queue: their publishers call for another round. What was held
// for readers that have passed it, or have left, goes now.
func (h *herald) tell(c *channel, mark uint64) {
	c.mu.Lock()
	c.dirty = false
	if c.log.last > mark {
		h.enqueue(c)
	}
	c.log.joined = false
	c.mu.Unlock()

	floor := uint64(nobody)
	c.readers.each(func(s *Stream) {
		floor = min(floor, s.position.Load())
		s.pend(c)
		if !s.told {
			s.told = true
			h.woken = append(h.woken, s)
		}
	})

	c.mu.Lock()
	if !c.log.joined {
		c.log.floor = floor
	}
	if c.log.full() {
		c.log.passed, _ = c.readers.passed()
		h.broker.held.Add(-c.log.trim(time.Now().UnixMilli()))
	}
	c.giveRoom()
	c.mu.Unlock()
}
