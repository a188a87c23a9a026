package broker

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/delivery"
)

// group is a fan-out group: the streams of one channel that are served by one loop and
// read nothing else.
//
// A message for ten thousand readers must not cost ten thousand look-ups. The loop
// sweeps the group whenever there is news: it visits the members one after another, and
// those at the same position that want the same topics are sent the same [writeBatch].
// A stream joins once it needs nothing but what comes next in its channel, and stays
// until it ends. A member that a sweep cannot serve, because something was lost or its
// run status must be told, runs a task of its own and is back for the next sweep.
//
// Who may do what at the same time:
//
//   - Publishers, holding channel.mu, set dirty and put the group into the loop's
//     inbox. A publisher that has to wait sets hurried.
//   - Members join and leave on the loop's goroutine, holding the mutex of the
//     subscribers. So the loop reads members without a lock, and everybody else
//     holds that mutex.
//   - The loop moves its members' positions without a lock. At the end of a sweep
//     it stores in swept and served how far they have come. These tell the log
//     which frames it must still hold, and publishers whether to go on.
//   - A group outlives its channel: while none of that name exists, it stays with
//     the name's waiters, and channel is nil.
type group struct {
	// Static after construction.
	loop *loop

	channel atomic.Pointer[channel] // nil while none of the name exists; changed with the registry's stripe locked

	members    []*socket     // written by the loop with the subscribers' mutex held
	swept      atomic.Uint64 // every member is past this position
	served     atomic.Uint64 // every member for which publishers wait is past this position
	dirty      atomic.Bool   // there is news since the last sweep began
	hurried    atomic.Bool   // publishers wait for the next sweep to begin
	following  delivery.List // messages on their way to members
	sweptBytes atomic.Int64  // Total of the log when the last sweep began

	// Owned by the loop.
	sweep
	queued     bool // waits for a sweep, or is in one
	sweepAgain bool // needs another sweep after this one
}

// sweep is the state of a loop's walk over a group. Members are visited from the last
// to the first. Those that join meanwhile are appended, and have their turn in the next
// sweep.
type sweep struct {
	began      time.Duration // on the broker's clock; 0 before the first sweep
	next       int           // index of the next member
	target     uint64        // newest position in the log when the sweep began
	low        uint64        // lowest position of a member for which publishers wait
	lowLagging uint64        // lowest position of the other members
}

// notify tells the loop that there is news. The caller holds channel.mu.
func (g *group) notify() {
	if g.dirty.CompareAndSwap(false, true) {
		g.loop.requestSweep(g)
	}
}

// maxUnswept is how many bytes may gather for the next sweep of a group before
// publishers wait for that to begin. It is less than what a member can be sent in one
// sweep: a larger backlog would only grow, and writing would hardly become cheaper.
const maxUnswept = maxWriteBatch / 2

// sweepDue reports whether as much as may has gathered for the next sweep of one of the
// groups. total is the Total of the log. Such a group is swept as soon as possible,
// whatever the pace.
func (s *subscribers) sweepDue(total int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	enough := false
	for _, g := range s.groups {
		if total-g.sweptBytes.Load() >= maxUnswept {
			enough = true
			if g.hurried.CompareAndSwap(false, true) {
				g.loop.hurrySweep(g)
			}
		}
	}
	return enough
}

// canJoinGroup reports whether the cursor needs nothing but what comes next in its one
// channel.
func (c *cursor) canJoinGroup() bool {
	position := c.position.Load()
	if !c.single || !c.stream.live || c.arrival != nil || len(c.sources) > 1 || position < c.lossMark {
		return false
	}
	for _, src := range c.sources {
		if src.Selecting(position) {
			return false
		}
	}
	return true
}

// releaseSources frees what a cursor does not need in a group.
func (c *cursor) releaseSources() {
	c.sources = nil
	c.dropPending()
}

// joinGroup moves so into the group of its loop. c is the channel, or nil while there
// is none. It returns nil if so is not among the individually notified streams. The
// caller holds whatever guards s besides its own mutex.
func (s *subscribers) joinGroup(so *socket, c *channel) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.streams[so.cursor]; !ok {
		return nil
	}
	delete(s.streams, so.cursor)
	if len(s.streams) == 0 {
		s.streams = nil
	}
	g := s.groupOf(so.loop)
	if g == nil {
		g = newGroup(so.loop, c)
		s.groups = append(s.groups, g)
	}
	so.index = int32(len(g.members))
	g.members = append(g.members, so)
	position := so.cursor.position.Load()
	g.swept.Store(min(g.swept.Load(), position))
	g.served.Store(min(g.served.Load(), position))
	g.low = min(g.low, position) // a sweep that is under way does not reach it
	return g
}

func newGroup(l *loop, c *channel) *group {
	g := &group{loop: l}
	g.swept.Store(ring.NoReader)
	g.served.Store(ring.NoReader)
	if c != nil {
		g.channel.Store(c)
		g.sweptBytes.Store(c.log.Total())
	}
	return g
}

// joinGroup moves so into the group of its loop, see [subscribers.joinGroup]. The
// caller holds c.mu.
func (c *channel) joinGroup(so *socket) *group {
	g := c.readers.joinGroup(so, c)
	if g == nil {
		return nil
	}
	if !c.readers.hasIndividual() {
		c.log.Floor = ring.NoReader // no reader is left to measure it
	}
	position := so.cursor.position.Load()
	c.log.Swept = min(c.log.Swept, position)
	if c.log.Last() > position {
		g.notify() // the last publisher may not have seen so in this group
	}
	return g
}

func (s *subscribers) groupOf(l *loop) *group {
	for _, g := range s.groups {
		if g.loop == l {
			return g
		}
	}
	return nil
}

// leaveGroup takes so out of its group. An empty group is removed and no longer
// notified.
func (s *subscribers) leaveGroup(g *group, so *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(g.members) - 1
	g.members[so.index] = g.members[last]
	g.members[so.index].index = so.index
	g.members[last] = nil
	g.members = g.members[:last]
	if last > 0 {
		return
	}
	for i := range s.groups {
		if s.groups[i] == g {
			s.groups = append(s.groups[:i], s.groups[i+1:]...)
			break
		}
	}
	if len(s.groups) == 0 {
		s.groups = nil
	}
}

// beginSweep starts a sweep and lets publishers go on that wait for it.
func (g *group) beginSweep(clock time.Duration) {
	g.hurried.Store(false)
	g.dirty.Store(false) // before the head is read: what comes later makes it dirty again
	g.sweep = sweep{began: clock, next: -1, low: ring.NoReader, lowLagging: ring.NoReader}
	c := g.channel.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g.sweptBytes.Store(c.log.Total())
	c.wakePublishers()
	g.next, g.target = len(g.members)-1, c.log.Last()
}

// endSweep finishes a sweep. The log drops what it held for the members, and publishers
// that waited for them may go on. It reports whether some members have not been sent
// everything yet.
func (g *group) endSweep(sh *shard, now time.Time) (more bool) {
	served := min(g.target, g.low)
	if len(g.members) == 0 {
		served = ring.NoReader
	}
	g.served.Store(served)
	g.swept.Store(min(served, g.lowLagging))
	g.following.Passed(served)
	c := g.channel.Load()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.Swept, _ = c.readers.swept()
	if c.log.OverLimits() {
		sh.logBytes.Add(-c.log.Trim(now.UnixMilli()))
	}
	c.wakePublishers()
	return served < g.target
}

// handOver passes the streams and groups on to the channel c, which may be nil. The
// streams also stay here: they have yet to be told what was lost with a removed
// channel. The caller holds the registry's stripe.
func (s *subscribers) handOver(c *channel) (streams map[*cursor]struct{}, groups []*group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups, s.groups = s.groups, nil
	for _, g := range groups {
		g.channel.Store(c)
		g.sweptBytes.Store(0)
	}
	return maps.Clone(s.streams), groups
}

// joinGroup moves so into the group of its loop, whether its channel exists or so waits
// for it.
func (r *registry) joinGroup(so *socket) *group {
	name, _ := so.cursor.filter.selectors[0].Channel.Exact()
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if c := st.channels[name]; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.joinGroup(so)
	}
	if waiting := st.waiting[name]; waiting != nil {
		return waiting.joinGroup(so, nil)
	}
	return nil
}

// leaveGroup undoes joinGroup.
func (r *registry) leaveGroup(so *socket) {
	name, _ := so.cursor.filter.selectors[0].Channel.Exact()
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.channels[name]; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.readers.leaveGroup(so.group, so)
		c.log.Swept, _ = c.readers.swept()
		return
	}
	waiting := st.waiting[name]
	waiting.leaveGroup(so.group, so)
	if waiting.empty() {
		delete(st.waiting, name)
	}
}
