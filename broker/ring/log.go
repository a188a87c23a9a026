package ring

import (
	"math"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// NoReader is the position of the readers of a log that has none: beyond every message.
const NoReader = math.MaxUint64

// GapReason says why messages are lost.
type GapReason string

// The reasons of a gap.
const (
	Kept      GapReason = ""          // not lost: the engine has them
	Overrun   GapReason = "overrun"   // the ring was too short
	Expired   GapReason = "expired"   // they became too old, or the channel was deleted
	Restarted GapReason = "restarted" // the client's id is from another epoch of the log
)

// Log is the short memory of one channel: a ring of frames in the order of their
// positions. The zero value is empty and keeps nothing until Limits are set. It is not
// safe for concurrent use.
//
// Frames over the limits stay while a reader still has to pass them, so a burst longer
// than the ring is not a gap for readers that are only a moment behind. The owner says
// how far the readers are (Floor, Swept), and must bound how much is held for them.
type Log struct {
	// Limits bound what is kept. They may change at any time.
	Limits engine.Limits
	// Floor is a position that every individually notified reader has passed, see
	// [Log.Hold]. Swept is one that every fan-out group has passed. Both are [NoReader]
	// if there are none.
	Floor, Swept uint64
	// Cold says that messages up to here that are not in the ring may be with the
	// engine; 0 if the ring has everything there is.
	Cold uint64

	ring   []Frame // its length is a power of two
	first  int     // index of the oldest frame
	count  int     // frames in the ring
	bytes  int64   // memory of everything
	last   uint64  // newest position ever appended
	total  int64   // bytes ever appended
	joined bool    // a reader has come since the measuring of the floor began

	records    []*record // texts, and the latest messages of topics that the ring has dropped; by their newest position
	pieces     int       // frames in the ring that belong to a text
	pieceBytes int64     // their memory
	foldNext   uint64    // pieces are folded once readers have passed this: half of those that were left the last time
	folded     uint64    // up to here, something may be in a record and not in the ring
	kept       int       // records that are kept over the limits
	keptBytes  int64     // their memory

	marks     []*topicMark
	lost      uint64    // newest lost position of any topic but $run
	whole     uint64    // everything above this position is held, but for the beginnings of texts
	gone      uint64    // nothing up to this position comes back
	lostOther uint64    // newest lost position of topics that are not in marks
	reason    GapReason // why the newest lost message was lost
}

// Len returns how many messages the log holds. A text counts as one.
func (l *Log) Len() int { return l.count - l.pieces + len(l.records) }

// Counted returns how many of the messages count for the limits: all but the latest ones
// that are kept over them.
func (l *Log) Counted() int { return l.Len() - l.kept }

// Bytes returns how much memory the log takes.
func (l *Log) Bytes() int64 { return l.bytes }

// Total returns how many bytes were ever appended.
func (l *Log) Total() int64 { return l.total }

// Last returns the newest position that was ever in the log.
func (l *Log) Last() uint64 { return l.last }

// Lost returns the newest lost position of any topic; 0 if nothing is lost.
func (l *Log) Lost() uint64 { return l.lost }

// Frames returns how many frames are in the ring.
func (l *Log) Frames() int { return l.count }

// Folded reports whether messages after the position may be held outside the ring, where
// only a [Reader] finds them.
func (l *Log) Folded(seq uint64) bool { return seq < l.folded }

// Span returns the positions of the oldest and the newest message that the log holds, but
// for latest messages of topics before which others are lost; 0 if there are none.
func (l *Log) Span() (first, last uint64) {
	if l.count > 0 {
		first, last = l.At(0).Seq, l.At(l.count-1).Seq
	}
	for _, r := range l.records {
		if r.kept && r.last <= l.whole {
			continue
		}
		if begins := r.first(); first == 0 || begins < first {
			first = begins
		}
		last = max(last, r.last)
	}
	return first, last
}

// At returns the i-th oldest frame of the ring. It is valid until the log changes.
func (l *Log) At(i int) *Frame { return &l.ring[(l.first+i)&(len(l.ring)-1)] }

// After returns the index of the oldest frame with a position above seq; [Log.Frames]
// if there is none.
func (l *Log) After(seq uint64) int {
	low, high := 0, l.count
	for low < high {
		mid := int(uint(low+high) >> 1)
		if l.At(mid).Seq <= seq {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// Reaches reports whether the ring holds frames as old as the position.
func (l *Log) Reaches(seq uint64) bool { return l.count > 0 && seq >= l.At(0).Seq }

// FirstOf returns the oldest position above seq that a reader of the topics is sent.
func (l *Log) FirstOf(topics schemas.TopicSet, seq uint64) (uint64, bool) {
	w := l.walk(topics, nil, nil, seq, NoReader)
	f, ok := w.next()
	return f.First(), ok
}

// Append encodes m, which must be newer than all other messages, and drops what exceeds
// the limits. It returns the frame and the number of bytes by which the log grew.
func (l *Log) Append(m *schemas.Message) (f Frame, grown int64) {
	before := l.bytes
	f = frameOf(m, l.mark(m.Topic))
	r, text := l.recordFor(m, f.mark)
	f.mark.newest = f.Seq
	if kept := f.mark.kept; kept != nil && !kept.open() {
		l.release(kept) // it is not the latest of its topic any more
	}
	if r != nil {
		l.extend(r, f, m, text)
		f.record = r
		l.pieces++
		l.pieceBytes += f.Cost()
	}
	l.push(f)
	l.Trim(f.At)
	return f, l.bytes - before
}

// MarkOutOfOrder notes that newer messages of other channels were delivered before the
// newest message, which was appended a moment ago, and returns its frame.
func (l *Log) MarkOutOfOrder() Frame {
	f := l.At(l.count - 1)
	f.outOfOrder = true
	if r := f.record; r != nil {
		r.noteOutOfOrder(f.Seq)
	}
	return *f
}

func (l *Log) push(f Frame) {
	if l.count == len(l.ring) {
		l.resize(max(minRing, 2*len(l.ring)))
	}
	l.ring[(l.first+l.count)&(len(l.ring)-1)] = f
	l.count++
	l.bytes += f.Cost()
	l.total += f.Cost()
	l.last = f.Seq
	f.mark.count++
}

// minRing is for how many frames a ring has room at least.
const minRing = 4

// resize moves the frames to a ring with room for n, which is a power of two.
func (l *Log) resize(n int) {
	ring := make([]Frame, n)
	for i := range l.count {
		ring[i] = *l.At(i)
	}
	l.ring, l.first = ring, 0
}

// Hold keeps everything for a reader that has just come, until its position is
// measured.
func (l *Log) Hold() { l.Floor, l.joined = 0, true }

// BeginMeasure begins to measure the floor: the owner reads the positions of the
// readers without guarding the log. A [Log.Hold] that comes meanwhile makes the result
// invalid.
func (l *Log) BeginMeasure() { l.joined = false }

// EndMeasure sets the floor that was measured, unless a reader has come since
// [Log.BeginMeasure].
func (l *Log) EndMeasure(floor uint64) {
	if !l.joined {
		l.Floor = floor
	}
}

// OverLimits reports whether the log exceeds its limits, so that some messages are kept only
// for readers. It also does if so many pieces of texts have gathered that they should be
// folded.
func (l *Log) OverLimits() bool { return l.over() || l.foldDue() }

// over reports whether the log exceeds its limits.
func (l *Log) over() bool {
	return l.Counted() > l.Limits.Messages || l.overBytes()
}

// overBytes reports whether what counts for the limits takes more memory than it may.
func (l *Log) overBytes() bool { return l.bytes-l.pieceBytes-l.keptBytes > l.Limits.Bytes }
