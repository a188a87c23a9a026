package ring

import (
	"encoding/json"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// joinParts is a part of [Log.Merge]. It holds the oldest of the log's own messages of a
// topic as one with the older messages that have just been added, as if they had come in
// this order. Otherwise what a node has received in two ways would count twice for the
// limits. own are the frames that were in the ring, and records what the log had besides.
func (l *Log) joinParts(own []Frame, records []*record) {
	if l.Limits.Merge == nil {
		return
	}
	for _, mark := range l.marks {
		if mark.newest > 0 && l.Limits.Merge.Of(mark.name) != nil {
			l.joinFirst(mark, own, records)
		}
	}
}

// joinFirst is joinParts for one topic.
func (l *Log) joinFirst(mark *topicMark, own []Frame, records []*record) {
	var first *record
	for _, r := range records {
		if r.mark == mark && (first == nil || r.first() < first.first()) {
			first = r
		}
	}
	f := slices.IndexFunc(own, func(f Frame) bool { return f.mark == mark })
	switch {
	case f >= 0 && (first == nil || own[f].Seq < first.first()):
		l.appendPart(&own[f])
	case first != nil && first.rule != nil:
		l.prependParts(first)
	}
}

// prependParts puts older messages before those of r, if they are to be held as one.
func (l *Log) prependParts(r *record) {
	head, _ := r.after(0).span.cut(r.first())
	f := head.encode()
	older, _ := l.partsBefore(&f)
	if older == nil {
		return
	}
	r.mark.merging = nil
	for i := range l.count {
		if f := l.At(i); f.record == older {
			f.record = r
		}
	}
	l.records = slices.DeleteFunc(l.records, func(o *record) bool { return o == older })
	r.mark.count--
	l.bytes -= older.cost
	l.change(r, func() {
		r.message, r.before, r.behind = older.message, older.before, older.behind
		r.made, r.room = older.made, min(r.room, older.room)
		for i := range r.segments {
			r.segments[i].offset += older.bytes()
		}
		r.prepend(older)
	})
}

// appendPart adds f to older messages, if they are to be held as one.
func (l *Log) appendPart(f *Frame) {
	if f.Kind != schemas.KindData || f.record != nil {
		return
	}
	r, m := l.partsBefore(f)
	if r == nil {
		return
	}
	parts, _ := r.rule.Split(m.Data)
	l.extend(r, *f, m, parts.Text)
	f.record, f.mark.newest = r, f.Seq
	l.pieces++
	l.pieceBytes += f.Cost()
}

// partsBefore returns the record of the newest older messages of the topic of f, if f is to
// be held as one with them, and the message of f.
func (l *Log) partsBefore(f *Frame) (*record, *schemas.Message) {
	var m schemas.Message
	if json.Unmarshal(f.Message(), &m) != nil {
		return nil, nil
	}
	r, _ := l.mergedFor(&m, f.mark)
	return r, &m
}
