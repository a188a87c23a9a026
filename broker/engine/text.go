package engine

import (
	"encoding/binary"
	"errors"

	"github.com/sluicehq/sluice/schemas"
)

// TextName names a text whose publisher chose its stream id.
type TextName struct {
	Channel  schemas.Channel
	Topic    schemas.Topic
	StreamID string
}

// TextState is how far an attempt at a text has come.
type TextState byte

// The states of an attempt.
const (
	TextOpen     TextState = iota + 1 // more may come
	TextComplete                      // it has all of the text
	TextAborted                       // its publisher was lost
)

// String returns the state as HTTP clients get it.
func (s TextState) String() string {
	switch s {
	case TextOpen:
		return "open"
	case TextComplete:
		return "complete"
	case TextAborted:
		return "aborted"
	}
	return "unknown"
}

// Text is what an engine remembers of a text besides its pieces, so that only one
// publisher writes it at a time. It is the text's record.
//
// Each time it is set, the record gets a new revision, and the publisher that set it
// sends this revision with every piece, as [Entry.Fence]. A publisher that somebody has
// taken the text from has an old revision, and its pieces are refused.
type Text struct {
	Attempt int64     // which try to publish the text this is, from 1
	State   TextState // of the attempt
	// Since is the revision with which the attempt began: all its pieces come after this
	// position. In [Engine.SetText], 0 stands for the new revision.
	Since uint64

	// The receipt of a complete text.
	First, Last   uint64 // positions of the messages that begin and end it
	Chunks, Bytes int64

	At schemas.Time // when it was set; the engine fills it in
	// Orphaned is filled in by [Engine.Text]: the node that set the record has ended, and
	// cannot end the text.
	Orphaned bool
}

const textVersion = 1

var errBadText = errors.New("engine: not the record of a text")

// Append appends t to b, but for Orphaned:
//
//	version 1 | state | attempt | since | first | last | chunks | bytes | at
//
// All but the first two are uvarints.
func (t *Text) Append(b []byte) []byte {
	b = append(b, textVersion, byte(t.State))
	for _, n := range [...]uint64{uint64(t.Attempt), t.Since, t.First, t.Last, uint64(t.Chunks), uint64(t.Bytes), uint64(t.At)} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// ParseText undoes [Text.Append], and returns what follows in b.
func ParseText(b []byte) (t Text, rest []byte, err error) {
	if len(b) < 2 || b[0] != textVersion {
		return Text{}, nil, errBadText
	}
	t.State, rest = TextState(b[1]), b[2:]
	var attempt, chunks, bytes, at uint64
	for _, to := range [...]*uint64{&attempt, &t.Since, &t.First, &t.Last, &chunks, &bytes, &at} {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			return Text{}, nil, errBadText
		}
		*to, rest = n, rest[size:]
	}
	t.Attempt, t.Chunks, t.Bytes, t.At = int64(attempt), int64(chunks), int64(bytes), schemas.Time(at)
	return t, rest, nil
}
