package broker

import (
	"bytes"
	"errors"
	"io"
	"os"
)

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
