package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// channelOverhead is roughly what a channel costs besides its frames, in bytes. It
// counts against [Options.Memory], so that empty channels are not free.
const channelOverhead = 512

// channel is a log and its readers.
//
// Lock order: stripe, channel.mu, channel.readers, Stream. Nothing waits or writes to a
// socket while it holds any of them.
type channel struct {
	// Static after construction.
	name schemas.Channel
	born uint64 // newest position lost with an earlier channel of this name; 0: none

	mu      sync.Mutex
	log     ring.Log  // guarded by mu
	run     *run      // guarded by mu; the latest run status; nil: none yet
	touched int64     // guarded by mu; time of the newest publish in Unix milliseconds; never goes back
	gone    bool      // guarded by mu; removed from the registry: look the name up again
	dirty   bool      // guarded by mu; queued for the notifier's next round
	filled  *eviction // guarded by mu; place among the channels that hold messages; nil: none
	bare    *eviction // guarded by mu; place among the channels with only a run status; nil: none

	// coldAtStart is the Cold of the log when the channel was created; 0 once the log
	// was loaded. Messages up to here may be with the engine alone, but the streams
	// that were there already miss none of them.
	coldAtStart atomic.Uint64
	caughtUp    chan struct{} // guarded by mu; closed when readers have caught up a little; nil: no publisher waits
	readers     subscribers
}

// subscribers are the readers of a channel.
//
//   - streams named the channel, and each is notified individually.
//   - groups are the fan-out groups of the writer loops. A stream that named this
//     one channel and is served by a loop moves into its loop's group once it has
//     caught up. Each group is notified as a whole.
//   - patternSubs are the subscriptions of matching patterns. Their streams are
//     notified individually, too.
type subscribers struct {
	mu          sync.Mutex
	streams     map[*cursor]struct{} // guarded by mu
	groups      []*group             // guarded by mu; also see group.members
	patternSubs []*patternSub        // guarded by mu
}

// notifyGroups tells the groups that there is news. It reports whether there are also
// readers that must be notified individually.
func (s *subscribers) notifyGroups() (others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		g.notify()
	}
	return len(s.streams)+len(s.patternSubs) > 0
}

// hasIndividual reports whether any reader must be notified individually.
func (s *subscribers) hasIndividual() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)+len(s.patternSubs) > 0
}

// swept returns the position that all members of the groups have passed, and the one
// that those have passed for which publishers wait.
func (s *subscribers) swept() (all, served uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, served = ring.NoReader, ring.NoReader
	for _, g := range s.groups {
		all, served = min(all, g.swept.Load()), min(served, g.served.Load())
	}
	return all, served
}

// empty reports whether there are no readers by name. Pattern subscriptions do not
// count.
func (s *subscribers) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)+len(s.groups) == 0
}

func (s *subscribers) add(c *cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = make(map[*cursor]struct{}, 1)
	}
	s.streams[c] = struct{}{}
}

func (s *subscribers) remove(c *cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, c)
	if len(s.streams) == 0 {
		s.streams = nil
	}
}

// named returns the streams that named the channel.
func (s *subscribers) named() []*Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := make([]*Stream, 0, len(s.streams))
	for c := range s.streams {
		streams = append(streams, c.stream)
	}
	for _, g := range s.groups {
		for _, so := range g.members {
			streams = append(streams, so.cursor.stream)
		}
	}
	return streams
}

// hasNamed reports whether any stream named the channel.
func (s *subscribers) hasNamed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)+len(s.groups) > 0
}

// size returns how many streams read the channel, by name or by pattern.
func (s *subscribers) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.streams)
	for _, g := range s.groups {
		n += len(g.members)
	}
	for _, sub := range s.patternSubs {
		n += sub.size()
	}
	return n
}

// addPattern adds a pattern subscription once. It also drops dead ones, which would
// pile up on a channel that is never published to.
func (s *subscribers) addPattern(sub *patternSub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patternSubs = slices.DeleteFunc(s.patternSubs, (*patternSub).isDead)
	if !slices.Contains(s.patternSubs, sub) {
		s.patternSubs = append(s.patternSubs, sub)
	}
}

// each calls visit for every reader that is notified individually. A stream that named
// the channel and also follows a matching pattern is visited more than once. Dead
// pattern subscriptions are dropped on the way.
func (s *subscribers) each(visit func(*cursor)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.streams {
		visit(c)
	}
	live := s.patternSubs[:0]
	for _, sub := range s.patternSubs {
		if sub.each(visit) {
			live = append(live, sub)
		}
	}
	clear(s.patternSubs[len(live):])
	s.patternSubs = live
}

// patternSub holds the streams that follow one pattern. All matching channels point to
// it, so a stream over a million channels costs as much as one over ten.
type patternSub struct {
	pattern schemas.Pattern

	mu      sync.Mutex
	streams map[*cursor]struct{} // guarded by mu
	dead    bool                 // guarded by mu; removed from the registry, for good
}

func (p *patternSub) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.streams)
}

// isDead reports whether the pattern subscription will never have a stream again.
func (p *patternSub) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// each calls visit for every stream. It reports false if the subscription is dead.
func (p *patternSub) each(visit func(*cursor)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.streams {
		visit(c)
	}
	return !p.dead
}

// floor returns the position that every individually notified reader has passed.
func (c *channel) floor() uint64 {
	low := uint64(ring.NoReader)
	c.readers.each(func(cu *cursor) { low = min(low, cu.position.Load()) })
	return low
}

// served returns the position that every reader has passed for which publishers wait.
func (c *channel) served(clock time.Duration) uint64 {
	_, low := c.readers.swept()
	c.readers.each(func(cu *cursor) {
		if cu.awaited(clock) {
			low = min(low, cu.position.Load())
		}
	})
	return low
}

// trim drops what exceeds the limits now. Measuring the floor takes a while with many
// readers, so it is done only when it can matter. The caller holds c.mu.
func (sh *shard) trim(c *channel, now time.Time) {
	if c.log.OverLimits() {
		c.log.Floor = c.floor()
		c.log.Swept, _ = c.readers.swept()
	}
	sh.logBytes.Add(-c.log.Trim(now.UnixMilli()))
}

// wakePublishers makes the publishers that wait for readers of c look again. The caller
// holds c.mu.
func (c *channel) wakePublishers() {
	if c.caughtUp != nil {
		close(c.caughtUp)
		c.caughtUp = nil
	}
}

// empty reports whether nothing is left that anybody could want, so that the channel
// can be forgotten. The caller holds c.mu.
func (c *channel) empty() bool {
	return c.log.Len() == 0 && c.run == nil && !c.readers.hasNamed()
}

// run is the latest run status of a channel. It stays when the ring drops its frame.
type run struct {
	frame  ring.Frame
	change schemas.RunChange
	id     schemas.ID
}

// receipt returns the receipt for a publish that sets the same final status again.
func (r *run) receipt(name schemas.Channel) schemas.Receipt {
	return schemas.Receipt{
		ID: r.id, Channel: name, Topic: schemas.TopicRun, Kind: schemas.KindRun,
		CreatedAt: schemas.Time(r.frame.At), Duplicate: true,
	}
}

// setRun makes r the latest status and returns by how many bytes the channel grew. The
// caller holds c.mu.
func (c *channel) setRun(r *run) (grown int64) {
	if c.run != nil {
		grown -= c.run.frame.Cost()
	}
	c.run = r
	return grown + r.frame.Cost()
}

// runFrame returns the frame of the latest run status, nil if there is none. The caller
// holds c.mu.
func (c *channel) runFrame() *ring.Frame {
	if c.run == nil {
		return nil
	}
	return &c.run.frame
}
