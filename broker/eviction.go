package broker

import (
	"math"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/internal/evictqueue"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// anyKey exceeds the key of every channel.
const anyKey = math.MaxInt64

// evictions knows which channels can be made smaller or be forgotten, and in which
// order.
//
// A channel's key is the time at which its newest message becomes too old. Among
// channels with the same replay age, those that have been idle longest come first. A
// channel is in one of two queues: filled while it holds messages, bare once nothing is
// left of it but its run status.
//
// A publish does not touch the queues, so the key under which a channel waits may be
// outdated. Whoever takes a channel out compares the key with what it would be now, and
// puts the channel back if it was published to since. Between being taken out and put
// back, a channel is in no queue; [shard.requeue] ends that state.
type evictions struct {
	mu     sync.Mutex
	filled evictqueue.Queue[evictable] // guarded by mu
	bare   evictqueue.Queue[evictable] // guarded by mu
}

// evictable is a channel in a queue.
type evictable struct {
	c    *channel
	bare bool // it waits among the bare ones
}

// eviction is a channel's place in a queue; guarded by the mutex of the evictions.
type eviction = evictqueue.Item[evictable]

func (ev *evictions) queue(bare bool) *evictqueue.Queue[evictable] {
	if bare {
		return &ev.bare
	}
	return &ev.filled
}

func (ev *evictions) add(c *channel, key int64, bare bool) *eviction {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	return ev.queue(bare).Add(evictable{c, bare}, key)
}

// remove takes e out if it is still in its queue. e may be nil.
func (ev *evictions) remove(e *eviction) {
	if e == nil {
		return
	}
	ev.mu.Lock()
	defer ev.mu.Unlock()
	ev.queue(e.Value.bare).Remove(e)
}

// popFilled takes out the first filled channel if its key is at most until; nil if
// there is none.
func (ev *evictions) popFilled(until int64) *eviction {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	return ev.filled.Pop(until)
}

// popBare takes out the first bare channel; nil if there is none.
func (ev *evictions) popBare() *eviction {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	return ev.bare.Pop(anyKey)
}

// popOldest takes out the first channel of both queues; nil if they are empty.
func (ev *evictions) popOldest() *eviction {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	key, some := ev.filled.First()
	if !some {
		return ev.bare.Pop(anyKey)
	}
	if e := ev.bare.Pop(key); e != nil {
		return e
	}
	return ev.filled.Pop(anyKey)
}

// expiry returns when the newest message of c becomes too old, in Unix milliseconds.
// The caller holds c.mu.
func (c *channel) expiry() int64 { return c.touched + c.log.Limits.AgeMillis() }

// trackFilled puts c among the filled channels if it is not there yet. The caller holds
// c.mu.
func (sh *shard) trackFilled(c *channel) {
	if c.filled == nil {
		c.filled = sh.evictions.add(c, c.expiry(), false)
	}
}

// dropExpired drops expired messages of idle channels, and forgets channels that are
// empty then. Busy channels drop theirs with each publish.
func (sh *shard) dropExpired(now time.Time) {
	for {
		e := sh.evictions.popFilled(now.UnixMilli())
		if e == nil {
			return
		}
		e.Value.c.mu.Lock()
		sh.trim(e.Value.c, now)
		sh.requeue(e, 0)
	}
}

// requeue puts the channel of e, which was taken out of its queue, into the queue where
// it belongs now, with a key of at least atLeast. It unlocks c.mu, which the caller
// holds.
func (sh *shard) requeue(e *eviction, atLeast int64) {
	c := e.Value.c
	if e.Value.bare {
		c.bare = nil
	} else {
		c.filled = nil
	}
	key := max(c.expiry(), atLeast)
	switch {
	case c.gone:
	case c.log.Len() > 0:
		if c.filled == nil {
			c.filled = sh.evictions.add(c, key, false)
		}
	case c.run != nil && c.bare == nil:
		c.bare = sh.evictions.add(c, key, true)
	}
	c.mu.Unlock()
	sh.forget(c)
}

// forget removes c if nobody can want anything of it.
func (sh *shard) forget(c *channel) {
	sh.remove(c, sh.store.dropReason(ring.Expired), func() bool { return !c.empty() }, nil)
}

// remove takes c out of the registry and the queues, see [registry.remove]. It reports
// whether c was there.
func (sh *shard) remove(c *channel, reason ring.GapReason, unless func() bool, end *CloseReason) (removed bool) {
	freed, removed := sh.registry.remove(c, reason, unless, end)
	if !removed {
		return false
	}
	sh.logBytes.Add(-freed)
	c.mu.Lock()
	filled, bare := c.filled, c.bare
	c.filled, c.bare = nil, nil
	c.mu.Unlock()
	sh.evictions.remove(filled)
	sh.evictions.remove(bare)
	return true
}

// maxTries is how many channels with readers are looked at before making room is given
// up: a publish must not search for long.
const maxTries = 64

// shrink makes the logs fit into the memory they may take. Starting with the channels
// that have been idle longest, it drops messages and forgets channels with only a run
// status.
func (sh *shard) shrink(now time.Time) {
	for left := maxTries; left > 0 && sh.logBytes.Load() > sh.opts.Memory; {
		e := sh.evictions.popOldest()
		switch {
		case e == nil:
			return
		case !e.Value.bare:
			sh.evictMessages(e, now)
		case !sh.evictChannel(e, now):
			left--
		}
	}
}

// evictMessages drops the messages of the channel of e if its key is still right.
func (sh *shard) evictMessages(e *eviction, now time.Time) {
	c := e.Value.c
	c.mu.Lock()
	if c.expiry() <= e.Key { // else it was published to since
		sh.broker.stats.evictedChannels.Add(1)
		sh.logBytes.Add(-c.dropOldest(now, sh.store.dropReason(ring.Overrun)))
	}
	sh.requeue(e, 0)
}

// dropOldest drops everything that c holds. If c is so busy that its readers may not
// have seen the newest messages yet, it drops only the older half. The caller holds
// c.mu.
func (c *channel) dropOldest(now time.Time, reason ring.GapReason) (freed int64) {
	if now.UnixMilli()-c.touched > 1000 {
		return c.log.Clear(reason)
	}
	return c.log.Drop((c.log.Len()+1)/2, reason)
}

// makeRoom forgets one channel that nobody reads by name, so that another one can be
// created: one with only a run status if there is one, else the one that has been idle
// longest. It reports whether it found one.
func (sh *shard) makeRoom(now time.Time) bool {
	for _, pop := range []func() *eviction{sh.evictions.popBare, func() *eviction { return sh.evictions.popFilled(anyKey) }} {
		for range maxTries {
			e := pop()
			if e == nil {
				break
			}
			if sh.evictChannel(e, now) {
				return true
			}
		}
	}
	return false
}

// evictChannel forgets the channel of e and reports whether it did. A channel that was
// published to since, or that somebody reads by name, stays. One with readers is put
// back as if it were published to now, so that it is not tried first again.
func (sh *shard) evictChannel(e *eviction, now time.Time) bool {
	c := e.Value.c
	read := false
	removed := sh.remove(c, sh.store.dropReason(ring.Overrun), func() bool {
		read = c.readers.hasNamed()
		return read || c.expiry() > e.Key
	}, nil)
	if removed {
		sh.broker.stats.evictedChannels.Add(1)
		return true
	}
	c.mu.Lock()
	later := int64(0)
	if read {
		later = now.UnixMilli() + c.log.Limits.AgeMillis()
	}
	sh.requeue(e, later)
	return false
}

// noteForgotten remembers that a channel with messages up to seq no longer exists,
// under its name and under every pattern that matches it.
func (r *registry) noteForgotten(name schemas.Channel, seq uint64) {
	r.forgotten.Note(r.hash(name), seq)
	for pattern := range prefixes(name) {
		r.forgotten.Note(r.hash(schemas.Channel(pattern)), seq)
	}
}

// lostOf returns the position up to which a channel that pattern names and that no
// longer exists may have had messages; 0 if none had.
func (r *registry) lostOf(pattern schemas.Pattern) uint64 {
	if pattern == "*" {
		return r.forgotten.Newest()
	}
	return r.forgotten.Of(r.hash(schemas.Channel(pattern)))
}

// lostOfAbsent is lostOf for a channel that does not exist. It includes what the engine
// has said of the channel to streams that wait for it.
func (r *registry) lostOfAbsent(name schemas.Channel) uint64 {
	lost := r.lostOf(schemas.Pattern(name))
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if waiting := st.waiting[name]; waiting != nil {
		lost = max(lost, waiting.lost)
	}
	return lost
}
