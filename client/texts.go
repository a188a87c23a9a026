package client

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/sluicehq/sluice/schemas"
)

// maxTexts is the most texts that [Texts] assembles at a time. Beyond it, the text that has
// been quiet for longest loses its beginning.
const maxTexts = 1000

// Texts assembles streamed texts from their pieces ([Client.PublishStream]). Give all
// messages of a subscription, and its gaps, to [Texts.Add]. The zero value is ready for
// use. It is not safe for concurrent use.
type Texts struct {
	open  map[textKey]*Text
	clock uint64
}

// textKey names a text. Its publisher may have chosen the stream id, so that alone is not
// enough.
type textKey struct {
	channel  schemas.Channel
	topic    schemas.Topic
	streamID string
}

func keyOf(m *Message) textKey { return textKey{m.Channel, m.Topic, m.StreamID} }

// Text is a text that readers get while it is being produced.
type Text struct {
	Message Message // the one with the latest piece

	Piece string // the text that this message added; "" at the beginning and the end
	State TextState

	// Partial means that a part of the text is missing: the subscription began in the
	// middle, there was a gap, or an event could not be read.
	Partial bool

	text  []byte
	next  int64 // offset at which the next piece is due
	doubt bool  // a piece may be missing
	used  uint64
}

// TextState is the state of a [Text].
type TextState string

// The states of a text. Only an open text can grow.
const (
	TextOpen       TextState = "open"
	TextComplete   TextState = "complete"
	TextAborted    TextState = "aborted"    // its publisher stopped before the end
	TextSuperseded TextState = "superseded" // a later attempt begins it again
)

// String returns the text so far, at most the last [MaxTextBytes].
func (t *Text) String() string { return string(end(t.text)) }

// Add takes a pair from the loop of a subscription, including errors. If it belongs to a
// text, Add returns that text, which is the same value for every piece. The next call
// changes it.
func (ts *Texts) Add(m Message, err error) (*Text, bool) {
	var gap *GapError
	if errors.As(err, &gap) {
		ts.lose(schemas.Pattern(gap.Channel))
	}
	var unreadable *EventError
	if errors.As(err, &unreadable) {
		ts.doubt(schemas.Topic(unreadable.Event.Name))
	}
	if err != nil {
		return nil, false
	}
	switch m.Kind {
	case schemas.KindStreamStart:
		return ts.enter(m), true
	case schemas.KindChunk:
		t := ts.find(m)
		var piece string
		if json.Unmarshal(m.Data, &piece) != nil {
			t.Partial = true
		}
		t.add(piece, m.Offset)
		return t, true
	case schemas.KindStreamEnd:
		t := ts.find(m)
		t.Partial = t.Partial || t.doubt
		t.State = TextAborted
		var how struct{ Reason TextState }
		if json.Unmarshal(m.Data, &how) == nil && how.Reason != "" {
			t.State = how.Reason
		}
		delete(ts.open, keyOf(&m))
		return t, true
	}
	return nil, false
}

// find returns the text to which m belongs. An unknown text began before the subscription
// did.
func (ts *Texts) find(m Message) *Text {
	t, known := ts.open[keyOf(&m)]
	if !known {
		t = ts.enter(m)
		t.doubt = true
	}
	ts.clock++
	t.Message, t.Piece, t.used = m, "", ts.clock
	return t
}

func (ts *Texts) enter(m Message) *Text {
	if ts.open == nil {
		ts.open = make(map[textKey]*Text)
	}
	if len(ts.open) >= maxTexts {
		ts.drop()
	}
	ts.clock++
	t := &Text{Message: m, State: TextOpen, used: ts.clock}
	ts.open[keyOf(&m)] = t
	return t
}

// drop forgets the text that has been quiet for longest: its publisher may be gone.
func (ts *Texts) drop() {
	var oldest *Text
	for _, t := range ts.open {
		if oldest == nil || t.used < oldest.used {
			oldest = t
		}
	}
	delete(ts.open, keyOf(&oldest.Message))
}

// lose marks the texts that may have lost a part in a gap. The offset of the next piece
// says whether they have.
func (ts *Texts) lose(channels schemas.Pattern) {
	for _, t := range ts.open {
		if channels.Matches(t.Message.Channel) {
			t.doubt = true
		}
	}
}

// doubt marks the texts to which an unreadable event may have belonged.
func (ts *Texts) doubt(topic schemas.Topic) {
	for _, t := range ts.open {
		if t.Message.Topic == topic {
			t.doubt = true
		}
	}
}

// add appends the piece that begins at an offset of the text, or what is new of it. A server
// that does not know the offset leaves it out, and it is 0 then. The text is shortened only at twice the limit,
// so that a long text is not moved for each piece.
func (t *Text) add(piece string, offset int64) {
	switch {
	case offset > t.next:
		t.Partial = true
	case offset == 0 && (t.next > 0 || t.doubt): // it is not known
		t.Partial = t.Partial || t.doubt
		offset = t.next
	case offset < t.next:
		piece = piece[min(t.next-offset, int64(len(piece))):]
		offset = t.next
	}
	t.Piece, t.next, t.doubt = piece, offset+int64(len(piece)), false
	t.text = append(t.text, piece...)
	if len(t.text) > 2*MaxTextBytes {
		t.text = append([]byte(nil), end(t.text)...)
	}
}

// end returns the last MaxTextBytes of text, without an incomplete character at the
// beginning.
func end(text []byte) []byte {
	text = text[max(0, len(text)-MaxTextBytes):]
	for len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}
