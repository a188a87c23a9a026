package load

import "bytes"

// maxIDLine bounds an id that is remembered, with its field name. A longer one is not
// remembered.
const maxIDLine = 256

// LastID remembers the id of the last whole event of a stream that comes in pieces, as the
// WHATWG text has it: it counts when the event's empty line has come, and lines end in LF,
// CRLF or CR. The zero value is ready. It is for one goroutine.
type LastID struct {
	// Prefix is for streams whose ids are elsewhere: what a line begins with on which
	// the id ends with a quote. Empty for the ids of Server-Sent Events.
	Prefix []byte

	id      []byte // of the last whole event
	next    []byte // of the event that is coming
	has     bool   // the event that is coming has set an id
	line    []byte // the line so far
	long    bool   // the line has become too long to be of use
	afterCR bool   // an LF belongs to the line end before it
}

// ID returns the id, empty if there is none. It is valid until the next Feed.
func (l *LastID) ID() []byte { return l.id }

// Feed reads a piece of the stream.
func (l *LastID) Feed(b []byte) {
	if l.afterCR && len(b) > 0 {
		l.afterCR = false
		if b[0] == '\n' {
			b = b[1:]
		}
	}
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			l.hold(b)
			return
		}
		l.hold(b[:i])
		l.endLine()
		cr := b[i] == '\r'
		b = b[i+1:]
		switch {
		case cr && len(b) == 0:
			l.afterCR = true
		case cr && b[0] == '\n':
			b = b[1:]
		}
	}
}

// Reset forgets the event that is coming, as a lost connection does, and keeps the id.
func (l *LastID) Reset() {
	l.next, l.line, l.has, l.long, l.afterCR = l.next[:0], l.line[:0], false, false, false
}

// hold keeps a part of a line.
func (l *LastID) hold(b []byte) {
	if l.long = l.long || len(l.line)+len(b) > maxIDLine; !l.long {
		l.line = append(l.line, b...)
	} else {
		l.line = append(l.line[:0], '-') // not empty, and no field
	}
}

// endLine takes what a whole line says.
func (l *LastID) endLine() {
	switch {
	case len(l.line) == 0 && l.has:
		l.id, l.next, l.has = l.next, l.id[:0], false
	case len(l.Prefix) > 0:
		if rest, found := bytes.CutPrefix(l.line, l.Prefix); found {
			id, _, _ := bytes.Cut(rest, []byte(`"`))
			l.next, l.has = append(l.next[:0], id...), true
		}
	case len(l.line) == 2 && l.line[0] == 'i' && l.line[1] == 'd':
		l.next, l.has = l.next[:0], true
	case len(l.line) > 2 && string(l.line[:3]) == "id:":
		value := bytes.TrimPrefix(l.line[3:], []byte(" "))
		if bytes.IndexByte(value, 0) < 0 {
			l.next, l.has = append(l.next[:0], value...), true
		}
	}
	l.line, l.long = l.line[:0], false
}
