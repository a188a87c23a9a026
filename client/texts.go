package client

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/sluicehq/sluice/schemas"
)

// MaxTextBytes is how much of a text [Texts] keeps: of a longer one, the end.
const MaxTextBytes = 1 << 20

// maxTexts is how many texts [Texts] puts together at a time. Of the one that
// had no news for longest, the beginning is given up.
const maxTexts = 1000

// Texts puts the pieces of streamed texts together ([Client.PublishStream]): all
// messages of a subscription, and its gaps, are given to [Texts.Add]. The zero
// value is ready for use, by one goroutine.
type Texts struct {
	open  map[string]*Text // by stream id
	clock uint64
}

// Text is a text that is streamed to its readers while it is made.
type Text struct {
	Message Message // that brought its last piece so far

	Piece string // what that message added; "" at its beginning and end
	State TextState

	// Partial: its beginning or another part was not received, because the
	// subscription began in the middle or because of a gap.
	Partial bool

	text []byte
	used uint64
}

// TextState is how far a [Text] is.
type TextState string

// The states of a text. Only an open one goes on.
const (
	TextOpen     TextState = "open"
	TextComplete TextState = "complete"
	TextAborted  TextState = "aborted" // its publisher broke off
)

// String returns the text so far, at most the last [MaxTextBytes].
func (t *Text) String() string { return string(end(t.text)) }

// Add takes what the loop of a subscription gives, errors included. If it is a
// part of a text, it returns that text, the same value for every part; it is
// changed by the next call and must not be kept beyond that.
func (ts *Texts) Add(m Message, err error) (*Text, bool) {
	var gap *GapError
	if errors.As(err, &gap) {
		ts.lose(schemas.Pattern(gap.Channel))
	}
	if err != nil {
		return nil, false
	}
	switch m.Kind {
	case schemas.KindStreamStart:
		return ts.enter(m), true
	case schemas.KindChunk:
		t := ts.find(m)
		if json.Unmarshal(m.Data, &t.Piece) != nil {
			t.Partial = true
		}
		t.add(t.Piece)
		return t, true
	case schemas.KindStreamEnd:
		t := ts.find(m)
		t.State = TextAborted
		var how struct{ Reason TextState }
		if json.Unmarshal(m.Data, &how) == nil && how.Reason == TextComplete {
			t.State = TextComplete
		}
		delete(ts.open, m.StreamID)
		return t, true
	}
	return nil, false
}

// find returns the text that m is a part of. One that is not known began before
// the subscription did.
func (ts *Texts) find(m Message) *Text {
	t, known := ts.open[m.StreamID]
	if !known {
		t = ts.enter(m)
		t.Partial = true
	}
	ts.clock++
	t.Message, t.Piece, t.used = m, "", ts.clock
	return t
}

func (ts *Texts) enter(m Message) *Text {
	if ts.open == nil {
		ts.open = make(map[string]*Text)
	}
	if len(ts.open) >= maxTexts {
		ts.drop()
	}
	ts.clock++
	t := &Text{Message: m, State: TextOpen, used: ts.clock}
	ts.open[m.StreamID] = t
	return t
}

// drop forgets the text that had no news for longest: whoever streamed it may be
// gone.
func (ts *Texts) drop() {
	var oldest *Text
	for _, t := range ts.open {
		if oldest == nil || t.used < oldest.used {
			oldest = t
		}
	}
	delete(ts.open, oldest.Message.StreamID)
}

// lose marks the texts that a gap may have taken a part of.
func (ts *Texts) lose(channels schemas.Pattern) {
	for _, t := range ts.open {
		if channels.Matches(t.Message.Channel) {
			t.Partial = true
		}
	}
}

// add appends a piece. What is too much is cut off only when it has doubled, so
// that a long text is not moved at each piece.
func (t *Text) add(piece string) {
	t.text = append(t.text, piece...)
	if len(t.text) > 2*MaxTextBytes {
		t.text = append([]byte(nil), end(t.text)...)
	}
}

// end returns the last MaxTextBytes of text, less what would be a part of a
// character.
func end(text []byte) []byte {
	text = text[max(0, len(text)-MaxTextBytes):]
	for len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}
