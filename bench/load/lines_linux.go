package load

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// lineWriter publishes lines in one endless chunked request, and reads a line of answer for
// each, keeping a window of lines unanswered.
type lineWriter struct {
	c          *Client
	id         int32
	fd         int
	request    []byte
	line       func(b []byte) []byte
	receipt    []byte // how the answer to a line begins that was published
	window     int
	left       uint64 // lines still to send
	unanswered int
	out        []byte // not written yet
	chunk      []byte
	headBuf    []byte
	open       bool
	waits      bool // for room in the socket
	body       body
	start      []byte // of the line of the answer that is coming
}

// Lines is a stream of lines that are published one by one over one connection.
type Lines struct {
	Request []byte                // head of a chunked POST request
	Line    func(b []byte) []byte // appends the next line with its line end
	Receipt string                // how the answer to a published line begins
	Window  int                   // lines that may be unanswered
}

// AddLines opens a connection that publishes lines. A client with lines has no publishers.
func (c *Client) AddLines(l Lines) error {
	w := &lineWriter{
		c: c, id: int32(len(c.lines)), request: l.Request, line: l.Line,
		receipt: []byte(l.Receipt), window: l.Window,
	}
	fd, err := dial(c.config.Addr, publisherSource, l.Request)
	if err != nil {
		return err
	}
	w.fd = fd
	c.lines = append(c.lines, w)
	return c.publisherPoll.add(fd, w.id)
}

// SendLines lets each connection of lines send n more; see [Client.Drain].
func (c *Client) SendLines(n uint64) error {
	for _, w := range c.lines {
		w.left = n
		if err := w.fill(); err != nil {
			return err
		}
	}
	return nil
}

// ready serves a socket that has something to read or room to write.
func (w *lineWriter) ready(events uint32) error {
	if events&unix.EPOLLIN != 0 {
		if err := w.read(); err != nil {
			return err
		}
	}
	return w.fill()
}

// fill writes as many lines as the window allows.
func (w *lineWriter) fill() error {
	// Half a window at once: small chunks would measure the client.
	if len(w.out) == 0 && w.left > 0 && w.unanswered <= w.window/2 {
		w.chunk = w.chunk[:0]
		for w.unanswered < w.window && w.left > 0 {
			w.chunk = w.line(w.chunk)
			w.unanswered++
			w.left--
			w.c.counts.Published++
		}
		w.out = fmt.Appendf(w.out, "%x\r\n%s\r\n", len(w.chunk), w.chunk)
	}
	if len(w.out) == 0 {
		return w.wait(false)
	}
	n, err := unix.Write(w.fd, w.out)
	if err != nil && !again(err) {
		return fmt.Errorf("load: lines: %w", err)
	}
	w.out = w.out[:copy(w.out, w.out[max(n, 0):])]
	return w.wait(len(w.out) > 0)
}

// wait sets whether the socket is watched for room.
func (w *lineWriter) wait(writes bool) error {
	if w.waits == writes {
		return nil
	}
	w.waits = writes
	return w.c.publisherPoll.change(w.fd, w.id, writes)
}

// read takes answers.
func (w *lineWriter) read() error {
	n, err := unix.Read(w.fd, w.c.buffer)
	if err != nil && again(err) {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("load: lines: the server ended the answer: %w", errors.Join(err, ErrHead))
	}
	b := w.c.buffer[:n]
	if !w.open {
		w.headBuf = append(w.headBuf, b...)
		h, n, err := parseHead(w.headBuf)
		if err != nil || n == 0 {
			return err
		}
		if h.status != 200 {
			return fmt.Errorf("load: lines were refused: %.300q", w.headBuf)
		}
		b, w.open, w.body = w.headBuf[n:], true, newBody(h)
	}
	for len(b) > 0 {
		var data []byte
		if data, b, err = w.body.next(b); err != nil {
			return err
		}
		if err := w.answers(data); err != nil {
			return err
		}
		if w.body.done() {
			return errors.New("load: lines: the server ended the answer")
		}
	}
	return nil
}

// answers counts the lines in a piece of the answer, and fails at one that is no receipt.
func (w *lineWriter) answers(b []byte) error {
	for len(b) > 0 {
		if need := len(w.receipt) - len(w.start); need > 0 {
			n := min(need, len(b))
			w.start, b = append(w.start, b[:n]...), b[n:]
			if !bytes.HasPrefix(w.receipt, w.start) {
				return fmt.Errorf("load: a line was refused: %s%.200q", w.start, b)
			}
			continue
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return nil
		}
		b, w.start = b[i+1:], w.start[:0]
		w.unanswered--
		w.c.counts.Answered++
	}
	return nil
}
