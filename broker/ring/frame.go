package ring

import (
	"encoding/json"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// Frame is one message, encoded once and shared by all readers. Its bytes never change.
type Frame struct {
	Seq  uint64 // the message's position
	At   int64  // when it was published, in Unix milliseconds
	Kind schemas.Kind

	outOfOrder bool // see [Log.MarkOutOfOrder]; of a joined frame, the span knows
	mark       *topicMark
	record     *record // of the text that the message is a part of; nil: none
	span       *span   // the pieces that the frame joins; nil: it is one message
	json       int32   // where the message's JSON begins in sse
	data       int32   // length of its data
	sse        []byte  // the whole Server-Sent Event, including the blank line; nil: still to be made of span
}

// frameOverhead is what a frame costs besides its bytes: its place in the ring and the
// allocator's rounding.
const frameOverhead = 96

// frameOf encodes a message, which has its position, in one allocation.
func frameOf(m *schemas.Message, mark *topicMark) Frame {
	sse, json := m.Event()
	return Frame{Seq: m.ID.Seq, At: int64(m.CreatedAt), Kind: m.Kind, mark: mark, json: int32(json), data: int32(len(m.Data)), sse: sse}
}

// NewFrame encodes a message that has its position but is not in a log.
func NewFrame(m *schemas.Message) Frame { return frameOf(m, &topicMark{name: m.Topic}) }

// First returns the lowest position that the frame stands for, which is its own unless
// it joins several pieces of a text.
func (f *Frame) First() uint64 {
	if f.span != nil {
		return f.span.first
	}
	return f.Seq
}

// OutOfOrder returns the positions of the messages in f that are out of order, see
// [Log.MarkOutOfOrder].
func (f *Frame) OutOfOrder() []uint64 {
	switch {
	case f.span != nil:
		all := f.span.outOfOrder
		from, _ := slices.BinarySearch(all, f.span.first)
		to, _ := slices.BinarySearch(all, f.span.last+1)
		return all[from:to]
	case f.outOfOrder:
		return []uint64{f.Seq}
	}
	return nil
}

// upTo returns as much of f, which begins no higher, as is not above the position.
func (f Frame) upTo(seq uint64) Frame {
	if f.sse != nil {
		return f
	}
	head, _ := f.span.cut(seq)
	return head.frame()
}

// Topic returns the topic of the message.
func (f *Frame) Topic() schemas.Topic { return f.mark.name }

// Cost returns how much memory the frame takes, in bytes.
func (f *Frame) Cost() int64 { return int64(len(f.sse)) + frameOverhead }

// size returns how many bytes a reader is sent, roughly.
func (f *Frame) size() int {
	if f.sse == nil {
		return len(f.span.text)
	}
	return len(f.sse)
}

// Message returns the message's JSON.
func (f *Frame) Message() json.RawMessage { return f.sse[f.json : len(f.sse)-2] }

// WantedBy reports whether a reader of the topics is sent f. Every reader is sent run
// messages.
func (f *Frame) WantedBy(topics schemas.TopicSet) bool {
	return f.Kind == schemas.KindRun || topics.Has(f.mark.name)
}
