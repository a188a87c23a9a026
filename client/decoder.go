package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/r3labs/sse/v2"
)

// MaxEventBytes is the length of the longest event that a subscription reads:
// the largest message that a server can be configured for, 1 MiB, and room for
// the fields around it.
const MaxEventBytes = 1<<20 + 4<<10

// ErrEventTooLong ends a subscription that is sent an event of more than
// [MaxEventBytes]. Trying again would bring the same event.
var ErrEventTooLong = fmt.Errorf("client: an event is longer than %d bytes", MaxEventBytes)

// decoder splits an event stream into blocks.
//
// Of r3labs/sse it uses the reader, which finds the ends of events, and not the
// Client: that one takes over the id of an event that was cut off in its middle,
// keeps the retry field and the kind of the stream's end to itself, leaves a
// goroutine behind when its handler does not come back, and holds events that
// have an id and no data for events. All of that is decided here and in
// [stream], where it can be got right.
type decoder struct {
	reader *sse.EventStreamReader
}

func newDecoder(body io.Reader) *decoder {
	return &decoder{sse.NewEventStreamReader(&filter{body: body, lineStart: true}, MaxEventBytes)}
}

// block is one event as it stood on the wire. Empty fields were not there. The
// retry field is left out: it is for clients without a backoff of their own.
type block struct {
	event, id string
	data      []byte
}

// next returns the next block that has come to its end.
func (d *decoder) next() (block, error) {
	for {
		raw, err := d.reader.ReadEvent()
		switch {
		case errors.Is(err, bufio.ErrTooLong):
			return block{}, ErrEventTooLong
		case err != nil:
			return block{}, err
		}
		if !bytes.HasSuffix(raw, []byte{endMark}) {
			return parseBlock(raw), nil
		}
	}
}

// parseBlock takes the fields of an event apart, as in section 9.2.6 of the
// WHATWG HTML standard. It keeps nothing of raw.
func parseBlock(raw []byte) block {
	var b block
	for line := range bytes.FieldsFuncSeq(raw, func(r rune) bool { return r == '\n' || r == '\r' }) {
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			b.event = string(value)
		case "id":
			if !bytes.ContainsRune(value, 0) {
				b.id = string(value)
			}
		case "data":
			if b.data != nil {
				b.data = append(b.data, '\n')
			}
			b.data = append(b.data, value...)
		}
	}
	return b
}

// filter takes comment lines out of an event stream and puts a mark at its end.
//
// Heartbeats are comments without a blank line after them, so the reader behind
// would gather them in front of the next event until its buffer is full. And it
// hands out what was cut off by the end of the stream like any whole event: that
// is told by the mark, which ends it.
type filter struct {
	body      io.Reader
	lineStart bool // the next byte is the first of a line
	comment   bool // inside a comment line
	end       error
	marked    bool
}

// endMark is a byte that no event of a server ends in.
const endMark = 0

// Read implements [io.Reader]. It returns when there is something to return.
func (f *filter) Read(p []byte) (int, error) {
	for f.end == nil {
		n, err := f.body.Read(p)
		f.end = err
		if kept := f.keep(p[:n]); kept > 0 || n == 0 && err == nil {
			return kept, nil
		}
	}
	if !f.marked && len(p) > 0 {
		f.marked = true
		p[0] = endMark
		return 1, nil
	}
	return 0, f.end
}

// keep moves what is no comment to the front of p and returns its length.
func (f *filter) keep(p []byte) int {
	kept := 0
	for _, c := range p {
		if f.lineStart && c == ':' {
			f.comment = true
		}
		f.lineStart = c == '\n' || c == '\r'
		if !f.comment {
			p[kept] = c
			kept++
		}
		if f.lineStart {
			f.comment = false
		}
	}
	return kept
}
