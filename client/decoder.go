package client

import (
	"bytes"
	"io"

	"github.com/r3labs/sse/v2"
)

// decoder splits an event stream into blocks.
//
// It uses the reader of r3labs/sse, which finds the ends of events, but not its Client.
// That one adopts the id of an event that was cut off in the middle, hides the retry
// field and the way in which the stream ended, leaks a goroutine if its handler does not
// return, and reports events that have an id but no data. This decoder and [stream] handle
// all of that.
type decoder struct {
	reader *sse.EventStreamReader
}

func newDecoder(body io.Reader) *decoder {
	return &decoder{sse.NewEventStreamReader(&filter{body: body, last: '\n'}, MaxEventBytes+2*maxFieldsBytes)}
}

// block is one event from the wire. Missing fields are empty. The retry field is left out:
// it is for clients without their own backoff.
type block struct {
	event, id string
	data      []byte
	long      bool // its rest was dropped
}

// next returns the next complete block.
func (d *decoder) next() (block, error) {
	for {
		raw, err := d.reader.ReadEvent()
		if err != nil {
			return block{}, err
		}
		if !bytes.HasSuffix(raw, []byte{endMark}) {
			return parseBlock(raw), nil
		}
	}
}

// parseBlock separates the fields of an event, as in section 9.2.6 of the WHATWG HTML
// standard. It keeps no reference to raw.
func parseBlock(raw []byte) block {
	b := block{long: bytes.IndexByte(raw, longMark) >= 0}
	for line := range bytes.FieldsFuncSeq(raw, func(r rune) bool { return r == '\n' || r == '\r' }) {
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			b.event = string(value)
		case "id":
			if isHeaderValue(value) {
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

// isHeaderValue reports whether an id can be sent back as Last-Event-ID. An id that cannot
// would make all further requests fail.
func isHeaderValue(id []byte) bool {
	return !bytes.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// filter removes comment lines from an event stream, shortens events that are too long and
// marks the end of the stream. The reader behind it needs all three:
//
//   - Heartbeats are comments without a blank line after them. The reader would collect
//     them in front of the next event until its buffer is full.
//   - An event that does not fit into the buffer would be the last one that the reader
//     reads, on this connection and on every later one. filter passes on its beginning, a
//     mark, and the short lines after it, so that its id is known.
//   - The reader returns an event that the end of the stream has cut off like a complete
//     one. The other mark, at the end of such an event, tells them apart.
type filter struct {
	body    io.Reader
	last    byte // the byte before the next one; at the beginning a line feed
	comment bool // inside a comment line
	size    int  // bytes that were kept of the event
	long    bool // the event is too long
	cut     bool // the rest of the line is dropped

	end    error
	marked bool
}

// Bytes that no event of a server contains, since JSON has no control characters. In events
// from elsewhere they are replaced.
const (
	endMark  = 0 // ends what the end of the stream cut off
	longMark = 1 // stands where the rest of a line was dropped
	spoilt   = 2
)

// maxFieldsBytes limits what is kept of the lines after the one that made an event too
// long.
const maxFieldsBytes = 4 << 10

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

// keep moves what goes on to the front of p and returns its length.
func (f *filter) keep(p []byte) int {
	kept := 0
	for _, c := range p {
		if isNewline(f.last) {
			f.comment = c == ':' || f.comment && f.last == '\r' && c == '\n'
		}
		if !f.comment {
			if c, ok := f.pass(c); ok {
				p[kept] = c
				kept++
			}
		}
		f.last = c
	}
	return kept
}

// pass returns what stands for c, which is in no comment; false: nothing.
func (f *filter) pass(c byte) (byte, bool) {
	const most = MaxEventBytes + maxFieldsBytes
	switch {
	case isNewline(c) && isNewline(f.last) && (c != '\n' || f.last != '\r'):
		f.size, f.long, f.cut = 0, false, false // a blank line ends the event
		return c, true
	case f.size > most:
		return 0, false
	case f.size == most: // the line ends here, and then the blank line comes
		c = '\n'
	case isNewline(c):
		f.cut = false
	case f.cut:
		return 0, false
	case f.size >= MaxEventBytes && !f.long:
		f.long, f.cut = true, true
		c = longMark
	case c <= longMark:
		c = spoilt
	}
	f.size++
	return c, true
}

func isNewline(c byte) bool { return c == '\n' || c == '\r' }
