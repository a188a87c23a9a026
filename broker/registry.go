package broker

import (
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/broker/internal/positions"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

const stripeCount = 64

// registry finds channels by name. It also holds the streams that wait for a channel
// which does not exist: reading never creates one.
type registry struct {
	seed    maphash.Seed
	stripes [stripeCount]stripe
	count   atomic.Int64 // channels

	patternMu   sync.RWMutex
	patternSubs map[schemas.Pattern]*patternSub // guarded by patternMu

	forgotten positions.Forgotten
}

// stripe is the part of the registry with the names of some hashes, so that few
// look-ups wait for each other.
type stripe struct {
	mu       sync.RWMutex
	channels map[schemas.Channel]*channel // guarded by mu
	waiting  map[schemas.Channel]*waiters // guarded by mu; of channels that do not exist
}

// waiters are the subscribers of a channel that does not exist.
type waiters struct {
	subscribers
	complete bool   // nothing older than what comes next can be with the engine alone; guarded by the stripe's mu
	lost     uint64 // messages up to here may be lost; guarded by the stripe's mu
}

func newRegistry() *registry {
	r := &registry{seed: maphash.MakeSeed(), patternSubs: make(map[schemas.Pattern]*patternSub)}
	for i := range r.stripes {
		r.stripes[i].channels = make(map[schemas.Channel]*channel)
		r.stripes[i].waiting = make(map[schemas.Channel]*waiters)
	}
	return r
}

func (r *registry) hash(name schemas.Channel) uint64 { return maphash.String(r.seed, string(name)) }

func (r *registry) stripe(name schemas.Channel) *stripe { return &r.stripes[r.hash(name)%stripeCount] }

// get returns the channel, nil if there is none.
func (r *registry) get(name schemas.Channel) *channel {
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.channels[name]
}

// create returns the channel, and creates it if necessary. A new channel gets the
// streams that waited for it and the subscriptions of matching patterns. If first is
// not 0, messages before that position may be with the engine alone. fill, which may be
// nil, can put something into the log before anybody sees it.
func (r *registry) create(name schemas.Channel, first uint64, fill func(*channel)) (c *channel, made bool) {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.channels[name]; c != nil {
		return c, false
	}
	c = &channel{name: name, born: r.forgotten.Of(r.hash(name))}
	waiting := st.waiting[name]
	if waiting != nil {
		c.born = max(c.born, waiting.lost)
	}
	if first > 0 && (waiting == nil || !waiting.complete) {
		c.coldAtStart.Store(first - 1)
		c.log.Cold = first - 1
	}
	c.mu.Lock() // loops know the channel before it is in the registry
	defer c.mu.Unlock()
	c.log.Lose(c.born, ring.Expired)
	if waiting != nil {
		c.readers.streams, c.readers.groups = waiting.handOver(c)
		delete(st.waiting, name)
	}
	c.log.Swept, _ = c.readers.swept()
	c.readers.patternSubs = r.patternSubsOf(name)
	if len(c.readers.streams)+len(c.readers.patternSubs) == 0 {
		c.log.Floor = ring.NoReader // else 0 until it is measured
	}
	if fill != nil {
		fill(c)
	}
	st.channels[name] = c
	r.count.Add(1)
	return c, true
}

// wanted reports whether somebody waits for the channel or follows a pattern that
// matches it.
func (r *registry) wanted(name schemas.Channel) bool {
	st := r.stripe(name)
	st.mu.RLock()
	waiting := st.waiting[name]
	st.mu.RUnlock()
	return waiting != nil || len(r.patternSubsOf(name)) > 0
}

// remove takes c out of the registry unless the condition unless, which may be nil,
// holds under the locks. Streams that named c then wait for the next channel of that
// name. If end is not nil, they end for that reason, and do so before there can be a next
// channel: to a stream that read on there, what was lost with c would be no news. The
// caller holds neither the stripe nor the channel.
func (r *registry) remove(c *channel, reason ring.GapReason, unless func() bool, end *CloseReason) (freed int64, removed bool) {
	st := r.stripe(c.name)
	st.mu.Lock()
	defer st.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || unless != nil && unless() {
		return 0, false
	}
	asked := c.log.Cold == 0 && reason != ring.Kept
	freed = c.log.Clear(reason) + channelOverhead
	if c.run != nil {
		freed += c.run.frame.Cost()
		if reason != ring.Kept {
			c.log.Lose(c.run.frame.Seq, reason)
		}
		c.run = nil
	}
	c.gone = true
	delete(st.channels, c.name)
	r.count.Add(-1)
	lost := c.log.Lost()
	if reason != ring.Kept {
		lost = max(lost, c.log.Last())
		r.noteForgotten(c.name, lost)
	}

	if end != nil {
		for _, s := range c.readers.named() {
			s.End(*end)
		}
	}
	if streams, groups := c.readers.handOver(nil); len(streams)+len(groups) > 0 {
		st.waiting[c.name] = &waiters{
			subscribers: subscribers{streams: streams, groups: groups}, complete: asked, lost: lost,
		}
	}
	return freed, true
}

// waitingStreams returns the streams that wait for the channel and are not about to
// end.
func (r *registry) waitingStreams(name schemas.Channel) []*Stream {
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if waiting := st.waiting[name]; waiting != nil {
		return staying(waiting.named())
	}
	return nil
}

// staying returns the streams that are not about to end.
func staying(streams []*Stream) []*Stream {
	return slices.DeleteFunc(streams, func(s *Stream) bool {
		_, ending := s.Ended()
		return ending
	})
}

// attach makes cu a reader of the channel, or lets it wait if there is none.
func (r *registry) attach(cu *cursor, name schemas.Channel) {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.channels[name]; c != nil {
		c.readers.add(cu)
		c.mu.Lock()
		c.log.Hold()
		c.mu.Unlock()
		return
	}
	waiting := st.waiting[name]
	if waiting == nil {
		waiting = new(waiters)
		st.waiting[name] = waiting
	}
	waiting.add(cu)
}

// detach undoes attach and returns the channel if it exists.
func (r *registry) detach(cu *cursor, name schemas.Channel) *channel {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if waiting := st.waiting[name]; waiting != nil {
		waiting.remove(cu)
		if waiting.empty() {
			delete(st.waiting, name)
		}
	}
	c := st.channels[name]
	if c != nil {
		c.readers.remove(cu)
	}
	return c
}

// attachPattern makes cu a reader of every channel that pattern matches, including
// future ones.
func (r *registry) attachPattern(cu *cursor, pattern schemas.Pattern) {
	sub := r.joinPattern(cu, pattern)
	for c := range r.matching(pattern) {
		c.readers.addPattern(sub)
		c.mu.Lock()
		c.log.Hold()
		c.mu.Unlock()
	}
}

func (r *registry) joinPattern(cu *cursor, pattern schemas.Pattern) *patternSub {
	r.patternMu.Lock()
	defer r.patternMu.Unlock()
	sub := r.patternSubs[pattern]
	if sub == nil {
		sub = &patternSub{pattern: pattern, streams: make(map[*cursor]struct{})}
		r.patternSubs[pattern] = sub
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.streams[cu] = struct{}{}
	return sub
}

// detachPattern undoes attachPattern.
func (r *registry) detachPattern(cu *cursor, pattern schemas.Pattern) {
	r.patternMu.Lock()
	defer r.patternMu.Unlock()
	sub := r.patternSubs[pattern]
	if sub == nil {
		return // a stream may have asked for it twice
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	delete(sub.streams, cu)
	if len(sub.streams) == 0 {
		sub.dead = true
		delete(r.patternSubs, pattern)
	}
}

// patternSubsOf returns the pattern subscriptions that match name. It takes one look-up
// for each prefix that ends in a colon, however many patterns there are.
func (r *registry) patternSubsOf(name schemas.Channel) []*patternSub {
	r.patternMu.RLock()
	defer r.patternMu.RUnlock()
	if len(r.patternSubs) == 0 {
		return nil
	}
	var found []*patternSub
	if sub := r.patternSubs["*"]; sub != nil {
		found = append(found, sub)
	}
	for pattern := range prefixes(name) {
		if sub := r.patternSubs[pattern]; sub != nil {
			found = append(found, sub)
		}
	}
	return found
}

// matching yields the channels that pattern, which is not exact, matches. It may miss
// those that come or go meanwhile.
func (r *registry) matching(pattern schemas.Pattern) iter.Seq[*channel] {
	return func(yield func(*channel) bool) {
		for i := range r.stripes {
			for _, c := range r.stripes[i].matching(pattern) {
				if !yield(c) {
					return
				}
			}
		}
	}
}

func (st *stripe) matching(pattern schemas.Pattern) []*channel {
	st.mu.RLock()
	defer st.mu.RUnlock()
	var found []*channel
	for name, c := range st.channels {
		if pattern.Matches(name) {
			found = append(found, c)
		}
	}
	return found
}
