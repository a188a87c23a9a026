package ring

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// recordFor returns the record that the new message m is a piece of, and the text that m
// adds to it; nil if m is a message of its own.
func (l *Log) recordFor(m *schemas.Message, mark *topicMark) (r *record, text []byte) {
	switch {
	case m.Kind == schemas.KindData && l.Limits.Merge != nil:
		return l.mergedFor(m, mark)
	case !m.Piece():
		return nil, nil
	case m.Kind == schemas.KindChunk:
		text = m.Text()
	}
	return l.textFor(m, mark), text
}

// textFor returns the record of the text that m belongs to. It adds one for a text that
// begins, or of which the beginning is lost.
func (l *Log) textFor(m *schemas.Message, mark *topicMark) *record {
	if m.Kind != schemas.KindStreamStart {
		for _, r := range slices.Backward(l.records) {
			if r.open() && r.mark == mark && r.message.StreamID == m.StreamID {
				return r
			}
		}
	}
	chunk := *m
	chunk.Kind, chunk.Data, chunk.Traceparent = schemas.KindChunk, []byte(`""`), ""
	r := newRecord(chunk, mark, l.Limits.EventBytes)
	l.records = append(l.records, r)
	return r
}

// mergedFor returns the record of the messages with which m is held as one by the merge
// rule of its topic, nil if there are none. A message gets a record when the second one
// comes that it is held as one with.
func (l *Log) mergedFor(m *schemas.Message, mark *topicMark) (r *record, text []byte) {
	rule := l.Limits.Merge.Of(m.Topic)
	if rule == nil {
		return nil, nil
	}
	parts, ok := rule.Split(m.Data)
	if r = mark.merging; r != nil && (!ok || r.last != mark.newest || !r.agrees(m, &parts)) {
		l.change(r, r.finish)
		r, mark.merging = nil, nil
	}
	if r == nil && ok {
		r = l.mergeNewest(m, mark, rule, &parts)
	}
	return r, parts.Text
}

// mergeNewest makes a record of the newest message of a topic, if m is to be held as one
// with it.
func (l *Log) mergeNewest(m *schemas.Message, mark *topicMark, rule *schemas.MergeRule, next *schemas.Parts) *record {
	i := l.After(mark.newest - 1)
	if mark.newest == 0 || i == l.count {
		return nil
	}
	f := l.At(i)
	var first schemas.Message
	if f.Seq != mark.newest || f.Kind != schemas.KindData || f.record != nil || json.Unmarshal(f.Message(), &first) != nil {
		return nil
	}
	parts, ok := rule.Split(f.bare())
	if !ok {
		return nil
	}
	first.ID.Shard = m.ID.Shard
	first.Data = slices.Concat(parts.Before, []byte(`""`), parts.After)
	r := newRecord(first, mark, l.Limits.EventBytes)
	r.rule, r.key, r.made = rule, parts.Key, m.ID.Seq
	r.before, r.behind = bytes.Clone(parts.Before), bytes.Clone(parts.After)
	if around := len(parts.Before) + len(parts.After); around > r.room/2 || len(parts.Text) > r.room || !r.agrees(m, next) {
		mark.count--
		return nil
	}
	r.add(*f, &first, parts.Text)
	r.outOfOrder = f.OutOfOrder()
	f.record, mark.merging = r, r
	l.pieces++
	l.pieceBytes += f.Cost()
	l.bytes += r.cost
	l.records = append(l.records, r)
	return r
}

// extend adds the newest message of the log, of which f is the frame, to r.
func (l *Log) extend(r *record, f Frame, m *schemas.Message, text []byte) {
	l.release(r)
	l.change(r, func() {
		r.add(f, m, text)
		for l.Limits.TextBytes > 0 && len(r.segments) > 1 && r.bytes() > l.Limits.TextBytes {
			l.lose(r.mark, r.shorten(), Overrun)
		}
	})
	if i := len(l.records) - 1; l.records[i] != r {
		l.records = append(slices.Delete(l.records, slices.Index(l.records, r), slices.Index(l.records, r)+1), r)
	}
}

// change changes a record of the log, and accounts for what it costs then.
func (l *Log) change(r *record, do func()) {
	before := r.cost
	do()
	l.bytes += r.cost - before
	if r.kept {
		l.keptBytes += r.cost - before
	}
}

// foldAt is how many pieces gather in a ring before they are folded, besides one for every
// eight other frames: folding moves all of these.
const foldAt = 16

// foldEnded is foldAt when the newest message ends a text: it may be the last for long.
const foldEnded = 2

// foldBytes is how much memory pieces take on average when as many gather as may. Of larger
// ones, fewer gather.
const foldBytes = 512

// foldDue reports whether it is worth while to fold the pieces in the ring.
func (l *Log) foldDue() bool {
	most := foldAt
	if l.pieces > 0 && l.At(l.count-1).Kind == schemas.KindStreamEnd {
		most = foldEnded
	}
	most += (l.count - l.pieces) / 8
	return l.pieces > most || l.pieces > 2 && l.pieceBytes > int64(most)*foldBytes
}

// fold takes the pieces of texts up to the position out of the ring. They are in the
// records of the texts, so nothing is lost. The newest frame stays, since it has not been
// handed on.
func (l *Log) fold(upTo uint64) {
	before := l.count
	kept := 0
	for i := range before {
		f := *l.At(i)
		if f.record != nil && f.Seq <= upTo && i < before-1 {
			l.foldFrame(&f)
			continue
		}
		*l.At(kept) = f
		kept++
	}
	for i := kept; i < before; i++ {
		*l.At(i) = Frame{}
	}
	l.count = kept
	room := len(l.ring)
	for room > minRing && l.count <= room/8 {
		room /= 2
	}
	if room < len(l.ring) {
		l.resize(room)
	}
	l.foldNext = l.middlePiece()
}

// middlePiece returns the position of the piece in the middle of those in the ring, 0 if
// there is none.
func (l *Log) middlePiece() uint64 {
	for i, n := 0, 0; i < l.count; i++ {
		if f := l.At(i); f.record != nil {
			if n++; n > l.pieces/2 {
				return f.Seq
			}
		}
	}
	return 0
}

// foldFrame accounts for a piece that leaves the ring.
func (l *Log) foldFrame(f *Frame) {
	f.record.folded, l.folded = max(f.record.folded, f.Seq), max(l.folded, f.Seq)
	f.mark.count--
	l.bytes -= f.Cost()
	l.pieces--
	l.pieceBytes -= f.Cost()
}

// maxKept is how many messages a log keeps over its limits: the latest of each topic, and
// texts that go on. Together they take at most as many bytes as the limits allow for the
// others.
const maxKept = 32

// keepFrame makes a record of the frame f, which leaves the ring, if it is the latest of
// its topic.
func (l *Log) keepFrame(f *Frame) bool {
	if f.Kind == schemas.KindRun || f.mark.newest != f.Seq {
		return false
	}
	r := &record{mark: f.mark, head: *f, folded: f.Seq, last: f.Seq, at: f.At, finished: true}
	r.recount()
	if !l.keep(r) {
		return false
	}
	i, _ := slices.BinarySearchFunc(l.records, f.Seq, func(r *record, seq uint64) int { return cmp.Compare(r.last, seq) })
	l.records = slices.Insert(l.records, i, r)
	l.bytes += r.cost
	r.mark.count++
	l.folded = max(l.folded, f.Seq)
	return true
}

// keep makes r one of the messages that are kept over the limits, in place of the oldest of
// these if there is no room. It reports false if r is too large, or was kept before.
func (l *Log) keep(r *record) bool {
	if r.spent || r.cost > l.Limits.Bytes {
		return false
	}
	for l.kept >= maxKept || l.keptBytes+r.cost > l.Limits.Bytes {
		l.release(l.records[slices.IndexFunc(l.records, func(r *record) bool { return r.kept })])
	}
	r.kept = true
	if r.mark.newest == r.last {
		r.mark.kept = r
	}
	l.kept++
	l.keptBytes += r.cost
	return true
}

// release undoes keep: r counts for the limits again.
func (l *Log) release(r *record) {
	if !r.kept {
		return
	}
	r.kept, r.spent = false, true
	if r.mark.kept == r {
		r.mark.kept = nil
	}
	l.kept--
	l.keptBytes -= r.cost
}

// dropRecord removes a record, of which nothing may be in the ring.
func (l *Log) dropRecord(i int, reason GapReason) {
	r := l.records[i]
	l.release(r)
	if r.mark.merging == r {
		r.mark.merging = nil
	}
	l.records = slices.Delete(l.records, i, i+1)
	l.bytes -= r.cost
	r.mark.count--
	l.lose(r.mark, r.last, reason)
	if reason != Kept {
		l.whole = max(l.whole, r.last)
	}
}
