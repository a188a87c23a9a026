package broker

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/schemas"
)

const stripes = 64

// registry finds channels by name, and holds the streams that wait for a
// channel which does not exist: a read never creates one.
type registry struct {
	seed    maphash.Seed
	stripes [stripes]stripe
	count   atomic.Int64 // channels

	feedsMu sync.RWMutex
	feeds   map[schemas.Pattern]*feed // guarded by feedsMu

	forgotten forgotten
}

type stripe struct {
	mu       sync.RWMutex
	channels map[schemas.Channel]*channel  // guarded by mu
	waiting  map[schemas.Channel]*expected // guarded by mu; of channels that do not exist
}

// expected is the audience of a channel that does not exist.
type expected struct {
	audience
	asked bool   // the engine has nothing of the channel, or the log has had it all; guarded by the stripe's mu
	lost  uint64 // up to here, messages may have been lost; guarded by the stripe's mu
}

func newRegistry() *registry {
	r := &registry{seed: maphash.MakeSeed(), feeds: make(map[schemas.Pattern]*feed)}
	for i := range r.stripes {
		r.stripes[i].channels = make(map[schemas.Channel]*channel)
		r.stripes[i].waiting = make(map[schemas.Channel]*expected)
	}
	return r
}

func (r *registry) hash(name schemas.Channel) uint64 { return maphash.String(r.seed, string(name)) }

func (r *registry) stripe(name schemas.Channel) *stripe { return &r.stripes[r.hash(name)%stripes] }

// get returns the channel, nil if there is none.
func (r *registry) get(name schemas.Channel) *channel {
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.channels[name]
}

// create returns the channel, making it if need be: with the streams that
// waited for it, and with the feeds of the patterns that match it. Messages before
// the position first, if that is not 0, may be with the engine alone. fill may put
// something into the log before anybody sees it.
func (r *registry) create(name schemas.Channel, first uint64, fill func(*channel)) (c *channel, made bool) {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.channels[name]; c != nil {
		return c, false
	}
	c = &channel{name: name, born: r.forgotten.of(r.hash(name))}
	waiting := st.waiting[name]
	if waiting != nil {
		c.born = max(c.born, waiting.lost)
	}
	if first > 0 && (waiting == nil || !waiting.asked) {
		c.cold.Store(first - 1)
		c.log.cold = first - 1
	}
	c.mu.Lock() // loops know of it before it is in the registry
	defer c.mu.Unlock()
	c.log.lose(c.born, gapExpired)
	if waiting != nil {
		c.readers.streams, c.readers.crowds = waiting.handOver(c)
		delete(st.waiting, name)
	}
	c.log.passed, _ = c.readers.passed()
	c.readers.feeds = r.feedsOf(name)
	if len(c.readers.streams)+len(c.readers.feeds) == 0 {
		c.log.floor = nobody // else 0, until it is measured
	}
	if fill != nil {
		fill(c)
	}
	st.channels[name] = c
	r.count.Add(1)
	return c, true
}

// wanted reports whether somebody waits for the channel name or follows a pattern
// that matches it.
func (r *registry) wanted(name schemas.Channel) bool {
	st := r.stripe(name)
	st.mu.RLock()
	waiting := st.waiting[name]
	st.mu.RUnlock()
	return waiting != nil || len(r.feedsOf(name)) > 0
}

// remove takes c out of the registry. Streams that named it wait for the next
// channel of that name; they are returned. The caller holds neither stripe nor
// channel.
//
// When unless is given and holds under the locks, nothing happens.
func (r *registry) remove(c *channel, reason gapReason, unless func() bool) (freed int64, named []*Stream, removed bool) {
	st := r.stripe(c.name)
	st.mu.Lock()
	defer st.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || unless != nil && unless() {
		return 0, nil, false
	}
	asked := c.log.cold == 0 && reason != gapNone
	freed = c.log.clear(reason) + channelOverhead
	if c.run != nil {
		freed += c.run.frame.cost()
		if reason != gapNone {
			c.log.lose(c.run.frame.seq, reason)
		}
		c.run = nil
	}
	c.gone = true
	delete(st.channels, c.name)
	r.count.Add(-1)
	lost := c.log.lost
	if reason != gapNone {
		lost = max(lost, c.log.last)
		r.forget(c.name, lost)
	}

	named = c.readers.named()
	if streams, crowds := c.readers.handOver(nil); len(streams)+len(crowds) > 0 {
		st.waiting[c.name] = &expected{
			audience: audience{streams: streams, crowds: crowds}, asked: asked, lost: lost,
		}
	}
	return freed, named, true
}

// waiters returns the streams that wait for the channel name and are not about to
// end.
func (r *registry) waiters(name schemas.Channel) []*Stream {
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if waiting := st.waiting[name]; waiting != nil {
		return staying(waiting.named())
	}
	return nil
}

// awaited returns the names of channels that do not exist and that streams wait
// for, with how many these are.
func (r *registry) awaited() map[schemas.Channel]int {
	names := make(map[schemas.Channel]int)
	for i := range r.stripes {
		st := &r.stripes[i]
		st.mu.RLock()
		for name, waiting := range st.waiting {
			if n := len(staying(waiting.named())); n > 0 {
				names[name] = n
			}
		}
		st.mu.RUnlock()
	}
	return names
}

// staying returns the streams that are not about to end.
func staying(streams []*Stream) []*Stream {
	return slices.DeleteFunc(streams, func(s *Stream) bool {
		_, ending := s.Ended()
		return ending
	})
}

// attach makes s a reader of the channel name, or lets it wait for the channel.
func (r *registry) attach(s *Stream, name schemas.Channel) {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.channels[name]; c != nil {
		c.readers.add(s)
		c.mu.Lock()
		c.log.await()
		c.mu.Unlock()
		return
	}
	waiting := st.waiting[name]
	if waiting == nil {
		waiting = new(expected)
		st.waiting[name] = waiting
	}
	waiting.add(s)
}

// detach undoes attach and returns the channel if it now has no reader by name.
func (r *registry) detach(s *Stream, name schemas.Channel) *channel {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if waiting := st.waiting[name]; waiting != nil {
		waiting.remove(s)
		if waiting.empty() {
			delete(st.waiting, name)
		}
	}
	c := st.channels[name]
	if c != nil {
		c.readers.remove(s)
	}
	return c
}

// follow makes s a reader of every channel that pattern matches, of those to
// come as well.
func (r *registry) follow(s *Stream, pattern schemas.Pattern) {
	f := r.join(s, pattern)
	for c := range r.matching(pattern) {
		c.readers.follow(f)
		c.mu.Lock()
		c.log.await()
		c.mu.Unlock()
	}
}

func (r *registry) join(s *Stream, pattern schemas.Pattern) *feed {
	r.feedsMu.Lock()
	defer r.feedsMu.Unlock()
	f := r.feeds[pattern]
	if f == nil {
		f = &feed{pattern: pattern, streams: make(map[*Stream]struct{})}
		r.feeds[pattern] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streams[s] = struct{}{}
	return f
}

// unfollow undoes follow.
func (r *registry) unfollow(s *Stream, pattern schemas.Pattern) {
	r.feedsMu.Lock()
	defer r.feedsMu.Unlock()
	f := r.feeds[pattern]
	if f == nil {
		return // a stream may have asked for it twice
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.streams, s)
	if len(f.streams) == 0 {
		f.dead = true
		delete(r.feeds, pattern)
	}
}

// feedsOf returns the feeds that match name: one look-up for each prefix of it
// that ends in a colon, however many patterns there are.
func (r *registry) feedsOf(name schemas.Channel) []*feed {
	r.feedsMu.RLock()
	defer r.feedsMu.RUnlock()
	if len(r.feeds) == 0 {
		return nil
	}
	var found []*feed
	if f := r.feeds["*"]; f != nil {
		found = append(found, f)
	}
	for pattern := range prefixes(name) {
		if f := r.feeds[pattern]; f != nil {
			found = append(found, f)
		}
	}
	return found
}

// matching yields the channels that pattern, which is not exact, matches. Those
// that come or go meanwhile may be missed.
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

// prefixes yields the patterns that name's colons make: a:b:c has a:* and a:b:*.
func prefixes(name schemas.Channel) iter.Seq[schemas.Pattern] {
	return func(yield func(schemas.Pattern) bool) {
		for end := 0; ; {
			colon := strings.IndexByte(string(name[end:]), ':')
			if end += colon + 1; colon < 0 || end == len(name) {
				return
			}
			if !yield(schemas.Pattern(name[:end] + "*")) {
				return
			}
		}
	}
}
