package broker

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// maxWrite bounds what one stream is sent at a time, in bytes, where it needs
	// more than the newest messages of its channel.
	maxWrite = 16 << 10
	// maxTurn bounds for how long a loop works before publishers have their turn.
	maxTurn = 200 * time.Microsecond
	// stretchMembers is how many sockets have their turn before others do.
	stretchMembers = 16
	// linger is how long a client may take to hang up after the end of its stream. A
	// connection that is closed before would take what is still on its way with it.
	linger = time.Second
)

// loop writes to many sockets. It is one goroutine, which owns them for life: no
// part of a socket needs a lock. It never waits for one of them.
//
// A stream of one channel that has caught up sits in the channel's crowd, and is
// served in passes (see [crowd]); every other one runs its own errands.
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
	for l.now.Sub(began) < maxTurn && len(l.errands)+len(l.passes) > 0 {
		l.work()
		l.look()
	}
	l.count()
	return over
}

func (l *loop) look() {
	l.now = time.Now()
	l.clock = l.broker.clock(l.now)
}

// work does some errands and one stretch of a pass.
func (l *loop) work() {
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
			return
		}
		more := cr.end(l.broker, l.now)
		cr.lined = false
		if more || cr.again {
			cr.again = false
			l.line(cr)
		}
	}
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

// line puts a dirty crowd in line for a pass: now, or when it is time again.
func (l *loop) line(cr *crowd) {
	if cr.lined {
		cr.again = true
		return
	}
	cr.lined = true
	if cr.began != 0 && l.clock < cr.began+l.broker.opts.Pace {
		l.paced = append(l.paced, cr)
		return
	}
	l.start(cr)
}

// start begins a pass.
func (l *loop) start(cr *crowd) {
	cr.begin(l.clock)
	l.passes = append(l.passes, cr)
}

// welcome begins to serve a socket that was taken over.
func (l *loop) welcome(so *socket) {
	for int(so.fd) >= len(l.sockets) {
		l.sockets = append(l.sockets, make([]*socket, 64+len(l.sockets)/4)...)
	}
	l.life++
	so.life = l.life
	l.sockets[so.fd] = so
	so.stream.carryBy(so)
	if err := l.poll.add(so.fd, so.life, l.broker.opts.WriteTimeout); err != nil {
		l.finish(so, err)
		return
	}
	l.queue(so)
}

// queue gives so an errand, unless it has one, or can do nothing now.
func (l *loop) queue(so *socket) {
	if !so.queued && so.state == open {
		so.queued = true
		l.errands = append(l.errands, so)
	}
}

// heed acts on what the system says of a socket.
func (l *loop) heed(e readiness) {
	if int(e.fd) >= len(l.sockets) {
		return
	}
	so := l.sockets[e.fd]
	switch {
	case so == nil || so.life != e.life:
	case e.gone && so.state == leaving:
		l.drop(so)
	case e.gone:
		l.finish(so, hangUp(so.fd))
	case so.state == full:
		so.state = open
		l.queue(so)
	}
}

// ring is called when a socket's alarm goes off.
func (l *loop) ring(so *socket) {
	switch {
	case so.state == leaving:
		l.drop(so)
	case so.state == open && so.stream.rest(l.now) > 0:
		l.wheel.set(so, l.clock+so.stream.rest(l.now)) // it was written to meanwhile
	case so.state == open:
		l.queue(so)
	case l.clock < so.jam.deadline:
		l.wheel.set(so, so.jam.deadline)
	case so.sent >= so.jam.owed:
		l.wait(so)
	default:
		l.finish(so, os.ErrDeadlineExceeded)
	}
}

// wait gives a socket that is full the write time-out to take a little more.
func (l *loop) wait(so *socket) {
	so.state = full
	so.jam.owed = so.sent + min(int64(len(so.jam.rest)), maxWrite)
	so.jam.deadline = l.clock + l.broker.opts.WriteTimeout
	l.wheel.set(so, so.jam.deadline)
}

// drive sends what the stream of so has, as far as its turn goes.
func (l *loop) drive(so *socket) {
	if so.state != open {
		return
	}
	s := so.stream
	for budget := maxVolley; ; {
		if so.jam != nil && len(so.jam.rest) > 0 && !s.opening() && !l.flush(so) {
			return
		}
		if s.closed {
			l.finish(so, io.EOF)
			return
		}
		if so.crowd != nil {
			l.loaded = 0
			s.forget() // what it has taken by itself: it goes on from its position
			sent, ok := l.catchUp(so)
			if so.state != open {
				return
			}
			if ok && sent > 0 {
				if budget -= sent; budget <= 0 {
					l.queue(so)
					return
				}
				continue
			}
			if c := so.crowd.channel.Load(); c != nil {
				s.pend(c)
			}
		}
		s.gather(&l.batch, l.now, maxWrite)
		if len(l.batch.Events) == 0 {
			l.join(so)
			l.settle(so)
			return
		}
		budget -= l.post(so)
		if so.state != open {
			return
		}
		l.join(so)
		if budget <= 0 && !s.closed {
			l.queue(so)
			return
		}
	}
}

// opening reports whether nothing has been handed out yet.
func (s *Stream) opening() bool { return s.intro != nil && !s.intro.said }

// post sends the loop's batch and returns its length.
func (l *loop) post(so *socket) int {
	out := l.out[:0]
	if so.jam != nil { // the head of the answer leaves with the first event
		out = append(out, so.jam.rest...)
		so.jam.rest = nil
	}
	for _, event := range l.batch.Events {
		out = so.coding.append(out, event)
	}
	if so.stream.closed {
		out = so.coding.end(out)
	}
	l.counted.messages += int64(l.batch.Messages)
	if l.out = out; cap(out) > 4*maxVolley {
		l.out = nil
	}
	if n := l.write(so, out); n < len(out) && so.state == open {
		l.fill(so, out[n:])
	}
	return len(out)
}

// flush sends the rest and reports whether nothing of it is left.
func (l *loop) flush(so *socket) bool {
	rest := so.jam.rest
	n := l.write(so, rest)
	if so.state != open {
		return false
	}
	if n < len(rest) {
		l.fill(so, rest[n:])
		return false
	}
	so.jam.rest = nil
	return true
}

// fill notes that so takes nothing more, and what it has to be sent first when it
// does.
func (l *loop) fill(so *socket, rest []byte) {
	if so.jam == nil {
		so.jam = new(jam)
	}
	so.jam.rest = bytes.Clone(rest)
	late := so.stream.lags.Swap(true)
	if late && so.sent < so.jam.owed { // the time-out is running
		so.state = full
		l.wheel.set(so, so.jam.deadline)
		return
	}
	l.wait(so)
}

// write sends p, or a part of it if the socket takes no more. When the connection
// has failed, the stream is finished.
func (l *loop) write(so *socket, p []byte) int {
	n, err := send(so.fd, p)
	if err != nil {
		l.finish(so, err)
		return 0
	}
	so.sent += int64(n)
	l.counted.bytes += int64(n)
	return n
}

// join makes so a member of its channel's crowd, if its stream needs nothing else
// than that is served.
func (l *loop) join(so *socket) {
	if so.crowd != nil || so.stream.closed || !so.stream.plain() {
		return
	}
	if so.crowd = l.broker.registry.seat(so); so.crowd != nil {
		so.stream.forget()
	}
}

// settle leaves so alone until there is news or its alarm goes off.
func (l *loop) settle(so *socket) {
	if so.crowd != nil && so.jam != nil {
		l.line(so.crowd) // for what is held for so to go
	}
	so.jam = nil
	l.wheel.set(so, l.clock+so.stream.rest(l.now))
}

// stretch serves the next members of a crowd.
func (l *loop) stretch(cr *crowd) {
	l.loaded = 0
	cr.next = min(cr.next, len(cr.members)-1)
	for n := 0; n < stretchMembers && cr.next >= 0; n++ {
		so := cr.members[cr.next]
		cr.next--
		l.serve(cr, so)
	}
}

// serve is the turn of so in a pass over its crowd.
func (l *loop) serve(cr *crowd, so *socket) {
	s := so.stream
	if !s.lags.Load() && (so.jam == nil || so.jam.rest == nil) { // else it gets there by itself
		if _, ok := l.catchUp(so); !ok {
			l.queue(so)
		}
	}
	switch position := s.position.Load(); {
	case so.crowd == nil: // it is over
	case s.lags.Load():
		cr.lags = min(cr.lags, position)
	default:
		cr.low = min(cr.low, position)
	}
}

// catchUp sends so what comes next in its crowd's channel, and returns how many
// bytes that is. It reports false if the stream has to find out by itself what
// comes next.
func (l *loop) catchUp(so *socket) (sent int, ok bool) {
	s := so.stream
	v := l.volley(so.crowd, key{from: s.position.Load(), format: s.format, coding: so.coding, topics: s.wants.selectors[0].Topics})
	if v == nil || s.ending.Load() != nil {
		return 0, false
	}
	if len(v.bytes) == 0 {
		s.position.Store(v.to)
		return 0, true
	}
	n := l.write(so, v.bytes)
	if so.state != open {
		return n, true
	}
	to, messages := cut{seq: v.last}, v.messages
	if n < len(v.bytes) { // the message that this is in is finished later, and those after it are not taken yet
		to, messages = v.cutAt(n)
		l.fill(so, v.bytes[n:to.end])
		s.position.Store(to.seq)
	} else {
		s.position.Store(v.to)
	}
	s.reported = to.seq
	s.messages += int64(messages)
	l.counted.messages += int64(messages)
	s.delayBeat(l.now)
	return n, true
}

// volley returns what k is sent of the crowd's channel, loaded at most once in a
// stretch; nil if the stream has to find out by itself.
func (l *loop) volley(cr *crowd, k key) *volley {
	c := cr.channel.Load()
	if c == nil {
		return nil
	}
	for i := range l.loaded {
		if l.volleys[i].equal(&k) {
			return &l.volleys[i]
		}
	}
	if l.loaded == len(l.volleys) {
		l.loaded = 0
	}
	v := &l.volleys[l.loaded]
	if !v.load(c, k) {
		return nil
	}
	l.loaded++
	return v
}

// finish ends a stream, with why. After a $close the connection stays until the
// client has hung up.
func (l *loop) finish(so *socket, why error) {
	s := so.stream
	if so.crowd != nil {
		l.broker.registry.unseat(so)
		so.crowd = nil
	}
	s.Close()
	so.stream, so.jam = nil, nil
	if errors.Is(why, io.EOF) {
		so.state = leaving
		shutdown(so.fd)
		l.wheel.set(so, l.clock+linger)
	} else {
		l.release(so, timedOut(why))
	}
	l.broker.stopped.Go(func() { so.done(s, so.sent, why) }) // it logs, and that may take a while
}

// drop closes a socket whose stream is over.
func (l *loop) drop(so *socket) { l.release(so, false) }

// release closes the descriptor; what is not sent yet is thrown away with abort.
func (l *loop) release(so *socket, abort bool) {
	l.wheel.cancel(so)
	so.state = closed
	l.sockets[so.fd] = nil
	closeSocket(int(so.fd), abort)
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
