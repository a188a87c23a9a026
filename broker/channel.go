package broker

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// nobody is the floor of a log that no reader still has to pass.
const nobody = math.MaxUint64

// channelOverhead is what a channel costs beside its frames, roughly: it counts
// against the memory of all rings, so that empty channels are not free.
const channelOverhead = 512

// channel is a log with its readers.
//
// Lock order: stripe, channel.mu, channel.readers, Stream. Nothing waits or
// writes to a socket under any of them.
type channel struct {
	// Static after construction.
	name schemas.Channel
	born uint64 // newest position lost with an earlier channel of this name, 0: none

	mu      sync.Mutex
	log     log    // guarded by mu
	run     *run   // guarded by mu; nil: none yet
	touched int64  // guarded by mu; time of the newest publish, milliseconds; never goes back
	gone    bool   // guarded by mu; no longer in the registry: look it up again
	dirty   bool   // guarded by mu; waits for a round of the herald
	filled  *entry // guarded by mu; place among the channels that hold messages, see hoard; nil: none
	bare    *entry // guarded by mu; place among those with nothing but a run status; nil: none

	cold    atomic.Uint64 // what log.cold was when it came into being: streams that were there already miss nothing up to here
	room    chan struct{} // guarded by mu; closed when readers have caught up a little; nil: no publisher waits
	readers audience
}

// audience is who reads a channel: the streams that named it, the crowds of such
// in the writer loops, and the feeds of the patterns that match it.
//
// A stream that named the channel is told of news one by one. Once it reads
// nothing else and a loop writes to it, it moves into the crowd of that loop,
// which is told as a whole.
type audience struct {
	mu      sync.Mutex
	streams map[*Stream]struct{}
	crowds  []*crowd
	feeds   []*feed
}

// rouse tells the crowds that there is news, and reports whether there are
// readers besides, to be told one by one.
func (a *audience) rouse() (others bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, cr := range a.crowds {
		cr.rouse()
	}
	return len(a.streams)+len(a.feeds) > 0
}

// told reports whether there are readers that are told one by one.
func (a *audience) told() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.streams)+len(a.feeds) > 0
}

// passed returns the position that all members of the crowds have passed, and
// the one that those have for whom publishers wait.
func (a *audience) passed() (all, served uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, served = nobody, nobody
	for _, cr := range a.crowds {
		all, served = min(all, cr.passed.Load()), min(served, cr.served.Load())
	}
	return all, served
}

// empty reports whether nobody is there but feeds.
func (a *audience) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.streams)+len(a.crowds) == 0
}

func (a *audience) add(s *Stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.streams == nil {
		a.streams = make(map[*Stream]struct{}, 1)
	}
	a.streams[s] = struct{}{}
}

func (a *audience) remove(s *Stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.streams, s)
	if len(a.streams) == 0 {
		a.streams = nil
	}
}

// named returns the streams that named the channel.
func (a *audience) named() []*Stream {
	a.mu.Lock()
	defer a.mu.Unlock()
	streams := make([]*Stream, 0, len(a.streams))
	for s := range a.streams {
		streams = append(streams, s)
	}
	for _, cr := range a.crowds {
		for _, so := range cr.members {
			streams = append(streams, so.stream)
		}
	}
	return streams
}

// hasNamed reports whether a stream named the channel.
func (a *audience) hasNamed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.streams)+len(a.crowds) > 0
}

// size returns how many streams read the channel, by name or by pattern.
func (a *audience) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.streams)
	for _, cr := range a.crowds {
		n += len(cr.members)
	}
	for _, f := range a.feeds {
		n += f.size()
	}
	return n
}

// follow adds a feed, once, and drops those that nobody follows any more: a
// channel that is never published to would gather them.
func (a *audience) follow(f *feed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.feeds = slices.DeleteFunc(a.feeds, (*feed).over)
	if !slices.Contains(a.feeds, f) {
		a.feeds = append(a.feeds, f)
	}
}

// each calls visit for every stream that is told one by one; a stream that named
// the channel and also follows a matching pattern is visited more than once.
// Feeds that nobody follows any more are dropped on the way.
func (a *audience) each(visit func(*Stream)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range a.streams {
		visit(s)
	}
	live := a.feeds[:0]
	for _, f := range a.feeds {
		if f.each(visit) {
			live = append(live, f)
		}
	}
	clear(a.feeds[len(live):])
	a.feeds = live
}

// feed is the streams that follow one pattern. All channels that match it point
// to it, so that a stream over a million channels costs as much as one over ten.
type feed struct {
	pattern schemas.Pattern

	mu      sync.Mutex
	streams map[*Stream]struct{} // guarded by mu
	dead    bool                 // guarded by mu; out of the registry, for ever
}

func (f *feed) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.streams)
}

// over reports whether nobody will follow the feed any more.
func (f *feed) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// each calls visit for every stream and reports whether the feed lives on.
func (f *feed) each(visit func(*Stream)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.streams {
		visit(s)
	}
	return !f.dead
}

// floor returns the position that every reader has passed who is told one by one.
func (c *channel) floor() uint64 {
	low := uint64(nobody)
	c.readers.each(func(s *Stream) { low = min(low, s.position.Load()) })
	return low
}

// served returns the position that every reader has passed for whom publishers
// wait.
func (c *channel) served(clock time.Duration) uint64 {
	_, low := c.readers.passed()
	c.readers.each(func(s *Stream) {
		if s.awaited(clock) {
			low = min(low, s.position.Load())
		}
	})
	return low
}

// tidy drops what is over the limits now. It measures the floor only if that can
// matter: with many readers that takes a while. The caller holds c.mu.
func (b *Broker) tidy(c *channel, now time.Time) {
	if c.log.full() {
		c.log.floor = c.floor()
		c.log.passed, _ = c.readers.passed()
	}
	b.held.Add(-c.log.trim(now.UnixMilli()))
}

// giveRoom lets the publishers look again that wait for readers of c. The caller
// holds c.mu.
func (c *channel) giveRoom() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// empty reports whether nothing is left that anybody could want, so that
// the channel can be forgotten. The caller holds c.mu.
func (c *channel) empty() bool {
	return c.log.count == 0 && c.run == nil && !c.readers.hasNamed()
}
