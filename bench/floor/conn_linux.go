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
		s.conns[fd] = conn{kind: asking}
		if errno := watch(s.epoll, unix.EPOLL_CTL_ADD, fd, watchInput); errno != 0 {
			return fmt.Errorf("floor: epoll: %w", errno)
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
		s.ask(fd, c)
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

// ask reads requests and answers them.
func (s *server) ask(fd int32, c *conn) {
	have := 0
	if c.part != nil {
		have = copy(s.in[:], *c.part)
	}
	n, errno := receive(fd, s.in[have:])
	if over(n, errno) {
		s.close(fd, c)
		return
	}
	if errno != 0 {
		return
	}
	rest := s.in[:have+n]
	s.out = s.out[:0]
	for len(rest) > 0 {
		r, size, err := parse(rest)
		if err != nil {
			_, _ = send(fd, append(s.out, refused...))
			s.close(fd, c)
			return
		}
		if size == 0 {
			break
		}
		rest = rest[size:]
		ch := s.channel(r.channel)
		if !r.publish {
			s.subscribe(fd, c, ch, &r)
			return
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
	if n, errno := send(fd, s.out); len(s.out) > 0 && (errno != 0 || n < len(s.out)) {
		s.close(fd, c)
	}
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

// advance sends a reader the log up to limit, and says whether it is still there.
func (s *server) advance(fd int32, c *conn, limit int64) bool {
	want := int(limit - c.cursor)
	n, errno := send(fd, c.ch.from(c.cursor)[:want])
	switch {
	case errno == syscall.EAGAIN:
		n = 0
	case errno == syscall.EINTR:
		n = 0 // the socket is asked at the next poll
	case errno != 0:
		s.close(fd, c)
		return false
	}
	c.cursor += int64(n)
	if n < want && c.kind == reader {
		s.block(fd, c)
	}
	return true
}

// block has a reader wait until its socket takes bytes.
func (s *server) block(fd int32, c *conn) {
	c.kind = blocked
	_ = watch(s.epoll, unix.EPOLL_CTL_MOD, fd, watchBoth)
}

// resume sends a reader whose socket takes bytes again all that it lacks, an event
// a write in the mode Write.
func (s *server) resume(fd int32, c *conn) {
	for c.cursor < c.ch.end() {
		limit := c.ch.end()
		if s.mode == Write {
			limit = c.ch.frameEnd(c.cursor)
		}
		before := c.cursor
		if !s.advance(fd, c, limit) || c.cursor == before {
			return
		}
		if c.cursor < limit {
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
	closeFD(fd)
}
