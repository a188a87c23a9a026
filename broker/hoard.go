package broker

import (
	"container/heap"
	"math"
	"sync"
	"time"
)

// always is a key that no channel's exceeds.
const always = math.MaxInt64

// hoard knows which channels can be made smaller or be forgotten, and in which
// order: by the time at which their newest message is too old. Among channels
// of one replay age these are first that were idle for the longest time.
//
// A channel is in the queue of the filled ones while it holds messages, and in
// that of the bare ones when nothing is left of it but its run status. Keys are
// brought up to date only when a channel comes to the front, so a publish does
// not touch the queues.
type hoard struct {
	mu     sync.Mutex
	filled queue // guarded by mu
	bare   queue // guarded by mu
}

// entry is a channel's place in a queue.
type entry struct {
	// Static after construction.
	c    *channel
	bare bool  // of the queue of the bare ones
	key  int64 // milliseconds since the Unix epoch

	index int // in its queue, -1 when taken out; guarded by the hoard's mu
}

func (h *hoard) queue(e *entry) *queue {
	if e.bare {
		return &h.bare
	}
	return &h.filled
}

func (h *hoard) add(e *entry) *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	heap.Push(h.queue(e), e)
	return e
}

// remove takes e out, if it is in a queue. It may be nil.
func (h *hoard) remove(e *entry) {
	if e == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.index >= 0 {
		heap.Remove(h.queue(e), e.index)
	}
}

// popFilled takes out the first filled channel if its key is at most until; nil
// if there is none.
func (h *hoard) popFilled(until int64) *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.filled.pop(until)
}

// popBare takes out the first bare channel.
func (h *hoard) popBare() *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bare.pop(always)
}

// popOldest takes out the first channel of both queues.
func (h *hoard) popOldest() *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.filled) > 0 {
		if e := h.bare.pop(h.filled[0].key); e != nil {
			return e
		}
		return h.filled.pop(always)
	}
	return h.bare.pop(always)
}

// queue is a heap of channels, smallest key first.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].key < q[j].key }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.index = -1
	return e
}

func (q *queue) pop(until int64) *entry {
	if len(*q) == 0 || (*q)[0].key > until {
		return nil
	}
	return heap.Pop(q).(*entry)
}

// expiry is when the newest message of c is too old. The caller holds c.mu.
func (c *channel) expiry() int64 { return c.touched + c.log.limits.ageMillis() }

// keep puts c among the filled channels, once. The caller holds c.mu.
func (b *Broker) keep(c *channel) {
	if c.filled == nil {
		c.filled = b.hoard.add(&entry{c: c, key: c.expiry()})
	}
}

// sweep drops expired messages of idle channels and forgets the channels that
// are empty then. Busy channels drop theirs at each publish.
func (b *Broker) sweep(now time.Time) {
	for {
		e := b.hoard.popFilled(now.UnixMilli())
		if e == nil {
			return
		}
		e.c.mu.Lock()
		b.tidy(e.c, now)
		b.requeue(e, 0)
	}
}

// requeue puts the channel of e, which was taken out of its queue, where it now
// belongs, under a key of at least the given one, and unlocks c.mu, which the
// caller holds.
func (b *Broker) requeue(e *entry, atLeast int64) {
	c := e.c
	if e.bare {
		c.bare = nil
	} else {
		c.filled = nil
	}
	key := max(c.expiry(), atLeast)
	switch {
	case c.gone:
	case c.log.count > 0:
		if c.filled == nil {
			c.filled = b.hoard.add(&entry{c: c, key: key})
		}
	case c.run != nil && c.bare == nil:
		c.bare = b.hoard.add(&entry{c: c, key: key, bare: true})
	}
	c.mu.Unlock()
	b.forget(c)
}

// forget removes c if nobody can want anything of it.
func (b *Broker) forget(c *channel) {
	reason := gapExpired
	if b.kept {
		reason = gapNone // the engine knows what is lost
	}
	b.remove(c, reason, func() bool { return !c.empty() })
}

// remove takes c out of the registry and of the queues, see registry.remove. It
// returns the streams that named it and whether it was there.
func (b *Broker) remove(c *channel, reason gapReason, unless func() bool) (named []*Stream, removed bool) {
	freed, named, removed := b.registry.remove(c, reason, unless)
	if !removed {
		return nil, false
	}
	b.held.Add(-freed)
	c.mu.Lock()
	filled, bare := c.filled, c.bare
	c.filled, c.bare = nil, nil
	c.mu.Unlock()
	b.hoard.remove(filled)
	b.hoard.remove(bare)
	return named, true
}

// tries is how many channels with readers are looked at before it is given up
// to make room: a publish must not search for long.
const tries = 64

// shrink drops the messages of the channels that have been idle for the longest
// time, and forgets those with nothing but a run status, until all of them
// together fit into the memory they may take.
func (b *Broker) shrink(now time.Time) {
	for left := tries; left > 0 && b.held.Load() > b.opts.Memory; {
		e := b.hoard.popOldest()
		switch {
		case e == nil:
			return
		case !e.bare:
			b.evict(e, now)
		case !b.displace(e, now):
			left--
		}
	}
}

// evicted returns why messages are lost that are dropped for want of memory.
func (b *Broker) evicted() gapReason {
	if b.kept {
		return gapNone
	}
	return gapOverrun
}

// evict drops the messages of the channel of e, if it is its turn.
func (b *Broker) evict(e *entry, now time.Time) {
	c := e.c
	c.mu.Lock()
	if c.expiry() <= e.key { // else it was published to since
		b.stats.evictedChannels.Add(1)
		b.held.Add(-c.evict(now, b.evicted()))
	}
	b.requeue(e, 0)
}

// evict drops everything that c holds; the older half when it is so busy that
// its readers may not have seen the newest messages yet. The caller holds c.mu.
func (c *channel) evict(now time.Time, reason gapReason) (freed int64) {
	if now.UnixMilli()-c.touched > 1000 {
		return c.log.clear(reason)
	}
	before := c.log.bytes
	for range (c.log.count + 1) / 2 {
		c.log.drop(reason)
	}
	return before - c.log.bytes
}

// makeRoom forgets the channel that has been idle for the longest time and that
// nobody reads by name, those with nothing but a run status first. It reports
// whether there was one.
func (b *Broker) makeRoom(now time.Time) bool {
	for _, pop := range []func() *entry{b.hoard.popBare, func() *entry { return b.hoard.popFilled(always) }} {
		for range tries {
			e := pop()
			if e == nil {
				break
			}
			if b.displace(e, now) {
				return true
			}
		}
	}
	return false
}

// displace forgets the channel of e. One that was published to since, or that
// somebody reads by name, stays: a reader counts as if it were published to now,
// or it would be met first again.
func (b *Broker) displace(e *entry, now time.Time) bool {
	c := e.c
	read := false
	_, removed := b.remove(c, b.evicted(), func() bool {
		read = c.readers.hasNamed()
		return read || c.expiry() > e.key
	})
	if removed {
		b.stats.evictedChannels.Add(1)
		return true
	}
	c.mu.Lock()
	later := int64(0)
	if read {
		later = now.UnixMilli() + c.log.limits.ageMillis()
	}
	b.requeue(e, later)
	return false
}
