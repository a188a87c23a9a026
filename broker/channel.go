package broker

import (
	"math"
	"slices"
	"sync"
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
// Lock order: shard, channel.mu, channel.readers, Stream. Nothing waits or
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

	readers audience
}

// audience is who reads a channel: the streams that named it, and the feeds of
// the patterns that match it.
type audience struct {
	mu      sync.Mutex
	streams map[*Stream]struct{}
	feeds   []*feed
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
	return streams
}

// hasNamed reports whether a stream named the channel.
func (a *audience) hasNamed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.streams) > 0
}

// size returns how many streams read the channel, by name or by pattern.
func (a *audience) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.streams)
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

// each calls visit for every stream that reads the channel; a stream that named
// it and also follows a matching pattern is visited more than once. Feeds that
// nobody follows any more are dropped on the way.
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

// floor returns the position that every reader of the channel has passed.
func (c *channel) floor() uint64 {
	low := uint64(nobody)
	c.readers.each(func(s *Stream) { low = min(low, s.position.Load()) })
	return low
}

// tidy drops what is over the limits now. It measures the floor only if that can
// matter: with many readers that takes a while. The caller holds c.mu.
func (c *channel) tidy(now time.Time, hold int64) (freed int64) {
	if c.log.full() {
		c.log.floor = c.floor()
	}
	return c.log.trim(now.UnixMilli(), hold)
}

// empty reports whether nothing is left that anybody could want, so that
// the channel can be forgotten. The caller holds c.mu.
func (c *channel) empty() bool {
	return c.log.count == 0 && c.run == nil && !c.readers.hasNamed()
}
