package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// publisher is one connection that publishes messages one after the other.
type publisher struct {
	fd       int
	over     *secured // nil without TLS
	requests [][]byte // for each channel a whole request, whose mark is overwritten
	markAt   []int
	channel  int // the next one
	busy     bool
	asked    int64  // when the message that is under way was due
	answer   []byte // so far
	overdue  int    // messages of an open loop that wait for the connection
	firstDue int64  // when the first of them was due
}

// Publish lets the publishers publish, each to all channels in turn, starting apart.
// request returns a whole POST request, keep-alive, for a payload to a channel.
func (c *Client) Publish(channels int, request func(channel int, payload []byte) []byte) error {
	for p := range c.config.Publishers {
		pub := &publisher{fd: -1, channel: p * channels / c.config.Publishers}
		payload := AppendMessage(nil, Mark{Publisher: uint16(p)})
		for channel := range channels {
			r := bytes.Clone(request(channel, payload))
			at := bytes.LastIndex(r, payload)
			if at < 0 {
				return errors.New("load: the payload is not in the request")
			}
			pub.requests = append(pub.requests, r)
			pub.markAt = append(pub.markAt, at+len(prefix))
		}
		c.publishers = append(c.publishers, pub)
		if err := c.connect(p); err != nil {
			return err
		}
	}
	return nil
}

// connect opens the connection of publisher p.
func (c *Client) connect(p int) error {
	fd, over, err := c.dialSecure(publisherSource, nil, nil)
	if err != nil {
		return err
	}
	c.publishers[p].fd, c.publishers[p].over = fd, over
	return c.publisherPoll.add(fd, int32(p))
}

// Start begins a closed loop: each publisher sends its next message when it has the answer
// to the last.
func (c *Client) Start() error {
	c.closed = true
	for p := range c.publishers {
		if err := c.send(p, c.config.Clock.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends publishing; what is under way is still answered.
func (c *Client) Stop() error {
	c.closed = false
	for _, pub := range c.publishers {
		pub.overdue = 0
	}
	return c.setTimer(0)
}

// One publishes a message with publisher p and waits for the answer.
func (c *Client) One(p int) error {
	if err := c.send(p, c.config.Clock.Now()); err != nil {
		return err
	}
	return c.until(func() bool { return !c.publishers[p].busy }, headLimit)
}

// send sends the next message of publisher p, as one that was due at the time due. A busy
// publisher sends it later.
func (c *Client) send(p int, due int64) error {
	pub := c.publishers[p]
	if pub.busy {
		if pub.overdue == 0 {
			pub.firstDue = due
		}
		pub.overdue++
		return nil
	}
	channel := pub.channel
	if pub.channel++; pub.channel == len(pub.requests) {
		pub.channel = 0
	}
	r := pub.requests[channel]
	Mark{uint16(p), c.sent[p][channel], due}.put(r[pub.markAt[channel]:])
	c.sent[p][channel]++
	c.counts.Published++
	c.due += uint64(c.perChannel[channel])
	pub.busy, pub.asked = true, due
	if pub.over != nil {
		var err error
		if r, err = pub.over.seal(r); err != nil {
			return fmt.Errorf("load: publisher %d: %w", p, err)
		}
	}
	// A request is far smaller than an idle socket's buffer.
	if err := writeWhole(pub.fd, r); err != nil {
		return fmt.Errorf("load: publisher %d: %w", p, err)
	}
	return nil
}

// answered takes what has come for publisher p.
func (c *Client) answered(p int) error {
	pub := c.publishers[p]
	n, err := unix.Read(pub.fd, c.buffer)
	if err != nil && again(err) {
		return nil
	}
	if err != nil || n == 0 {
		if pub.busy {
			return fmt.Errorf("load: publisher %d got no answer: %w", p, errors.Join(err, ErrHead))
		}
		return c.reconnect(p)
	}
	if pub.over == nil {
		pub.answer = append(pub.answer, c.buffer[:n]...)
	} else if pub.answer, err = pub.over.open(pub.answer, c.buffer[:n]); errors.Is(err, io.EOF) && !pub.busy {
		return c.reconnect(p)
	} else if err != nil {
		return fmt.Errorf("load: publisher %d: %w", p, err)
	}
	h, n, err := parseHead(pub.answer)
	if err != nil || n == 0 {
		return err
	}
	if h.status/100 != 2 {
		return fmt.Errorf("load: publisher %d was refused: %.300q", p, pub.answer)
	}
	if whole, err := wholeBody(h, pub.answer[n:]); err != nil || !whole {
		return err
	}
	now := c.config.Clock.Now()
	c.counts.Answered++
	c.answerTime.Add(now - pub.asked)
	pub.busy, pub.answer = false, pub.answer[:0]
	if h.closes {
		if err := c.reconnect(p); err != nil {
			return err
		}
	}
	switch {
	case c.closed:
		return c.send(p, now)
	case pub.overdue > 0:
		pub.overdue--
		due := pub.firstDue
		pub.firstDue += c.every
		return c.send(p, due)
	}
	return nil
}

// reconnect gives publisher p a new connection: its server limits how long one is used.
func (c *Client) reconnect(p int) error {
	_ = unix.Close(c.publishers[p].fd)
	return c.connect(p)
}

// wholeBody tells whether b has all of the body after h.
func wholeBody(h head, b []byte) (bool, error) {
	d := newBody(h)
	if d.framing == untilClose {
		return false, errors.New("load: a publish was answered without a length")
	}
	for len(b) > 0 && !d.done() {
		var err error
		if _, b, err = d.next(b); err != nil {
			return false, err
		}
	}
	return d.done(), nil
}
