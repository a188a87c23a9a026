package ring

import (
	"encoding/json"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// HeldText is what a log holds of a text.
type HeldText struct {
	First, Last uint64 // positions of its oldest and its newest message; 0: nothing is held
	At          int64  // when that was published, in Unix milliseconds
	RunID, Sub  string
	Begins, End int64  // bytes of the text before what is held, and up to its end
	Chunks      int64  // pieces that are held
	Reason      string // why it has ended; "" as long as it is open

	segments []segment
}

// Open reports whether something is held of the text, but not its end.
func (t *HeldText) Open() bool { return t.First > 0 && t.Reason == "" }

// Text returns the newest text of a topic that has the stream id.
func (l *Log) Text(topic schemas.Topic, streamID string) HeldText {
	for _, r := range slices.Backward(l.records) {
		if r.rule == nil && r.mark.name == topic && r.message.StreamID == streamID {
			return r.held()
		}
	}
	return HeldText{}
}

func (r *record) held() HeldText {
	m := &r.message
	t := HeldText{First: r.first(), Last: r.last, At: r.at, RunID: m.RunID, Sub: m.Sub, segments: slices.Clone(r.segments)}
	if len(t.segments) > 0 {
		t.Begins, t.End = t.segments[0].offset, r.newest().end()
	}
	for _, s := range t.segments {
		for index := s.index; len(index) > 0; t.Chunks++ {
			_, _, index = pieceAt(index)
		}
	}
	if r.tail.Seq != 0 {
		t.Reason = reasonOf(r.tail.bare())
	}
	return t
}

// reasonOf returns why a text has ended.
func reasonOf(data []byte) string {
	var end struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(data, &end) != nil || end.Reason == "" {
		return "unknown"
	}
	return end.Reason
}

// From returns a copy of the text from an offset on, as far as it is held.
func (t *HeldText) From(offset int64) []byte {
	var text []byte
	for i := range t.segments {
		s := &t.segments[i]
		if s.end() > offset {
			text = append(text, s.text[max(0, offset-s.offset):]...)
		}
	}
	return text
}
