package ring

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// record is what a log holds beside its ring: a text, messages that are held as one by a
// [schemas.MergeRule], or one message that is the latest of its topic.
//
// Of a text it has the bytes once, and for each piece a position and a length. That takes
// little more memory than the text, and a reader at any piece can be sent the rest as one
// message. A record grows with every piece. The newest pieces are in the ring, too, as
// frames that readers share, until the log folds them ([Log.fold]). Positions of a
// record's pieces may lie between those of other messages.
//
// What a record holds is never overwritten, so a [span] of it can be read without
// guarding the log.
type record struct {
	mark     *topicMark
	message  schemas.Message // what all pieces have in common
	head     Frame           // the message that begins the text, or the latest of its topic; Seq is 0 if there is none
	segments []segment       // the text
	tail     Frame           // the message that ends the text; Seq is 0 as long as it is open

	rule           *schemas.MergeRule // of messages that are held as one; nil for others
	key            string             // in what they agree, see [schemas.Parts]
	before, behind []byte             // the JSON around the text of the first one
	made           uint64             // position of the second one: so far, the first one was held by itself

	outOfOrder []uint64 // positions of messages that are out of order, see [Log.MarkOutOfOrder]

	folded   uint64 // up to this position, the messages are not in the ring
	last     uint64 // position of the newest message
	at       int64  // when that was published, in Unix milliseconds
	cost     int64  // memory, in bytes
	room     int    // bytes of text in a segment; less than 1: one piece
	sealed   int64  // of which for segments that will not grow
	finished bool   // nor will there be others
	kept     bool   // it is kept over the limits of the log, see [Log.keep]
	spent    bool   // it was, and nothing has come since
}

// segment is a part of a text that can be sent as one message.
type segment struct {
	first, last uint64 // positions of its first and its last piece
	offset      int64  // bytes of the text before it
	text        []byte
	index       []byte // for each piece, as varints: how far its position is above the one before, and its length
}

const (
	// maxSegment is how many bytes of text, and about how many of its index, a segment has
	// at most, but for a piece that is longer by itself.
	maxSegment = 8 << 10
	// recordOverhead and segmentOverhead are what they cost besides their bytes.
	recordOverhead  = 512
	segmentOverhead = 96
)

// newRecord returns a record of pieces that are like m in everything but their text. Their
// events may have limit bytes, 0 for any number.
func newRecord(m schemas.Message, mark *topicMark, limit int) *record {
	r := &record{mark: mark, message: m, room: maxSegment}
	if limit > 0 {
		const longestID, escaped = 32, 6
		m.Offset = math.MaxInt64
		if m.Kind == schemas.KindData {
			m.FirstID = schemas.ID{Epoch: m.ID.Epoch, Seq: math.MaxUint64, Shard: m.ID.Shard}
		}
		r.room = min(maxSegment, (limit-m.EventBytes(longestID))/escaped)
	}
	r.message.Data = nil
	mark.count++
	return r
}

// add appends m, of which f is the frame and which adds text.
func (r *record) add(f Frame, m *schemas.Message, text []byte) {
	switch m.Kind {
	case schemas.KindStreamStart:
		r.head = f
	case schemas.KindStreamEnd:
		r.tail = f
		r.finish()
	case schemas.KindChunk:
		r.addPiece(f.Seq, m.Offset, text)
	default:
		r.addPiece(f.Seq, -1, text)
	}
	r.last, r.at, r.spent = f.Seq, f.At, false
	r.recount()
}

// noteOutOfOrder notes that the newest message of r is out of order.
func (r *record) noteOutOfOrder(seq uint64) {
	switch seq {
	case r.head.Seq:
		r.head.outOfOrder = true
	case r.tail.Seq:
		r.tail.outOfOrder = true
	default:
		r.outOfOrder = append(r.outOfOrder, seq)
	}
}

// finish gives back what was reserved for more.
func (r *record) finish() {
	r.seal()
	r.finished = true
	r.recount()
}

// agrees reports whether m, which has these parts, is held as one with the messages of r.
func (r *record) agrees(m *schemas.Message, parts *schemas.Parts) bool {
	return r.key == parts.Key && r.message.RunID == m.RunID && r.message.Sub == m.Sub && len(parts.Text) <= r.room
}

func (r *record) addPiece(seq uint64, offset int64, text []byte) {
	s := r.newest()
	if offset < 0 { // it is not known
		offset = 0
		if s != nil {
			offset = s.end()
		}
	}
	if s == nil || s.end() != offset || len(s.text)+len(text) > r.room || len(s.index) > maxSegment {
		r.seal()
		r.segments = append(r.segments, segment{first: seq, last: seq, offset: offset})
		s = r.newest()
	}
	s.index = binary.AppendUvarint(s.index, seq-s.last)
	s.index = binary.AppendUvarint(s.index, uint64(len(text)))
	s.text = append(s.text, text...)
	s.last = seq
}

// newest returns the segment that grows, nil if there is none.
func (r *record) newest() *segment {
	if len(r.segments) == 0 {
		return nil
	}
	return &r.segments[len(r.segments)-1]
}

// seal gives back what the newest segment has reserved, since it will not grow.
func (r *record) seal() {
	if s := r.newest(); s != nil {
		s.text, s.index = bytes.Clone(s.text), bytes.Clone(s.index)
		r.sealed += s.cost()
	}
}

func (s *segment) cost() int64 { return int64(cap(s.text)+cap(s.index)) + segmentOverhead }

// end returns the offset in the text at which s ends.
func (s *segment) end() int64 { return s.offset + int64(len(s.text)) }

// recount works out what r costs.
func (r *record) recount() {
	r.cost = recordOverhead + int64(len(r.head.sse)+len(r.tail.sse)) + r.sealed
	r.cost += int64(len(r.before) + len(r.behind) + len(r.key))
	if s := r.newest(); s != nil && !r.finished {
		r.cost += s.cost()
	}
}

// joined reports whether r is several messages.
func (r *record) joined() bool { return r.message.StreamID != "" || r.rule != nil }

// open reports whether r is a text of which more may come.
func (r *record) open() bool { return r.rule == nil && r.message.StreamID != "" && !r.finished }

// bytes returns how much of the text is held.
func (r *record) bytes() int64 {
	if len(r.segments) == 0 {
		return 0
	}
	return r.newest().end() - r.segments[0].offset
}

// shorten drops the oldest segment, which must not be the only one, and returns its last
// position.
func (r *record) shorten() (lost uint64) {
	s := r.segments[0]
	r.segments = slices.Delete(r.segments, 0, 1)
	r.sealed -= s.cost()
	r.recount()
	return s.last
}

// first returns the position of the oldest message.
func (r *record) first() uint64 {
	f := r.after(0)
	return f.First()
}

// after returns the messages of r above the position, as far as they can be handed on as
// one frame. Its First is [NoReader] if there are none.
func (r *record) after(seq uint64) Frame {
	switch {
	case seq >= r.last:
	case r.head.Seq > seq:
		return r.head
	default:
		i, _ := slices.BinarySearchFunc(r.segments, seq+1, func(s segment, seq uint64) int { return cmp.Compare(s.last, seq) })
		if i < len(r.segments) {
			return r.spanOf(&r.segments[i], seq).frame()
		}
		return r.tail
	}
	return Frame{Seq: NoReader}
}

// span is a number of successive pieces of a text, which can be handed on as one message.
type span struct {
	record      *record
	at          int64  // when the newest message of the text was published
	first, last uint64 // positions of the first and the last piece
	offset      int64  // bytes of the text before the first piece
	text        []byte
	index       []byte   // of the pieces after the first, see [segment]
	size        int      // bytes of the first piece
	outOfOrder  []uint64 // of the whole record
}

// spanOf returns the pieces of s, of which the last one is above seq, above seq.
func (r *record) spanOf(s *segment, seq uint64) *span {
	all := span{record: r, at: r.at, first: s.first, last: s.last, offset: s.offset, text: s.text, index: s.index, outOfOrder: r.outOfOrder}
	_, all.size, all.index = pieceAt(s.index)
	if all.first > seq {
		return &all
	}
	_, rest := all.cut(seq)
	return rest
}

// pieceAt reads the first entry of an index.
func pieceAt(index []byte) (delta uint64, size int, rest []byte) {
	delta, n := binary.Uvarint(index)
	bytes, k := binary.Uvarint(index[n:])
	return delta, int(bytes), index[n+k:]
}

// cut divides u into the pieces up to the position, which must not be below the first
// piece, and the others; rest is nil if there are none.
func (u *span) cut(seq uint64) (head, rest *span) {
	if seq >= u.last {
		return u, nil
	}
	last, size, index := u.first, u.size, u.index // of the head
	for {
		delta, n, after := pieceAt(index)
		if last+delta > seq {
			h, r := *u, *u
			h.last, h.text, h.index = last, u.text[:size:size], u.index[:len(u.index)-len(index)]
			r.first, r.offset, r.text, r.index, r.size = last+delta, u.offset+int64(size), u.text[size:], after, n
			return &h, &r
		}
		last, size, index = last+delta, size+n, after
	}
}

// frame returns u as a frame whose bytes are still to be made.
func (u *span) frame() Frame {
	return Frame{Seq: u.last, At: u.at, Kind: u.record.message.Kind, mark: u.record.mark, span: u}
}

// encode returns u as one message.
func (u *span) encode() Frame {
	m := u.record.message
	if m.Kind == schemas.KindData && u.first != u.last {
		m.FirstID = m.ID
		m.FirstID.Seq = u.first
	}
	m.ID.Seq, m.CreatedAt, m.Offset = u.last, schemas.Time(u.at), u.offset
	data := make([]byte, 0, len(u.record.before)+len(u.text)+len(u.text)/16+2+len(u.record.behind))
	data = schemas.AppendString(append(data, u.record.before...), string(u.text))
	m.Data = append(data, u.record.behind...)
	f := frameOf(&m, u.record.mark)
	f.span = u
	return f
}
