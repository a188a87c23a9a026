package broker

import (
	"sync/atomic"
	"time"
)

// crowd is the streams of one channel that one loop writes to and that read
// nothing else. The loop passes over them with each news: those at one position
// that want the same topics are sent the same bytes.
type crowd struct {
	// Static after construction.
	channel *channel
	loop    *loop

	members []*socket     // written by the loop with channel.readers.mu held: it reads without, others with it
	passed  atomic.Uint64 // every member has been sent what is up to here,
	served  atomic.Uint64 // and every one for which publishers wait what is up to here
	dirty   atomic.Bool   // there is news since the last pass began

	// Owned by the loop.
	pass
	lined bool // in line for a pass, or in one
	again bool // and needs one more
}

// pass is where a loop is in passing over a crowd.
type pass struct {
	began  time.Duration // on the broker's clock
	next   int           // index of the next member, going down; those that join meanwhile are last and up to date
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

// seat moves so into the crowd of its loop. It returns nil if so is not one of
// the channel's streams that are told one by one, or has not read everything: then
// it has an errand. The caller holds c.mu.
func (c *channel) seat(so *socket) *crowd {
	position := so.stream.position.Load()
	if position < c.log.last {
		so.stream.pend(c)
		so.wake(so.stream)
		return nil
	}
	a := &c.readers
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.streams[so.stream]; !ok {
		return nil
	}
	delete(a.streams, so.stream)
	if len(a.streams) == 0 {
		a.streams = nil
		if len(a.feeds) == 0 {
			c.log.floor = nobody // there is none left to measure it
		}
	}
	cr := a.crowdOf(so.loop)
	if cr == nil {
		cr = &crowd{channel: c, loop: so.loop}
		cr.passed.Store(nobody)
		cr.served.Store(nobody)
		a.crowds = append(a.crowds, cr)
	}
	so.seat = int32(len(cr.members))
	cr.members = append(cr.members, so)
	cr.passed.Store(min(cr.passed.Load(), position))
	cr.served.Store(min(cr.served.Load(), position))
	c.log.passed = min(c.log.passed, position)
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

// unseat takes so out. A crowd without members is no longer told of anything.
func (cr *crowd) unseat(so *socket) {
	c := cr.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers.unseat(cr, so)
	c.log.passed, _ = c.readers.passed()
}

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
	cr.dirty.Store(false) // before the head is read: what comes later makes it dirty again
	c := cr.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	cr.pass = pass{began: clock, next: len(cr.members) - 1, target: c.log.last, low: nobody, lags: nobody}
}

// end finishes a pass: what was held for the members goes, and publishers that
// waited for them may go on. It reports whether some have not been sent
// everything.
func (cr *crowd) end(b *Broker, now time.Time) (more bool) {
	c := cr.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	served := min(cr.target, cr.low)
	if len(cr.members) == 0 {
		served = nobody
	}
	cr.served.Store(served)
	cr.passed.Store(min(served, cr.lags))
	c.log.passed, _ = c.readers.passed()
	if c.log.full() {
		b.held.Add(-c.log.trim(now.UnixMilli()))
	}
	c.giveRoom()
	return served < cr.target
}
