package broker

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/internal/netpoll"
	"github.com/sluicehq/sluice/broker/internal/timerwheel"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// socket is a connection that a loop has taken over, and the stream that it carries.
// The loop owns all of it. index is also read by others, who hold the mutex of the
// channel's subscribers.
type socket struct {
	loop       *loop
	cursor     *cursor // of the stream, which has only this one; nil once the stream is over
	group      *group  // nil: the stream is notified individually
	done       func(s *Stream, sent int64, err error)
	sealer     *tlsrecord.Sealer // nil: what is sent is not sealed
	stall      *stall            // nil while the socket accepts everything
	sent       int64             // bytes
	timer      timerwheel.Timer[*socket]
	index      int32 // in the group's members
	fd         int32
	generation int32 // tells this socket from earlier ones with the same descriptor
	coding     coding
	state      state
	queued     bool        // among the loop's tasks
	inInbox    atomic.Bool // among the inbox's woken
}

// stall is the state of a socket that was full, until it has caught up. A socket that
// was just taken over has one, too: what is left to send is the head of the response.
type stall struct {
	sealed   []byte        // the rest of a record that was sent in part; comes before unsent
	unsent   []byte        // the rest of an event that was sent in part; not sealed
	minSent  int64         // the deadline is put off if sent has reached this by then
	deadline time.Duration // on the broker's clock
}

// state is what a loop does with a socket.
type state uint8

const (
	open    state = iota
	full          // accepts nothing now: everything waits until it does
	leaving       // everything is sent, and the client has not hung up yet
	closed
)

// Timer implements [timerwheel.Item].
func (so *socket) Timer() *timerwheel.Timer[*socket] { return &so.timer }

// owes reports whether something is left to send before anything else.
func (so *socket) owes() bool {
	return so.stall != nil && len(so.stall.sealed)+len(so.stall.unsent) > 0
}

// wake implements [carrier].
func (so *socket) wake(*Stream) bool {
	so.loop.wake(so)
	return false
}

// addSocket starts to serve a socket that was taken over.
func (l *loop) addSocket(so *socket) {
	for int(so.fd) >= len(l.sockets) {
		l.sockets = append(l.sockets, make([]*socket, 64+len(l.sockets)/4)...)
	}
	l.generation++
	so.generation = l.generation
	l.sockets[so.fd] = so
	so.cursor.stream.setCarrier(so)
	if err := l.poll.Add(so.fd, so.generation, l.shard.opts.WriteTimeout, so.sealer != nil); err != nil {
		l.finish(so, err)
		return
	}
	l.addTask(so)
}

// addTask gives so a task, unless it has one or cannot be written to now.
func (l *loop) addTask(so *socket) {
	if !so.queued && so.state == open {
		so.queued = true
		l.tasks = append(l.tasks, so)
	}
}

// handleEvent reacts to what the system reports of a socket.
func (l *loop) handleEvent(e netpoll.Event) {
	if int(e.FD) >= len(l.sockets) {
		return
	}
	so := l.sockets[e.FD]
	switch {
	case so == nil || so.generation != e.Generation:
	case e.Gone && so.state == leaving:
		l.closeSocket(so, false)
	case e.Gone:
		l.finish(so, netpoll.HangUpCause(so.fd))
	case e.Input && so.state != leaving && l.refuseInput(so):
	case so.state == full:
		so.state = open
		l.addTask(so)
	}
}

// timeout is called when the timer of so fires.
func (l *loop) timeout(so *socket) {
	switch {
	case so.state == leaving:
		l.closeSocket(so, false)
	case so.state == open && so.cursor.stream.untilDue(l.now) > 0:
		l.wheel.Set(so, l.clock+so.cursor.stream.untilDue(l.now)) // it was written to meanwhile
	case so.state == open:
		l.addTask(so)
	case l.clock < so.stall.deadline:
		l.wheel.Set(so, so.stall.deadline)
	case so.sent >= so.stall.minSent:
		l.startWriteTimeout(so)
	default:
		l.finish(so, os.ErrDeadlineExceeded)
	}
}

// startWriteTimeout gives a full socket the write timeout to accept a little more.
func (l *loop) startWriteTimeout(so *socket) {
	so.state = full
	so.stall.minSent = so.sent + min(int64(len(so.stall.sealed)+len(so.stall.unsent)), maxWrite)
	so.stall.deadline = l.clock + l.shard.opts.WriteTimeout
	l.wheel.Set(so, so.stall.deadline)
}

// drive runs the task of so: it sends what the stream has, up to one turn's worth.
func (l *loop) drive(so *socket) {
	if so.state != open {
		return
	}
	s := so.cursor.stream
	for budget := maxWriteBatch; ; {
		if so.owes() && !s.opening() && !l.flush(so) {
			return
		}
		if s.closed {
			if l.sayGoodbye(so) {
				l.finish(so, io.EOF)
			}
			return
		}
		if so.group != nil {
			l.built = 0
			so.cursor.releaseSources() // the stream goes on from its position, not from what it has read ahead
			lagged := so.cursor.isLagging()
			sent, ok := l.sendBatch(so)
			if sent > 0 {
				l.measureTask(l.batches[0].sample, lagged || so.state != open)
			}
			if so.state != open {
				return
			}
			if ok && sent > 0 {
				if budget -= sent; budget <= 0 {
					l.addTask(so)
					return
				}
				continue
			}
			if c := so.group.channel.Load(); c != nil && !ok {
				so.cursor.markPending(c)
			}
		}
		l.batch.lagged = so.cursor.isLagging() // it may have caught up after that
		from := so.cursor.position.Load()
		s.gather(&l.batch, l.now, maxWrite)
		if len(l.batch.Events) == 0 {
			l.tryJoinGroup(so)
			l.park(so)
			return
		}
		budget -= l.post(so)
		if l.shard.opts.Deliveries != nil && so.cursor != nil && !l.batch.lagged {
			so.written(from)
		}
		if so.state != open {
			return
		}
		l.tryJoinGroup(so)
		if budget <= 0 && !s.closed {
			l.addTask(so)
			return
		}
	}
}

// opening reports whether nothing has been handed out yet.
func (s *Stream) opening() bool { return s.preamble != nil && !s.preamble.opened }

// post sends the loop's batch and returns its length in bytes.
func (l *loop) post(so *socket) int {
	out := l.out[:0]
	if so.stall != nil { // the head of the response leaves with the first event
		out = append(out, so.stall.unsent...)
		so.stall.unsent = nil
	}
	for _, event := range l.batch.Events {
		out = so.coding.append(out, event)
	}
	if so.cursor.stream.closed {
		out = so.coding.end(out)
	}
	l.uncounted.messages += int64(l.batch.Messages)
	if l.out = out; cap(out) > 4*maxWriteBatch {
		l.out = nil
	}
	n, all := l.write(so, out)
	l.measureTask(l.batch.sample, l.batch.lagged || !all)
	if !all {
		l.block(so, out[n:])
	}
	return len(out)
}

// measureTask measures what a task has just written, if nothing of that kind was measured
// in this turn.
func (l *loop) measureTask(s sample, lagged bool) {
	if l.batch.measured && s.at != 0 {
		l.batch.measured = false
		l.shard.broker.stats.measure(s, lagged)
	}
}

// flush sends what so owes and reports whether nothing is left.
func (l *loop) flush(so *socket) bool {
	if sealed := so.stall.sealed; len(sealed) > 0 {
		n, ok := l.writeRaw(so, sealed)
		if !ok {
			return false
		}
		if so.stall.sealed = sealed[n:]; n < len(sealed) {
			l.block(so, so.stall.unsent)
			return false
		}
	}
	rest := so.stall.unsent
	n, all := l.write(so, rest)
	if !all {
		l.block(so, rest[n:])
		return false
	}
	if so.state != open {
		return false
	}
	so.stall.unsent = nil
	return true
}

// block notes that so accepts nothing more, and what must be sent first when it does.
func (l *loop) block(so *socket, rest []byte) {
	if so.stall == nil {
		so.stall = new(stall)
	}
	so.stall.unsent = bytes.Clone(rest)
	so.cursor.stream.stall()
	late := !so.cursor.fallBehind()
	if late && so.sent < so.stall.minSent { // the write timeout is running
		so.state = full
		l.wheel.Set(so, so.stall.deadline)
		return
	}
	l.startWriteTimeout(so)
}

// write sends p, or as much of it as the socket accepts now, and returns how much of p
// that was. all is false if the socket is full, and the caller must block it. If the
// connection has failed, write finishes the stream.
func (l *loop) write(so *socket, p []byte) (n int, all bool) {
	if so.sealer != nil {
		return l.writeSealed(so, p)
	}
	n, ok := l.writeRaw(so, p)
	return n, !ok || n == len(p)
}

// writeRaw sends p as it is, or as much of it as the socket accepts now. It reports false
// if the connection has failed, and the stream is finished.
func (l *loop) writeRaw(so *socket, p []byte) (n int, ok bool) {
	n, err := netpoll.Write(so.fd, p)
	if err != nil {
		l.finish(so, err)
		return 0, false
	}
	so.sent += int64(n)
	l.uncounted.bytes += int64(n)
	return n, true
}

// writeSealed is write for a socket on which everything is sealed. A record that the
// socket accepts in part is finished later with the very same bytes: sealed again, it
// would be a second one under its number, and the two would reveal each other. So a
// record is kept until it is sent, the next one is not sealed before that, and n counts
// what is in records, sent or kept.
func (l *loop) writeSealed(so *socket, p []byte) (n int, all bool) {
	out := l.sealed[:0]
	if so.stall != nil { // the head of the response leaves with the first event
		out = append(out, so.stall.sealed...)
		so.stall.sealed = nil
	}
	for n < len(p) {
		part := p[n:min(len(p), n+tlsrecord.MaxPlaintext)]
		var err error
		if out, err = so.sealer.Seal(out, tlsrecord.ApplicationData, part); err != nil {
			l.finish(so, err)
			return n, true
		}
		n += len(part)
		sent, ok := l.writeRaw(so, out)
		if !ok {
			return n, true
		}
		if sent < len(out) {
			so.keepSealed(out[sent:])
			break
		}
		out = out[:0]
	}
	l.sealed = out[:0]
	if so.sealer.Spent() {
		so.cursor.stream.End(MaxAge()) // the next stream has keys of its own
	}
	return n, so.stall == nil || len(so.stall.sealed) == 0
}

// keepSealed keeps the rest of a record.
func (so *socket) keepSealed(rest []byte) {
	if so.stall == nil {
		so.stall = new(stall)
	}
	so.stall.sealed = bytes.Clone(rest)
}

// sayGoodbye tells the client that nothing follows, on a socket on which everything is
// sealed. It reports false if that has yet to be sent, or the connection has failed.
func (l *loop) sayGoodbye(so *socket) bool {
	if so.sealer == nil {
		return true
	}
	out, err := so.sealer.CloseNotify(l.sealed[:0])
	so.sealer = nil // nothing is sealed after it
	if err != nil {
		return true
	}
	n, ok := l.writeRaw(so, out)
	if ok && n < len(out) {
		so.keepSealed(out[n:])
		l.block(so, nil)
		return false
	}
	return ok
}

// refuseInput deals with what a client has sent after its request, on a socket on which
// everything is sealed. It cannot be opened here. What is as short as an alert is taken
// for the client's goodbye, which ends the stream, and refuseInput reports true. Anything
// else would need an answer of crypto/tls: the client is told to come back.
func (l *loop) refuseInput(so *socket) bool {
	var header [tlsrecord.HeaderLen]byte
	n := netpoll.Peek(so.fd, header[:])
	if tlsrecord.LooksLikeAlert(header[:n]) {
		l.finish(so, netpoll.ErrHungUp)
		return true
	}
	if n > 0 {
		so.cursor.stream.End(MaxAge())
	}
	return false
}

// tryJoinGroup makes so a member of its channel's group if the group serves everything
// that its stream needs.
func (l *loop) tryJoinGroup(so *socket) {
	if so.group != nil || so.cursor.stream.closed || !so.cursor.canJoinGroup() {
		return
	}
	if so.group = l.shard.registry.joinGroup(so); so.group != nil {
		so.cursor.releaseSources()
	}
}

// park leaves so alone until there is news or its timer fires.
func (l *loop) park(so *socket) {
	if so.group != nil {
		so.cursor.releaseSources()
		if so.stall != nil {
			l.queueSweep(so.group) // so that the log drops what it holds for so
		}
	}
	so.stall = nil
	l.wheel.Set(so, l.clock+so.cursor.stream.untilDue(l.now))
}

// finish ends a stream because of why. After $close, which io.EOF stands for, the
// connection stays open until the client has hung up.
func (l *loop) finish(so *socket, why error) {
	s := so.cursor.stream
	if so.group != nil {
		l.shard.registry.leaveGroup(so)
		if len(so.group.members) == 0 {
			so.group.following.Passed(ring.NoReader) // there is no sweep any more
		}
		so.group = nil
	}
	s.Close() // whoever sees that it has finished sees its place free, too, and all of it counted
	l.flushTally()
	if so.sealer != nil && !so.owes() { // else the client would take it for a part of the record that was cut off
		if goodbye, err := so.sealer.CloseNotify(nil); err == nil {
			n, _ := netpoll.Write(so.fd, goodbye)
			so.sent += int64(n)
		}
	}
	so.sealer = nil
	so.cursor, so.stall = nil, nil
	if errors.Is(why, io.EOF) {
		so.state = leaving
		netpoll.Shutdown(so.fd)
		l.wheel.Set(so, l.clock+hangUpTimeout)
	} else {
		l.closeSocket(so, timedOut(why))
	}
	l.shard.broker.wg.Go(func() { so.done(s, so.sent, why) }) // it logs, which may take a while
}

// closeSocket closes the descriptor. With abort, bytes not sent yet are thrown away.
func (l *loop) closeSocket(so *socket, abort bool) {
	l.wheel.Cancel(so)
	so.state = closed
	l.sockets[so.fd] = nil
	netpoll.Close(int(so.fd), abort)
}

// timedOut reports whether err means that the client accepted nothing for too long.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
