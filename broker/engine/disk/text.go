package disk

import (
	"encoding/binary"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// The messages with one stream id are a text: one that starts it, chunks, and one that ends
// it. For a channel's limits it is one message, whose position is that of its newest piece.
// So it is also stored as one, in up to three places:
//
//   - Segments (tableSegments) have the message that starts the text, and the chunks, joined
//     up to maxSegment bytes. A chunk is merged into its segment: what is written is the
//     text and some three bytes. What the pieces have in common is written once.
//   - As long as the text goes on, tableTexts has an entry for it. The metadata of a channel
//     counts these, so that a channel without any costs no look-up.
//   - The message that ends the text is stored like any other message, at its own position,
//     and says where the segments are (textRef). Retention meets the text there.
//
// All changes of these are in one batch, so no moment has a part of them. A text is deleted
// with all its segments; one that has become too long loses its oldest ones.
//
// Before format 3, each piece was a message. Such pieces still are, and count as messages,
// until they are dropped. The rest of a text that went on at that time is a text that has
// lost its beginning. Readers get both, and join them.

// textRef says where the segments of a text are.
type textRef struct {
	id    uint64 // position of the first piece; 0: there is no text
	first uint32 // number of the oldest segment with chunks, from 1; segment 0 starts the text
	last  uint32 // number of the newest segment
	size  int64  // bytes of all segments
}

// keys calls fn with the key of each segment until it fails.
func (r *textRef) keys(fn func(key []byte) error) error {
	if r.id == 0 {
		return nil
	}
	err := fn(segmentKey(r.id, 0))
	for i := r.first; err == nil && i <= r.last; i++ {
		err = fn(segmentKey(r.id, i))
	}
	return err
}

// openText is a text that goes on. The committer keeps one for each in the metadata of its
// channel.
type openText struct {
	textRef
	topic    schemas.Topic
	streamID string
	begin    int64 // offset of the oldest chunk, if there is one

	// Of the newest segment, where the next chunk goes. Not stored.
	head segmentHead
	end  int64 // offset of the next chunk
	full int64 // bytes of the segment
	seq  uint64
	at   int64

	// Of messages that a merge rule joins, see merged.go.
	merged bool
	key    string // in what they agree, see [schemas.Parts]
	ended  bool   // the group has a message after which no other can be joined. Not stored.
}

// maxSegment is the size up to which chunks are joined.
const maxSegment = 8 << 10

func (t *openText) append(b []byte) []byte {
	if t.merged {
		b = appendText(append(b, openVersion), t.key)
	} else {
		b = append(b, version)
	}
	b = binary.AppendUvarint(b, uint64(t.first))
	b = binary.AppendUvarint(b, uint64(t.last))
	b = binary.AppendUvarint(b, uint64(t.size-t.full))
	b = binary.AppendVarint(b, t.begin)
	b = appendText(b, string(t.topic))
	return appendText(b, t.streamID)
}

// decodeOpenText decodes what append wrote. The size lacks the newest segment.
func decodeOpenText(b []byte, id uint64) (*openText, error) {
	d := decoder{rest: b}
	t := &openText{merged: d.version(openVersion) == openVersion}
	if t.merged {
		t.key = d.text()
	}
	t.textRef = textRef{id: id, first: uint32(d.number()), last: uint32(d.number()), size: int64(d.number())}
	t.begin = d.signed()
	t.topic, t.streamID = schemas.Topic(d.text()), d.text()
	return t, d.end()
}

// add notes that m was added to the newest segment, which now has the given size.
func (t *openText) add(m *schemas.Message, size int64) {
	t.size += size - t.full
	t.full, t.seq, t.at = size, m.ID.Seq, int64(m.CreatedAt)
}

// endAfter returns the offset at which the text ends once m, to which the head of the newest
// segment applies, is added.
func (t *openText) endAfter(m *schemas.Message) int64 {
	switch {
	case t.merged:
		return t.end + t.head.inside(m)
	case m.Kind != schemas.KindChunk:
		return t.end
	case m.Offset < 0:
		return m.Offset
	}
	return m.Offset + int64(len(m.Text()))
}

// segmentHead is what the messages of a segment have in common.
type segmentHead struct {
	kind          schemas.Kind
	before, after string // with what the data of each begins and ends, which is not stored with it
	runID, sub    string
}

const quote = `"`

func headOf(m *schemas.Message) segmentHead {
	h := segmentHead{kind: m.Kind, before: quote, after: quote, runID: m.RunID, sub: m.Sub}
	if !h.fits(m) {
		h.before, h.after = "", ""
	}
	return h
}

// fits reports whether the data of m begins and ends as h says.
func (h *segmentHead) fits(m *schemas.Message) bool {
	n := len(m.Data) - len(h.after)
	return n >= len(h.before) && string(m.Data[:len(h.before)]) == h.before && string(m.Data[n:]) == h.after
}

// inside returns how many bytes of the data of m are stored with it.
func (h *segmentHead) inside(m *schemas.Message) int64 {
	return int64(len(m.Data) - len(h.before) - len(h.after))
}

// takes reports whether m, which is not an end, can be added to the newest segment of t.
func (t *openText) takes(m *schemas.Message) bool {
	switch {
	case t.full+int64(len(m.Data)) >= maxSegment:
		return false
	case t.merged:
		return t.head.fits(m)
	}
	return m.Kind == schemas.KindChunk && t.head == headOf(m) && m.Offset == t.end
}

// nextHead returns the head of the segment that m begins.
func (t *openText) nextHead(m *schemas.Message) segmentHead {
	switch {
	case !t.merged:
		return headOf(m)
	case t.head.fits(m):
		return t.head
	}
	return segmentHead{kind: m.Kind} // each differs from the one before, so they are stored as they are
}

// flags returns how a segment says with what the data of its messages begins and ends.
func (h *segmentHead) flags() byte {
	switch {
	case h.before == "" && h.after == "":
		return 0
	case h.before == quote && h.after == quote:
		return flagQuoted
	}
	return flagAround
}

// appendSegment begins a segment, whose first message is m, which still has to be appended.
func appendSegment(b []byte, m *schemas.Message, h *segmentHead, offset int64) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, m.ID.Seq)
	b = binary.AppendUvarint(b, uint64(m.CreatedAt))
	b = binary.AppendVarint(b, offset)
	flags := h.flags()
	if m.Traceparent != "" {
		flags |= flagTraced
	}
	b = append(b, engine.KindCode(h.kind), flags)
	b = appendText(b, string(m.Topic))
	b = appendText(b, m.StreamID)
	b = appendText(b, h.runID)
	b = appendText(b, h.sub)
	if m.Traceparent != "" {
		b = appendText(b, m.Traceparent)
	}
	if flags&flagAround != 0 {
		b = appendText(appendText(b, h.before), h.after)
	}
	return b
}

// The flags of a segment.
const (
	flagQuoted = 1 << iota // the data of its messages stands between quotation marks
	flagTraced             // its first message has a traceparent
	flagAround             // the data of its messages stands between what the head says
)

// appendPiece appends m to a segment whose newest message is at position seq, published at
// the given time.
func appendPiece(b []byte, m *schemas.Message, seq uint64, at int64, h *segmentHead) []byte {
	return joinPiece(b, m.ID.Seq-seq, int64(m.CreatedAt)-at, m.Data[len(h.before):len(m.Data)-len(h.after)])
}

// joinPiece is appendPiece, given how far its position and time are above those of the piece
// before, and what is stored of its data.
func joinPiece(b []byte, seq uint64, at int64, stored []byte) []byte {
	b = binary.AppendVarint(binary.AppendUvarint(b, seq), at)
	b = binary.AppendUvarint(b, uint64(len(stored)))
	return append(b, stored...)
}

// splitPiece undoes joinPiece.
func splitPiece(b []byte) (seq uint64, at int64, stored []byte, err error) {
	d := decoder{rest: b}
	seq, at, stored = d.number(), d.signed(), d.bytes()
	return seq, at, stored, d.end()
}

// decodeSegment calls fn with each message of a segment, and returns the offset in the text at
// which it ends. The data of the messages shares no memory with b.
func decodeSegment(b []byte, epoch uint64, name schemas.Channel, fn func(*schemas.Message)) (h segmentHead, end int64, err error) {
	d := decoder{rest: b}
	d.version(version)
	m := schemas.Message{Channel: name, ID: schemas.ID{Epoch: epoch, Seq: d.number()}}
	m.CreatedAt, end = schemas.Time(d.number()), d.signed()
	m.Kind = d.kind()
	flags := d.byte()
	m.Topic, m.StreamID, m.RunID, m.Sub = schemas.Topic(d.text()), d.text(), d.text(), d.text()
	if flags&flagTraced != 0 {
		m.Traceparent = d.text()
	}
	h = segmentHead{kind: m.Kind, runID: m.RunID, sub: m.Sub}
	h.before, h.after = d.around(flags)
	all := make([]byte, 0, len(d.rest)) // the data of all; that of texts takes one allocation: the quotation marks take the place of the numbers
	for d.err == nil && len(d.rest) > 0 {
		m.ID.Seq += d.number()
		m.CreatedAt += schemas.Time(d.signed())
		data := d.bytes()
		if d.err != nil {
			break
		}
		begins := len(all)
		all = append(append(append(all, h.before...), data...), h.after...)
		m.Data = all[begins:len(all):len(all)]
		if m.Kind != schemas.KindData {
			m.Offset = end
		}
		fn(&m)
		m.Traceparent = ""
		switch {
		case m.Kind == schemas.KindData:
			end += int64(len(data))
		case m.Kind == schemas.KindChunk && end >= 0:
			end += int64(len(m.Text()))
		}
	}
	return h, end, d.err
}

// around reads with what the data of each message begins and ends.
func (d *decoder) around(flags byte) (before, after string) {
	switch {
	case flags&flagQuoted != 0:
		return quote, quote
	case flags&flagAround != 0:
		return d.text(), d.text()
	}
	return "", ""
}
