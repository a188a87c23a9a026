package floor

import (
	"fmt"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// kind says what a connection is.
type kind uint8

const (
	closed  kind = iota
	asking       // sends requests: not known yet, or a publisher
	reader       // is sent a channel's log
	blocked      // a reader whose socket is full
)

// conn is all that the floor keeps of a connection: 32 bytes.
type conn struct {
	cursor int64    // readers: position of the next byte to send
	ch     *channel // readers
	part   *[]byte  // asking: the beginning of a request whose rest has not come
	place  int32    // readers: index in ch.readers
	kind   kind
}

const (
	watchInput = unix.EPOLLIN | unix.EPOLLRDHUP
	watchBoth  = watchInput | unix.EPOLLOUT

	published  = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
	subscribed = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
	refused    = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

// accept takes all connections that wait.
func (s *server) accept() error {
	for {
		fd, errno := accept(s.listener)
		switch {
		case errno == syscall.EAGAIN:
			return nil
		case errno == syscall.EINTR || errno == syscall.ECONNABORTED:
			continue
		case errno != 0:
			return fmt.Errorf("floor: accept: %w", errno)
		case int(fd) >= len(s.conns):
			closeFD(fd)
			continue
		}
		if s.config != nil && s.secure(fd) != nil {
			s.secured[fd] = nil
			closeFD(fd)
			continue
		}
		s.conns[fd] = conn{kind: asking}
		if errno := watch(s.epoll, unix.EPOLL_CTL_ADD, fd, watchInput); errno != 0 {
			return fmt.Errorf("floor: epoll: %w", errno)
		}
		if s.config != nil {
			s.serve(fd, unix.EPOLLIN) // crypto/tls may have read a request with the handshake
		}
	}
}

// serve does what a connection is ready for. An event may be about an earlier
// connection of the same number: then there is nothing to read, and no harm.
func (s *server) serve(fd int32, events uint32) {
	c := &s.conns[fd]
	if c.kind == blocked && events&unix.EPOLLOUT != 0 {
		s.resume(fd, c)
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	switch c.kind {
	case asking:
		// crypto/tls may have read more than it gives at a time.
		for s.ask(fd, c) && s.over(fd) != nil && c.kind == asking {
		}
	case reader, blocked:
		// It has nothing to say any more; this is how its end is seen.
		if n, errno := receive(fd, s.in[:]); over(n, errno) {
			s.close(fd, c)
		}
	case closed:
	}
}

// over says whether the outcome of a receive is the connection's end.
func over(n int, errno syscall.Errno) bool {
	return errno == 0 && n == 0 || errno != 0 && errno != syscall.EAGAIN && errno != syscall.EINTR
}

// ask reads requests and answers them. It returns false if there was nothing to read.
func (s *server) ask(fd int32, c *conn) bool {
	have := 0
	if c.part != nil {
		have = copy(s.in[:], *c.part)
	}
	n, errno := s.receive(fd, s.in[have:])
	if over(n, errno) {
		s.close(fd, c)
		return false
	}
	if errno != 0 {
		return false
	}
	rest := s.in[:have+n]
	s.out = s.out[:0]
	for len(rest) > 0 {
		r, size, err := parse(rest)
		if err != nil {
			_, _ = s.send(fd, append(s.out, refused...))
			s.close(fd, c)
			return false
		}
		if size == 0 {
			break
		}
		rest = rest[size:]
		ch := s.channel(r.channel)
		if !r.publish {
			s.subscribe(fd, c, ch, &r)
			return true
		}
		s.publish(ch, r.body)
		s.out = append(s.out, published...)
	}
	c.part = nil
	if len(rest) > 0 {
		part := append([]byte(nil), rest...)
		c.part = &part
	}
	// A publisher that does not take its answers is no publisher of a benchmark.
	if len(s.out) > 0 {
		if n, errno := s.send(fd, s.out); errno != 0 || n < len(s.out) {
			s.close(fd, c)
		}
	}
	return true
}

// channel is the channel of that name, made when there is none.
func (s *server) channel(name []byte) *channel {
	ch := s.channels[string(name)]
	if ch == nil {
		ch = &channel{}
		s.channels[string(name)] = ch
	}
	return ch
}

// subscribe makes a connection a reader and sends it the head of the answer, the
// first event and, if it resumes, what it missed.
func (s *server) subscribe(fd int32, c *conn, ch *channel, r *request) {
	position, id := ch.end(), ch.lastID()
	if r.resume {
		position, id = ch.after(r.lastID)
	}
	s.out = append(s.out, subscribed...)
	s.out = append(s.out, "id: "...)
	s.out = strconv.AppendInt(s.out, id, 10)
	s.out = append(s.out, "\nevent: open\ndata: 1\n\n"...)
	intro := len(s.out)
	s.out = append(s.out, ch.from(position)...)
	*c = conn{kind: reader, ch: ch, cursor: position, place: int32(len(ch.readers))}
	ch.readers = append(ch.readers, fd)
	if over := s.over(fd); over != nil {
		c.cursor = ch.end()
		if !s.detach(fd, over, s.out) {
			s.close(fd, c)
		} else if len(over.rest) > 0 {
			s.block(fd, c)
		}
		return
	}
	n, errno := send(fd, s.out)
	if errno != 0 || n < intro {
		s.close(fd, c) // a new socket has room for the intro
		return
	}
	c.cursor += int64(n - intro)
	if n < len(s.out) {
		s.block(fd, c)
	}
}

// progress is what came of sending to a reader.
type progress uint8

const (
	done progress = iota // all was sent
	full                 // the socket took a part, or nothing
	lost                 // the connection is over
)

// advance sends a reader the log up to limit, and ends a connection that is over.
func (s *server) advance(fd int32, c *conn, limit int64) progress {
	p := s.sendTo(fd, c, c.ch.from(c.cursor)[:limit-c.cursor])
	switch {
	case p == lost:
		s.close(fd, c)
	case p == full && c.kind == reader:
		s.block(fd, c)
	}
	return p
}

// sendTo sends a reader the next bytes of the log. Over TLS all of them are sealed, and
// what the socket does not take of that is kept.
func (s *server) sendTo(fd int32, c *conn, p []byte) progress {
	if over := s.over(fd); over != nil {
		c.cursor += int64(len(p))
		return s.seal(fd, over, p)
	}
	n, errno := send(fd, p)
	switch {
	case errno == syscall.EAGAIN, errno == syscall.EINTR: // then the socket is asked at the next poll
		return full
	case errno != 0:
		return lost
	}
	c.cursor += int64(n)
	if n < len(p) {
		return full
	}
	return done
}

// block has a reader wait until its socket takes bytes.
func (s *server) block(fd int32, c *conn) {
	c.kind = blocked
	_ = watch(s.epoll, unix.EPOLL_CTL_MOD, fd, watchBoth)
}

// resume sends a reader whose socket takes bytes again all that it lacks, an event
// a write in the mode Write.
func (s *server) resume(fd int32, c *conn) {
	if over := s.over(fd); over != nil && len(over.rest) > 0 && s.advance(fd, c, c.cursor) != done {
		return
	}
	for c.cursor < c.ch.end() {
		limit := c.ch.end()
		if s.mode == Write {
			limit = c.ch.frameEnd(c.cursor)
		}
		if s.advance(fd, c, limit) != done {
			return
		}
	}
	c.kind = reader
	_ = watch(s.epoll, unix.EPOLL_CTL_MOD, fd, watchInput)
}

// close ends a connection.
func (s *server) close(fd int32, c *conn) {
	if c.ch != nil {
		c.ch.readers[c.place] = gone
		c.ch.left++
	}
	*c = conn{}
	if s.secured != nil {
		s.secured[fd] = nil
	}
	closeFD(fd)
}
