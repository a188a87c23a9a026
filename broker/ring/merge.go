package ring

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Merge puts older messages, which the engine kept, before those of the log. The log must
// have everything that is newer than its oldest message or, if it is cold, than that.
// Others may be lost for the given reason. Of older ones up to lost.Newest, the latest of each
// topic and texts that go on are kept over the limits. The log is not cold afterwards. Merge
// returns the number of bytes by which the log grew.
func (l *Log) Merge(older []schemas.Message, lost engine.Losses, reason GapReason) (grown int64) {
	before := l.bytes
	first := uint64(NoReader)
	if l.Len() > 0 {
		if first = l.Cold + 1; l.Cold == 0 {
			first, _ = l.Span()
		}
	}
	own, records, ends, last, total := l.takeFrames(), l.records, l.takeEnds(), l.last, l.total
	l.records = nil
	for i := range older {
		if m := &older[i]; m.ID.Seq < first && !holds(records, m) {
			l.addOlder(m)
		}
	}
	texts := slices.Clone(l.records)
	for _, r := range records {
		l.join(r)
	}
	l.joinParts(own, records)
	slices.SortFunc(l.records, func(a, b *record) int { return cmp.Compare(a.last, b.last) })
	l.keepOlder(texts, max(lost.Newest, l.whole), reason)
	for _, f := range own {
		f.mark.count--
		l.push(f)
	}
	l.putEnds(ends)
	l.last, l.total, l.Cold = max(l.last, last), total, 0
	l.miss(lost, reason)
	l.Trim(time.Now().UnixMilli())
	return l.bytes - before
}

// takeFrames empties the ring and returns what was in it. The marks still count that, so
// that they are not forgotten.
func (l *Log) takeFrames() []Frame {
	frames := make([]Frame, l.count)
	for i := range frames {
		frames[i] = *l.At(i)
		l.bytes -= frames[i].Cost()
	}
	l.ring, l.first, l.count = nil, 0, 0
	return frames
}

// topicEnd is what a mark knows of the newest messages of its topic.
type topicEnd struct {
	mark    *topicMark
	newest  uint64
	merging *record
}

// takeEnds makes the marks forget the newest messages, as older ones are to be added.
func (l *Log) takeEnds() []topicEnd {
	ends := make([]topicEnd, len(l.marks))
	for i, m := range l.marks {
		ends[i] = topicEnd{m, m.newest, m.merging}
		m.newest, m.merging = 0, nil
	}
	return ends
}

// putEnds undoes takeEnds where a topic has newer messages than were added.
func (l *Log) putEnds(ends []topicEnd) {
	for _, e := range ends {
		if e.newest <= e.mark.newest {
			continue
		}
		if r := e.mark.merging; r != nil {
			l.change(r, r.finish)
		}
		e.mark.newest, e.mark.merging = e.newest, e.merging
	}
}

// holds reports whether one of the records has m.
func holds(records []*record, m *schemas.Message) bool {
	return slices.ContainsFunc(records, func(r *record) bool {
		return m.Topic == r.mark.name && m.StreamID == r.message.StreamID && r.first() <= m.ID.Seq && m.ID.Seq <= r.last
	})
}

// addOlder appends m, to the ring or to a record. It leaves out what has been deleted.
func (l *Log) addOlder(m *schemas.Message) {
	mark := l.mark(m.Topic)
	if m.ID.Seq <= l.gone {
		if m.Kind != schemas.KindRun {
			mark.lost = max(mark.lost, m.ID.Seq)
		}
		return
	}
	f := frameOf(m, mark)
	r, text := l.recordFor(m, f.mark)
	f.mark.newest = max(f.mark.newest, f.Seq)
	l.last = f.Seq
	if r == nil {
		l.push(f)
		return
	}
	l.extend(r, f, m, text)
	r.folded, l.folded = f.Seq, max(l.folded, f.Seq)
}

// keepOlder keeps those of the older messages over the limits before which others are lost,
// or drops them: the frames that are in the ring, and the given records, but for those that
// newer ones continue.
func (l *Log) keepOlder(records []*record, lost uint64, reason GapReason) {
	for l.count > 0 && l.At(0).Seq <= lost {
		if f := l.At(0); f.record != nil {
			l.foldFrame(f)
			l.pop()
		} else {
			l.dropFrame(f, reason, true)
		}
	}
	for _, r := range records {
		i := slices.Index(l.records, r)
		if i < 0 || r.kept || r.last > max(lost, r.mark.lost) {
			continue
		}
		if r.mark.newest != r.last && !r.open() || !l.keep(r) {
			l.dropRecord(i, reason)
		}
	}
}

// join takes a record back that the log had before older messages came. If the log has
// got the beginning of its text meanwhile, that is put before it.
func (l *Log) join(r *record) {
	i := slices.IndexFunc(l.records, func(o *record) bool { return r.continues(o) })
	if i < 0 {
		l.records = append(l.records, r)
		return
	}
	older := l.records[i]
	l.release(older)
	l.bytes -= older.cost
	l.change(r, func() { r.prepend(older) })
	r.mark.count--
	l.records[i] = r
}

// continues reports whether o has the beginning of the text of r.
func (r *record) continues(o *record) bool {
	return r.head.Seq == 0 && r.message.StreamID != "" && o.open() && o.mark == r.mark && o.message.StreamID == r.message.StreamID
}

// prepend puts what o has of the text before what r has.
func (r *record) prepend(o *record) {
	begins := r.first()
	r.head = o.head
	var segments []segment
	for f := o.after(o.head.Seq); f.span != nil && f.span.first < begins; f = o.after(f.Seq) {
		head, _ := f.span.cut(begins - 1)
		segments = append(segments, head.segment())
	}
	r.segments = append(segments, r.segments...)
	r.sealed = 0
	for i := range r.segments {
		if i < len(r.segments)-1 || r.finished {
			r.sealed += r.segments[i].cost()
		}
	}
	r.folded = max(r.folded, o.folded)
	r.recount()
}

// segment returns u as a segment of its own.
func (u *span) segment() segment {
	s := segment{first: u.first, last: u.last, offset: u.offset, text: u.text}
	s.index = binary.AppendUvarint(s.index, 0)
	s.index = binary.AppendUvarint(s.index, uint64(u.size))
	s.index = append(s.index, u.index...)
	return s
}
