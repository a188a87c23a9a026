package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// textWriter publishes a text: one chunked request, a chunk a token.
type textWriter struct {
	c      *Client
	id     int32
	fd     int
	text   Text
	due    []int64 // when each token was due
	queued int     // tokens that were made so far
	most   int     // tokens of the open loop
	ends   bool    // nothing comes after these
	out    []byte  // not written yet
	waits  bool    // for room in the socket
	answer []byte  // so far
	ended  bool    // it has been answered
}

// Text is a text that is published token by token over a connection of its own.
type Text struct {
	Request []byte                          // head of a chunked POST request
	Token   func(b []byte, n uint32) []byte // appends token n
}

// maxQueue is about how many bytes of a text are made at a time.
const maxQueue = 4 << 10

// AddText opens a connection that publishes the text of the next channel. A client with texts
// has neither lines nor publishers, but is made for one publisher.
func (c *Client) AddText(text Text) error {
	w := &textWriter{c: c, id: int32(len(c.texts)), text: text}
	fd, err := dial(c.config.Addr, publisherSource, text.Request)
	if err != nil {
		return err
	}
	w.fd = fd
	c.texts = append(c.texts, w)
	return c.publisherPoll.add(fd, w.id)
}

// StartTexts begins an open loop: each text gets so many tokens a second, in turns, until it
// has most of them.
func (c *Client) StartTexts(perSecond, most int) error {
	for _, w := range c.texts {
		w.most = most
	}
	gap := int64(time.Second) / int64(perSecond*len(c.texts))
	c.every = gap * int64(len(c.texts))
	c.dueAt = c.config.Clock.Now() + gap
	return c.setTimer(time.Duration(gap))
}

// StopTexts ends the open loop; see [Client.Drain].
func (c *Client) StopTexts() error {
	for _, w := range c.texts {
		w.most = len(w.due)
	}
	return c.setTimer(0)
}

// SendTexts lets each text have n tokens more, as fast as the server takes them.
func (c *Client) SendTexts(n int) error {
	now := c.config.Clock.Now()
	for _, w := range c.texts {
		w.most = len(w.due) + n
		for range n {
			w.add(now)
		}
		if err := w.fill(); err != nil {
			return err
		}
	}
	return nil
}

// Reached waits until each text has n tokens.
func (c *Client) Reached(n int, limit time.Duration) error {
	return c.until(func() bool {
		for _, w := range c.texts {
			if w.queued < n {
				return false
			}
		}
		return true
	}, limit)
}

// EndTexts ends the texts and waits until the server has answered for each of them.
func (c *Client) EndTexts(limit time.Duration) error {
	for _, w := range c.texts {
		w.ends = true
		if err := w.fill(); err != nil {
			return err
		}
	}
	return c.until(func() bool {
		for _, w := range c.texts {
			if !w.ended {
				return false
			}
		}
		return true
	}, limit)
}

// tickText adds a token to the text whose turn it is.
func (c *Client) tickText() error {
	w := c.texts[c.next]
	c.next = (c.next + 1) % len(c.texts)
	due := c.dueAt
	c.dueAt += c.every / int64(len(c.texts))
	if len(w.due) >= w.most {
		return nil
	}
	w.add(due)
	return w.fill()
}

// add makes another token due.
func (w *textWriter) add(due int64) {
	w.due = append(w.due, due)
	w.c.sent[0][w.id]++
	w.c.counts.Published++
	w.c.due += uint64(w.c.perChannel[w.id])
}

// busy tells whether tokens are still to be written.
func (w *textWriter) busy() bool { return w.queued < w.most || len(w.out) > 0 }

// ready serves a socket that has something to read or room to write.
func (w *textWriter) ready(events uint32) error {
	if events&unix.EPOLLIN != 0 {
		if err := w.read(); err != nil || w.ended {
			return err
		}
	}
	return w.fill()
}

// fill writes as many tokens as the socket takes.
func (w *textWriter) fill() error {
	for {
		for w.queued < len(w.due) && len(w.out) < maxQueue {
			w.out = fmt.Appendf(w.out, "%x\r\n", TokenBytes)
			w.out = append(w.text.Token(w.out, uint32(w.queued)), "\r\n"...)
			w.queued++
		}
		if w.ends && w.queued == len(w.due) {
			w.out = append(w.out, "0\r\n\r\n"...)
			w.ends = false
		}
		if len(w.out) == 0 {
			return w.wait(false)
		}
		n, err := unix.Write(w.fd, w.out)
		if err != nil && !again(err) {
			return fmt.Errorf("load: text %d: %w%s", w.id, err, w.said())
		}
		w.out = w.out[:copy(w.out, w.out[max(n, 0):])]
		if len(w.out) > 0 {
			return w.wait(true)
		}
	}
}

// said returns what the server has answered, for an error.
func (w *textWriter) said() string {
	b := make([]byte, 300)
	n, _ := unix.Read(w.fd, b) // best effort: the connection has failed
	return string(b[:max(n, 0)])
}

// wait sets whether the socket is watched for room.
func (w *textWriter) wait(writes bool) error {
	if w.waits == writes {
		return nil
	}
	w.waits = writes
	return w.c.publisherPoll.change(w.fd, w.id, writes)
}

// read takes the answer, which says how long the text is.
func (w *textWriter) read() error {
	n, err := unix.Read(w.fd, w.c.buffer)
	if err != nil && again(err) {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("load: text %d got no answer: %w", w.id, errors.Join(err, ErrHead))
	}
	w.answer = append(w.answer, w.c.buffer[:n]...)
	h, n, err := parseHead(w.answer)
	if err != nil || n == 0 {
		return err
	}
	if whole, err := wholeBody(h, w.answer[n:]); err != nil || !whole {
		return err
	}
	if size := numberIn(w.answer[n:], `"bytes":`); h.status != 200 || size != len(w.due)*TokenBytes {
		return fmt.Errorf("load: text %d was refused, or is not whole: %.300q", w.id, w.answer)
	}
	w.ended = true
	w.close() // the server need not keep the connection for another request
	w.c.counts.Answered++
	w.c.counts.Chunks += uint64(numberIn(w.answer[n:], `"chunks":`))
	return nil
}

// close closes the connection, if it is open.
func (w *textWriter) close() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd) // which takes it out of the epoll set
		w.fd = -1
	}
}

// numberIn returns the number after a name in b, -1 if there is none.
func numberIn(b []byte, name string) int {
	_, rest, found := bytes.Cut(b, []byte(name))
	end := bytes.IndexAny(rest, ",}")
	if !found || end < 0 {
		return -1
	}
	n, err := strconv.Atoi(string(rest[:end]))
	if err != nil {
		return -1
	}
	return n
}
