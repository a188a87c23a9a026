package load

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// reader is one stream. It is as small as it can be, since there are many.
type reader struct {
	fd      int32 // -1 when closed
	channel int32
	over    *secured // nil without TLS
	session *session // nil unless sessions are remembered
	headBuf []byte   // the head so far; nil after it
	open    bool     // the head has come
	body    body
	scan    Scanner
	last    *LastID       // nil unless ids are remembered
	tokens  *TokenScanner // of a text; nil if messages come
}

// Stream says which stream to open.
type Stream struct {
	Request []byte // a whole GET request
	Channel int    // number of the channel whose messages come
	Text    bool   // the tokens of a text come, and not messages
	All     bool   // from the first one on, not only what is published from now on
}

// openAhead is how many streams may be waiting for their head while more are opened: fewer
// than a listener's backlog holds.
const openAhead = 256

// Subscribe opens more readers, which are due all that is published from now on, and
// returns when each has the head of its answer. Reader numbers go on from those there are.
// It fails if an answer's status is not 200.
func (c *Client) Subscribe(n int, stream func(reader int) Stream) error {
	first := len(c.readers)
	c.readers = append(c.readers, make([]reader, n)...)
	c.sequences.grow(len(c.readers))
	for i := first; i < len(c.readers); i++ {
		s := stream(i)
		c.readers[i] = reader{fd: -1, channel: int32(s.Channel)}
		if c.config.RememberIDs {
			c.readers[i].last = &LastID{Prefix: []byte(c.config.IDPrefix)}
		}
		if c.config.RememberSessions {
			c.readers[i].session = &session{}
		}
		for p := range c.config.Publishers {
			if s.All {
				c.due += uint64(c.sent[p][s.Channel])
			} else {
				c.sequences.due[i*c.config.Publishers+p] = c.sent[p][s.Channel]
			}
		}
		if s.Text {
			c.readers[i].tokens = &TokenScanner{}
		}
		c.perChannel[s.Channel]++
		if err := c.open(i, s.Request); err != nil {
			return err
		}
	}
	return c.until(c.allOpen, headLimit)
}

// Return opens readers again that [Client.Hangup] closed, each due what comes after what it
// has. It does not wait for anything: see [Client.Drain].
func (c *Client) Return(request func(reader int, lastID []byte) []byte) error {
	for i := range c.readers {
		if err := c.open(i, request(i, c.readers[i].last.ID())); err != nil {
			return err
		}
	}
	return nil
}

// Hangup closes all readers.
func (c *Client) Hangup() {
	for i := range c.readers {
		c.closeReader(&c.readers[i])
	}
}

// open connects reader i, and serves the others now and then meanwhile.
func (c *Client) open(i int, request []byte) error {
	r := &c.readers[i]
	fd, over, err := c.dialSecure(i/perSource, r.session, request)
	if err != nil {
		return err
	}
	if r.over = over; over != nil && over.resumed {
		c.counts.Resumed++
	}
	// A reader that comes back begins a new answer.
	r.fd, r.open, r.scan = int32(fd), false, Scanner{Stray: r.scan.Stray}
	if r.last != nil {
		r.last.Reset()
	}
	c.opening++
	if err := c.readerPoll.add(fd, int32(i)); err != nil {
		return err
	}
	if i%32 == 0 {
		if err := c.turn(0); err != nil {
			return err
		}
	}
	return c.until(func() bool { return c.opening < openAhead }, headLimit)
}

func (c *Client) allOpen() bool { return c.opening == 0 }

// closeReader gives a reader up.
func (c *Client) closeReader(r *reader) {
	if r.fd < 0 {
		return
	}
	_ = unix.Close(int(r.fd)) // which takes it out of the epoll set
	if !r.open {
		c.opening--
	}
	r.fd, r.open = -1, false
}

// read takes what has come for reader i.
func (c *Client) read(i int) error {
	r := &c.readers[i]
	if r.fd < 0 {
		return nil
	}
	n, err := unix.Read(int(r.fd), c.buffer)
	switch {
	case err != nil && again(err):
		return nil
	case err != nil || n == 0:
		early := !r.open
		c.closeReader(r)
		if early {
			return fmt.Errorf("load: stream %d ended before its answer: %w", i, errors.Join(err, ErrHead))
		}
		c.sequences.check.Closed++
		return nil
	}
	b := c.buffer[:n]
	c.counts.Wire += uint64(n)
	if r.over != nil {
		if c.opened, err = r.over.open(c.opened[:0], b); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		b = c.opened
	}
	if !r.open {
		if b, err = c.readHead(i, r, b); err != nil {
			return err
		}
	}
	return c.readBody(i, r, b)
}

// readHead reads the head of an answer, and returns what comes after it.
func (c *Client) readHead(i int, r *reader, b []byte) ([]byte, error) {
	r.headBuf = append(r.headBuf, b...)
	h, n, err := parseHead(r.headBuf)
	if err != nil || n == 0 {
		return nil, err
	}
	if h.status != 200 {
		c.closeReader(r)
		return nil, fmt.Errorf("load: stream %d was refused: %.200q", i, r.headBuf)
	}
	b, r.headBuf = r.headBuf[n:], nil
	r.body, r.open = newBody(h), true
	c.opening--
	return b, nil
}

// readBody checks the messages in a piece of a body.
func (c *Client) readBody(i int, r *reader, b []byte) error {
	now := c.config.Clock.Now()
	c.counts.Read += uint64(len(b))
	for len(b) > 0 {
		var data []byte
		var err error
		if data, b, err = r.body.next(b); err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		if r.last != nil {
			r.last.Feed(data)
		}
		for _, m := range c.find(r, data) {
			if c.sequences.take(i, m) {
				c.latency.Add(now - m.Sent)
			}
		}
		if r.body.done() {
			c.sequences.check.Closed++
			c.closeReader(r)
			return nil
		}
	}
	return nil
}

// find returns the messages that end in a piece of the stream of r, or its tokens.
func (c *Client) find(r *reader, data []byte) []Mark {
	if r.tokens == nil {
		c.marks = r.scan.Scan(data, c.marks[:0])
		return c.marks
	}
	c.marks, c.tokens = c.marks[:0], r.tokens.Scan(data, c.tokens[:0])
	for _, n := range c.tokens {
		m := Mark{Seq: n}
		if due := c.texts[r.channel].due; int(n) < len(due) {
			m.Sent = due[n]
		}
		c.marks = append(c.marks, m)
	}
	return c.marks
}
