package ring

import (
	"slices"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Trim drops the messages that exceed the limits at the time now (Unix milliseconds),
// except those that a reader still has to pass. Expired messages go in any case. It
// returns the number of bytes freed.
func (l *Log) Trim(now int64) (freed int64) {
	before := l.bytes
	passed := min(l.Floor, l.Swept)
	switch due := l.foldDue(); {
	case due && l.pieceBytes > l.Limits.Bytes:
		l.fold(NoReader) // readers that are behind are sent longer pieces
	case due && passed >= l.foldNext:
		l.fold(passed)
	}
	expired := now - l.Limits.AgeMillis()
	for l.dropExpired(expired) {
	}
	for l.over() && l.Counted() > 1 && l.dropOldest(passed, Overrun, true) {
	}
	for l.overBytes() && l.shortenOldest(passed) {
	}
	return before - l.bytes
}

// DropHeld drops the oldest message if it exceeds the limits, or the beginning of the only
// one, even if a reader still has to pass it, but not if it is above the position served.
// It reports whether it dropped something.
func (l *Log) DropHeld(served uint64) (freed int64, ok bool) {
	before := l.bytes
	switch {
	case l.pieces > 1:
		l.fold(NoReader)
		ok = true
	case !l.over():
	case l.Counted() > 1:
		ok = l.dropOldest(served, Overrun, true)
	default:
		ok = l.overBytes() && l.shortenOldest(served)
	}
	return before - l.bytes, ok
}

// Drop drops the n oldest messages for the given reason and returns the number of bytes
// freed.
func (l *Log) Drop(n int, reason GapReason) (freed int64) {
	before := l.bytes
	for range min(n, l.Len()) {
		if !l.dropOldest(NoReader, reason, false) {
			l.dropRecord(0, reason) // it is kept over the limits
		}
	}
	return before - l.bytes
}

// Clear drops everything and returns the number of bytes freed.
func (l *Log) Clear(reason GapReason) (freed int64) { return l.Drop(l.Len(), reason) }

// dropExpired drops the oldest message if it was published before the given time.
func (l *Log) dropExpired(before int64) bool {
	if len(l.records) > 0 && l.records[0].kept && l.records[0].at <= before {
		l.dropRecord(0, Expired)
		return true
	}
	for l.count > 0 && l.At(0).At <= before { // the text may have gone on
		f := l.At(0)
		if f.record == nil || l.count == 1 && f.record.at <= before {
			break
		}
		l.foldFrame(f)
		l.pop()
	}
	f, r := l.oldest()
	if f != nil && f.At <= before || f == nil && r >= 0 && l.records[r].at <= before {
		return l.dropOldest(NoReader, Expired, false)
	}
	return false
}

// oldest returns the oldest message that is not kept over the limits: the first frame of
// the ring, or the index of a record; nil and -1 if there is none. The frame may be a
// piece of a text, to be folded first.
func (l *Log) oldest() (f *Frame, r int) {
	r = slices.IndexFunc(l.records, func(r *record) bool { return !r.kept })
	if l.count > 0 {
		f = l.At(0)
	}
	if f != nil && r >= 0 && l.records[r].last < f.Seq {
		f = nil
	}
	return f, r
}

// dropOldest drops the oldest message that is not kept over the limits, if it is not above
// the position. If keep is set, the latest message of a topic and a text that goes on are
// kept instead.
func (l *Log) dropOldest(upTo uint64, reason GapReason, keep bool) bool {
	f, i := l.oldest()
	for f != nil && f.record != nil && f.Seq <= upTo {
		l.foldFrame(f)
		l.pop()
		f, i = l.oldest()
	}
	switch {
	case f != nil && f.Seq <= upTo:
		l.dropFrame(f, reason, keep)
	case f == nil && i >= 0 && l.records[i].last <= upTo:
		r := l.records[i]
		if !keep || r.mark.newest != r.last && !r.open() || !l.keep(r) {
			l.dropRecord(i, reason)
		}
	default:
		return false
	}
	return true
}

// shortenOldest drops the beginning of the oldest text if that is not above the position.
func (l *Log) shortenOldest(upTo uint64) bool {
	for _, r := range l.records {
		if !r.kept && len(r.segments) > 1 && r.segments[0].last <= min(upTo, r.folded) {
			l.change(r, func() { l.lose(r.mark, r.shorten(), Overrun) })
			return true
		}
	}
	return false
}

// dropFrame removes the oldest frame.
func (l *Log) dropFrame(f *Frame, reason GapReason, keep bool) {
	l.bytes -= f.Cost()
	f.mark.count--
	if !keep || !l.keepFrame(f) {
		if reason == Kept || f.Kind != schemas.KindRun { // the latest run status outlives the ring
			l.lose(f.mark, f.Seq, reason)
			if reason != Kept {
				l.whole = max(l.whole, f.Seq)
			}
		}
	}
	l.pop()
}

// pop takes the oldest frame out of the ring.
func (l *Log) pop() {
	*l.At(0) = Frame{}
	l.first = (l.first + 1) & (len(l.ring) - 1)
	l.count--
	if l.count == 0 {
		l.ring, l.first = nil, 0
	}
}

// lose remembers that messages of a topic up to the position are lost or, if the engine
// has them, cold.
func (l *Log) lose(mark *topicMark, seq uint64, reason GapReason) {
	if reason == Kept {
		l.Cold = max(l.Cold, seq)
		return
	}
	mark.lost = max(mark.lost, seq)
	if seq > l.lost {
		l.lost, l.reason = seq, reason
	}
}

// Lose remembers that everything up to the position seq, which is not in the log, is lost
// for every topic. It does not come back with [Log.Merge].
func (l *Log) Lose(seq uint64, reason GapReason) {
	l.gone = max(l.gone, seq)
	l.miss(engine.AllLost(seq), reason)
}

// miss remembers what is lost that was not in the log.
func (l *Log) miss(lost engine.Losses, reason GapReason) {
	l.whole = max(l.whole, lost.Newest)
	if last := lost.Last(); last > l.lost {
		l.lost, l.reason = last, reason
	}
	l.lostOther = max(l.lostOther, lost.Every)
	for topic, seq := range lost.Topics {
		mark := l.mark(topic)
		mark.lost = max(mark.lost, seq)
	}
}
