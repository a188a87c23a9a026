package broker

import (
	"maps"
	"sync/atomic"
	"time"
)

// crowd is the streams of one channel that one loop writes to and that read
// nothing else. The loop passes over them with each news: those at one position
// that want the same topics are sent the same bytes.
type crowd struct {
	// Static after construction.
	loop *loop

	channel atomic.Pointer[channel] // nil while there is none of the name; changes with the registry's stripe locked

	members []*socket     // written by the loop with the audience's mutex held: it reads without, others with it
	passed  atomic.Uint64 // every member has been sent what is up to here,
	served  atomic.Uint64 // and every one for which publishers wait what is up to here
	dirty   atomic.Bool   // there is news since the last pass began
	hurried atomic.Bool   // publishers wait for the next one
	mark    atomic.Int64  // log.total when the last one began

	// Owned by the loop.
	pass
	lined bool // in line for a pass, or in one
	again bool // and needs one more
}

// pass is where a loop is in passing over a crowd.
type pass struct {
	began  time.Duration // on the broker's clock
	next   int           // index of the next member, going down: those that join meanwhile have their turn in the next pass
	target uint64        // head of the log when it began
	low    uint64        // lowest position of a member for which publishers wait
	lags   uint64        // and of the others
}

// rouse tells the loop that there is news. The caller holds channel.mu.
func (cr *crowd) rouse() {
	if cr.dirty.CompareAndSwap(false, true) {
		cr.loop.hear(cr)
	}
}

// maxGather is how many bytes may gather for the next pass over a crowd before
// publishers wait for that to begin. It is a part of what a reader can be sent in
// one pass: more would be a backlog that grows, and the writing hardly becomes
// cheaper by it.
const maxGather = maxVolley / 2

// gathered reports whether as much has gathered for a pass over one of the crowds
// as may, of total bytes in all; that crowd is not left waiting for its time then.
func (a *audience) gathered(total int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	enough := false
	for _, cr := range a.crowds {
		if total-cr.mark.Load() >= maxGather {
			enough = true
			if cr.hurried.CompareAndSwap(false, true) {
				cr.loop.hurry(cr)
			}
		}
	}
	return enough
}

// seat moves so into the crowd of its loop, of the channel c, or of one to come if
// c is nil. It returns nil if so is not one of the streams that are told one by
// one. The caller holds what guards a beside its own mutex.
func (a *audience) seat(so *socket, c *channel) *crowd {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.streams[so.stream]; !ok {
		return nil
	}
	delete(a.streams, so.stream)
	if len(a.streams) == 0 {
		a.streams = nil
	}
	cr := a.crowdOf(so.loop)
	if cr == nil {
		cr = newCrowd(so.loop, c)
		a.crowds = append(a.crowds, cr)
	}
	so.seat = int32(len(cr.members))
	cr.members = append(cr.members, so)
	position := so.stream.position.Load()
	cr.passed.Store(min(cr.passed.Load(), position))
	cr.served.Store(min(cr.served.Load(), position))
	cr.low = min(cr.low, position) // a pass that is under way does not come to it
	return cr
}

func newCrowd(l *loop, c *channel) *crowd {
	cr := &crowd{loop: l}
	cr.passed.Store(nobody)
	cr.served.Store(nobody)
	if c != nil {
		cr.channel.Store(c)
		cr.mark.Store(c.log.total)
	}
	return cr
}

// seat moves so into the crowd of its loop, see [audience.seat]. The caller holds
// c.mu.
func (c *channel) seat(so *socket) *crowd {
	cr := c.readers.seat(so, c)
	if cr == nil {
		return nil
	}
	if !c.readers.told() {
		c.log.floor = nobody // there is none left to measure it
	}
	position := so.stream.position.Load()
	c.log.passed = min(c.log.passed, position)
	if c.log.last > position {
		cr.rouse() // the one who published it may not have seen so here
	}
	return cr
}

func (a *audience) crowdOf(l *loop) *crowd {
	for _, cr := range a.crowds {
		if cr.loop == l {
			return cr
		}
	}
	return nil
}

// unseat takes so out of its crowd. A crowd without members is no longer told of
// anything.
func (a *audience) unseat(cr *crowd, so *socket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := len(cr.members) - 1
	cr.members[so.seat] = cr.members[last]
	cr.members[so.seat].seat = so.seat
	cr.members[last] = nil
	cr.members = cr.members[:last]
	if last > 0 {
		return
	}
	for i := range a.crowds {
		if a.crowds[i] == cr {
			a.crowds = append(a.crowds[:i], a.crowds[i+1:]...)
			break
		}
	}
	if len(a.crowds) == 0 {
		a.crowds = nil
	}
}

// begin starts a pass.
func (cr *crowd) begin(clock time.Duration) {
	cr.hurried.Store(false)
	cr.dirty.Store(false) // before the head is read: what comes later makes it dirty again
	cr.pass = pass{began: clock, next: -1, low: nobody, lags: nobody}
	c := cr.channel.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cr.mark.Store(c.log.total)
	c.giveRoom()
	cr.next, cr.target = len(cr.members)-1, c.log.last
}

// end finishes a pass: what was held for the members goes, and publishers that
// waited for them may go on. It reports whether some have not been sent
// everything.
func (cr *crowd) end(b *Broker, now time.Time) (more bool) {
	served := min(cr.target, cr.low)
	if len(cr.members) == 0 {
		served = nobody
	}
	cr.served.Store(served)
	cr.passed.Store(min(served, cr.lags))
	c := cr.channel.Load()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.passed, _ = c.readers.passed()
	if c.log.full() {
		b.held.Add(-c.log.trim(now.UnixMilli()))
	}
	c.giveRoom()
	return served < cr.target
}

// handOver passes the streams and crowds of a on to the channel c, which may be nil.
// The streams stay as well: of what is lost with a channel that is gone, they
// have yet to be told. The registry's stripe is locked.
func (a *audience) handOver(c *channel) (streams map[*Stream]struct{}, crowds []*crowd) {
	a.mu.Lock()
	defer a.mu.Unlock()
	crowds, a.crowds = a.crowds, nil
	for _, cr := range crowds {
		cr.channel.Store(c)
		cr.mark.Store(0)
	}
	return maps.Clone(a.streams), crowds
}

// seat moves so from the readers of its channel that are told one by one, or
// from those that wait for the channel, into the crowd of its loop.
func (r *registry) seat(so *socket) *crowd {
	name, _ := so.stream.wants.selectors[0].Channel.Exact()
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if c := st.channels[name]; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.seat(so)
	}
	if waiting := st.waiting[name]; waiting != nil {
		return waiting.seat(so, nil)
	}
	return nil
}

// unseat undoes seat.
func (r *registry) unseat(so *socket) {
	name, _ := so.stream.wants.selectors[0].Channel.Exact()
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.channels[name]; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.readers.unseat(so.crowd, so)
		c.log.passed, _ = c.readers.passed()
		return
	}
	waiting := st.waiting[name]
	waiting.unseat(so.crowd, so)
	if waiting.empty() {
		delete(st.waiting, name)
	}
}
