package broker

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxWrite bounds what one stream is sent at a time, in bytes, where it needs
	// more than the newest messages of its channel.
	maxWrite = 16 << 10
	// maxTurn bounds for how long a loop works at a long pass before publishers have
	// their turn: it carries the more, the more gathers meanwhile.
	maxTurn = 400 * time.Microsecond
	// maxShift bounds for how long it works at short ones. These gain nothing by
	// waiting, so that publishers should not run ahead of them.
	maxShift = 2 * time.Millisecond
	// stretchMembers is how many sockets have their turn before others do.
	stretchMembers = 16
	// linger is how long a client may take to hang up after the end of its stream. A
	// connection that is closed before would take what is still on its way with it.
	linger = time.Second
)

// loop writes to many sockets. It is one goroutine, which owns them for life: no
// part of a socket needs a lock. It never waits for one of them.
//
// A stream of one channel, once it needs nothing but what comes next in that, sits
// in the channel's crowd and is served in passes (see [crowd]); every other one
// runs its own errands.
type loop struct {
	// Static after construction.
	broker *Broker
	poll   *poll
	news   chan struct{} // capacity 1: there may be something in the inbox

	mu    sync.Mutex
	inbox inbox // guarded by mu
	over  bool  // guarded by mu

	// Owned by run.
	taken   inbox // the last inbox, emptied
	sockets []*socket
	life    int32
	wheel   wheel
	errands []*socket // that have something to do, oldest first
	passes  []*crowd  // that are being passed over, the next one first
	paced   []*crowd  // that were passed over a moment ago, and wait for their time
	volleys [4]volley // of this stretch of a pass
	loaded  int       // how many of them are
	batch   Batch
	out     []byte
	now     time.Time
	clock   time.Duration
	counted tally
}

// inbox is what others have for a loop.
type inbox struct {
	arrived []*socket
	woken   []*socket
	dirty   []*crowd
	hurried []*crowd
	ready   []readiness
}

func (in *inbox) reset() {
	clear(in.arrived)
	clear(in.woken)
	clear(in.dirty)
	clear(in.hurried)
	in.arrived, in.woken, in.ready = in.arrived[:0], in.woken[:0], in.ready[:0]
	in.dirty, in.hurried = in.dirty[:0], in.hurried[:0]
}

func newLoop(b *Broker) (*loop, error) {
	p, err := newPoll()
	if err != nil {
		return nil, err
	}
	return &loop{broker: b, poll: p, news: make(chan struct{}, 1)}, nil
}

// adopt makes so the loop's; false if the loop is over.
func (l *loop) adopt(so *socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.inbox.arrived = append(l.inbox.arrived, so)
	l.call()
	return true
}

// errand makes the loop look at so.
func (l *loop) errand(so *socket) {
	if so.called.Swap(true) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox.woken = append(l.inbox.woken, so)
	l.call()
}

// hear makes the loop pass over cr.
func (l *loop) hear(cr *crowd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox.dirty = append(l.inbox.dirty, cr)
	l.call()
}

// hurry makes the loop pass over cr as soon as it can, whatever the pace.
func (l *loop) hurry(cr *crowd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox.hurried = append(l.inbox.hurried, cr)
	l.call()
}

func (l *loop) call() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// stop makes run and watch return.
func (l *loop) stop() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.call()
}

// watch hands on what becomes of the sockets, until the poll is closed.
func (l *loop) watch() {
	for {
		ready, err := l.poll.wait()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.inbox.ready = append(l.inbox.ready, ready...)
		l.call()
		l.mu.Unlock()
	}
}

// run works until stop is called, then ends what is left.
func (l *loop) run() {
	defer l.poll.close()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		over := l.turn()
		if over {
			l.end()
			return
		}
		if len(l.errands)+len(l.passes) > 0 {
			l.poll.yield()
			continue
		}
		if wait, some := l.idle(); some {
			rest.Reset(wait)
		} else {
			rest.Stop()
		}
		select {
		case <-l.news:
		case <-rest.C:
		}
	}
}

// idle returns for how long there is nothing to do, and whether that ends by
// itself.
func (l *loop) idle() (wait time.Duration, some bool) {
	at, some := l.wheel.next()
	if len(l.paced) > 0 {
		due := l.paced[0].began + l.broker.opts.Pace
		if !some || due < at {
			at, some = due, true
		}
	}
	return max(at-l.broker.clock(time.Now()), 0), some
}

// turn takes what is new and works for a while. It reports whether the loop is to
// end.
func (l *loop) turn() (over bool) {
	l.look()
	began := l.now
	over = l.receive()
	l.wheel.turn(l.clock, l.ring)
	for len(l.paced) > 0 && l.clock >= l.paced[0].began+l.broker.opts.Pace {
		l.start(l.paced[0])
		l.paced = pop(l.paced)
	}
	for most := maxShift; l.now.Sub(began) < most && len(l.errands)+len(l.passes) > 0; l.look() {
		if most = maxShift; l.work() {
			most = maxTurn
		}
	}
	l.count()
	return over
}

func (l *loop) look() {
	l.now = time.Now()
	l.clock = l.broker.clock(l.now)
}

// work does some errands and one stretch of a pass. It reports whether that pass
// goes on.
func (l *loop) work() (long bool) {
	for range min(stretchMembers, len(l.errands)) { // not those that come meanwhile
		so := l.errands[0]
		l.errands = pop(l.errands)
		so.queued = false
		l.drive(so)
	}
	if len(l.passes) > 0 {
		cr := l.passes[0]
		l.passes = pop(l.passes)
		if l.stretch(cr); cr.next >= 0 {
			l.passes = append(l.passes, cr)
			return true
		}
		more := cr.end(l.broker, l.now)
		cr.lined = false
		if more || cr.again {
			cr.again = false
			l.line(cr)
		}
	}
	return false
}

// pop takes the first out of a queue.
func pop[T any](queue []T) []T {
	var none T
	queue[0] = none
	if len(queue) == 1 {
		return queue[:0]
	}
	return queue[1:]
}

// receive takes in what the others have left in the inbox.
func (l *loop) receive() (over bool) {
	l.mu.Lock()
	l.inbox, l.taken = l.taken, l.inbox
	over = l.over
	l.mu.Unlock()
	for _, e := range l.taken.ready {
		l.heed(e)
	}
	for _, so := range l.taken.arrived {
		l.welcome(so)
	}
	for _, so := range l.taken.woken {
		so.called.Store(false) // before it looks: who calls later has news
		l.queue(so)
	}
	for _, cr := range l.taken.dirty {
		l.line(cr)
	}
	for _, cr := range l.taken.hurried {
		if i := slices.Index(l.paced, cr); i >= 0 {
			l.paced = slices.Delete(l.paced, i, i+1)
			l.start(cr)
		}
	}
	l.taken.reset()
	return over
}

// end is the last of a loop: streams that were told to end say so if their
// sockets take it.
func (l *loop) end() {
	l.receive()
	for _, so := range l.sockets {
		if so == nil {
			continue
		}
		if so.state == open {
			l.drive(so)
		}
		if so.state == open || so.state == full {
			l.finish(so, ErrClosed)
		}
		if so.state == leaving {
			l.drop(so)
		}
	}
	l.count()
}

// tally is what a loop has sent and not counted yet.
type tally struct{ messages, bytes int64 }

// count adds the tally to the broker's counters.
func (l *loop) count() {
	if l.counted != (tally{}) {
		l.broker.Delivered(int(l.counted.messages), l.counted.bytes)
		l.counted = tally{}
	}
}
