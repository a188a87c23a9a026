package ring

import "github.com/sluicehq/sluice/schemas"

// Reader is one reader's walk through one log. It takes frames out in small lots, so
// that the log is locked only for a moment, and hands them on one at a time. One
// goroutine owns it.
type Reader struct {
	topics    schemas.TopicSet
	selection selection

	lot   []Frame // taken but not yet handed on
	next  int     // index in lot
	ahead int     // bytes of the frames in lot from next on
	read  uint64  // the log was searched up to this position
	head  uint64  // newest position in the log at that time
	told  uint64  // the client knows of losses up to here
	cold  uint64  // nothing up to here is missed, even if it is not in memory
}

// A lot has at most lotFrames frames, and at most lotBytes but for the last frame. What
// is in a lot stays in memory even after the log has dropped it, see [Reader.Ahead].
const (
	lotFrames = 16
	lotBytes  = 16 << 10
)

// joinAt is how many frames a reader must be behind to be sent texts in longer pieces.
const joinAt = 16

// NewReader returns a reader of the topics. Its client knows of losses up to told. Up
// to cold it misses nothing, even if that is not in memory.
func NewReader(topics schemas.TopicSet, told, cold uint64) Reader {
	return Reader{topics: topics, told: told, cold: cold}
}

// Gap is a loss that a reader has come across.
type Gap struct {
	After, Resumes uint64 // the loss lies between these; Resumes is 0 if the log holds nothing newer
	Newest         uint64 // newest lost position
	Behind         uint64 // nothing up to here is left to be sent of the channel
	Reason         GapReason
}

// Empty reports whether every frame that was taken has been handed on.
func (r *Reader) Empty() bool { return r.next == len(r.lot) }

// Peek returns the position at which the next frame begins. The reader must not be
// empty.
func (r *Reader) Peek() uint64 { return r.lot[r.next].First() }

// Next hands on the next frame, which is valid until the next Fill. The reader must
// not be empty. A frame that joins pieces of a text ends at the position limit at the
// latest, which must not be below [Reader.Peek].
func (r *Reader) Next(limit uint64) *Frame {
	f := &r.lot[r.next]
	r.ahead -= f.size()
	if f.sse != nil {
		r.next++
		return f
	}
	head, rest := f.span.cut(limit)
	encoded := head.encode()
	if rest == nil {
		r.next++
		*f = encoded
		return f
	}
	*f = rest.frame()
	r.ahead += f.size()
	return &encoded
}

// Ahead returns how many bytes the reader has taken and not handed on.
func (r *Reader) Ahead() int { return r.ahead }

// GiveBack forgets what the reader has taken and not handed on. The next Fill takes it
// again, or finds that the log has dropped it meanwhile.
func (r *Reader) GiveBack() {
	if !r.Empty() {
		r.read = r.Peek() - 1
		r.lot, r.next, r.ahead = nil, 0, 0
	}
}

// Head returns the newest position that the log had when the reader last looked.
func (r *Reader) Head() uint64 { return r.head }

// Selecting reports whether what the reader is sent after the position still depends on
// its replay.
func (r *Reader) Selecting(position uint64) bool {
	return position < max(r.selection.from, r.selection.upTo)
}

// SelectedFrom returns the position after which the reader is sent messages.
func (r *Reader) SelectedFrom() uint64 { return r.selection.start }

// Release frees the memory of the last lot if the reader is empty.
func (r *Reader) Release() {
	if r.Empty() {
		r.lot, r.next = nil, 0
	}
}

// Fill takes the next frames between position (exclusive) and limit (inclusive) out of
// the log, at most maxBytes but for the last one. The reader must be empty. Afterwards it
// is empty only if the log has nothing more for it up to the limit. run is the latest run
// message of the channel, nil if there is none; it may be older than the log.
//
// Fill returns a gap if something in between is lost of which the client does not know
// yet. A gap with the reason [Kept] says instead that the next messages are no longer
// in memory.
func (r *Reader) Fill(l *Log, run *Frame, position, limit uint64, maxBytes int) (gap *Gap) {
	clear(r.lot)
	r.lot, r.next = r.lot[:0], 0

	from := max(position, r.read, r.selection.start)
	if from < limit && l.Cold > max(from, r.cold) {
		return &Gap{Reason: Kept}
	}
	w := l.walk(r.topics, &r.selection, run, from, limit)
	behind := l.count - l.After(from)
	if behind > joinAt {
		w.joined = l.last
	}
	w.joined = max(w.joined, r.selection.upTo)
	f, some := w.next()
	if newest := l.LostOf(r.topics); from < limit && newest > max(from, r.told) {
		resumes, _ := l.FirstOf(r.topics, newest)
		gap = &Gap{After: from, Resumes: resumes, Newest: newest, Behind: newest, Reason: l.reason}
		if some {
			gap.Behind = min(gap.Behind, f.First()-1)
		}
		r.told = newest
	}
	r.head = l.last
	maxBytes = min(maxBytes, lotBytes)
	if some && r.lot == nil {
		r.lot = make([]Frame, 0, max(1, min(behind, lotFrames))) // not grown step by step
	}
	for ; some; f, some = w.next() {
		if len(r.lot) == lotFrames || r.ahead >= maxBytes {
			return gap
		}
		r.read = f.Seq
		r.lot = append(r.lot, f)
		r.ahead += f.size()
	}
	r.read = max(from, min(r.head, limit))
	return gap
}
