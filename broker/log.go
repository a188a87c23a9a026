package broker

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Limits are what a channel keeps for readers that come back. Whichever is
// reached first counts.
type Limits struct {
	Messages int           // default 256
	Bytes    int64         // of frames, default 1 MiB
	Age      time.Duration // default 10 m
}

// LimitsOf returns what a definition, which may be nil, says that its channels keep.
// What it leaves open is zero.
func LimitsOf(d *schemas.Compiled) Limits {
	if d == nil {
		return Limits{}
	}
	r := d.Replay()
	return Limits{Messages: r.Messages, Bytes: int64(r.Bytes), Age: r.Age.Std()}
}

// ageMillis returns the age in milliseconds, at least one: what was published
// this moment is not too old.
func (l Limits) ageMillis() int64 { return max(1, l.Age.Milliseconds()) }

// topicMark is what a log remembers of a topic, beside its messages.
type topicMark struct {
	name schemas.Topic
	held int    // messages in the ring
	lost uint64 // newest position that is no longer in the ring; 0: none
}

// maxMarks is how many topics without a message in the ring a log remembers by
// name. What was lost of further ones counts for every topic.
const maxMarks = 32

// log is the short memory of one channel: a ring of frames in the order of
// their positions. It is guarded by its channel's mutex.
//
// Frames over the limits stay while a reader still has to pass them: a burst
// longer than the ring is not a gap for readers that are only a moment behind.
// How much that can be is bounded where messages are published, see flow.go.
type log struct {
	limits Limits
	ring   []frame // a power of two long
	first  int     // index of the oldest frame
	count  int
	bytes  int64
	last   uint64 // newest position ever appended
	total  int64  // bytes ever appended
	floor  uint64 // every reader that is told one by one has passed the frames up to here
	passed uint64 // and the crowds have
	joined bool   // a reader came since the floor was last measured

	marks  []*topicMark
	lost   uint64    // newest position lost of any topic but $run
	lostIn uint64    // newest position lost of topics that are not in marks
	reason gapReason // why the newest one was lost

	cold uint64 // messages up to here that are not in the ring may be with the engine; 0: the ring has what there is
}

// mark returns what is remembered of topic, adding it when it is new.
func (l *log) mark(topic schemas.Topic) *topicMark {
	for _, m := range l.marks {
		if m.name == topic {
			return m
		}
	}
	if len(l.marks) >= maxMarks {
		l.forgetMarks()
	}
	m := &topicMark{name: topic}
	l.marks = append(l.marks, m)
	return m
}

// forgetMarks folds the marks of topics without messages into lostIn. What is
// left is bounded by the messages in the ring.
func (l *log) forgetMarks() {
	kept := l.marks[:0]
	for _, m := range l.marks {
		if m.held > 0 {
			kept = append(kept, m)
			continue
		}
		l.lostIn = max(l.lostIn, m.lost)
	}
	clear(l.marks[len(kept):])
	l.marks = kept
}

// append adds f, which is newer than all others, and drops what is over the
// limits. It returns how many bytes the log grew by.
func (l *log) append(f frame) int64 {
	before := l.bytes
	if l.count == len(l.ring) {
		l.grow()
	}
	l.ring[(l.first+l.count)&(len(l.ring)-1)] = f
	l.count++
	l.bytes += f.cost()
	l.total += f.cost()
	l.last = f.seq
	f.mark.held++
	l.trim(f.at)
	return l.bytes - before
}

func (l *log) grow() {
	ring := make([]frame, max(4, 2*len(l.ring)))
	for i := range l.count {
		ring[i] = *l.at(i)
	}
	l.ring, l.first = ring, 0
}

// at returns the i-th oldest frame.
func (l *log) at(i int) *frame { return &l.ring[(l.first+i)&(len(l.ring)-1)] }

// trim drops the frames that are over the limits at the time now (milliseconds
// since the Unix epoch), but for those that a reader still has to pass. What is
// too old goes in any case.
func (l *log) trim(now int64) (freed int64) {
	before := l.bytes
	expired := now - l.limits.ageMillis()
	for l.count > 0 {
		f := l.at(0)
		switch {
		case f.at <= expired:
			l.drop(gapExpired)
		case l.full() && l.count > 1 && f.seq <= min(l.floor, l.passed):
			l.drop(gapOverrun)
		default:
			return before - l.bytes
		}
	}
	return before - l.bytes
}

// cede drops the oldest frame beyond the limits, for which some reader still waits,
// unless it is above the position served.
func (l *log) cede(served uint64) (freed int64, ok bool) {
	if !l.full() || l.count <= 1 || l.at(0).seq > served {
		return 0, false
	}
	freed = l.at(0).cost()
	l.drop(gapOverrun)
	return freed, true
}

// drop removes the oldest frame and remembers that it is lost.
func (l *log) drop(reason gapReason) {
	f := l.at(0)
	l.bytes -= f.cost()
	f.mark.held--
	if reason == gapNone {
		l.cold = f.seq
	} else if f.kind != schemas.KindRun { // the latest run status outlives the ring, see channel.run
		f.mark.lost = f.seq
		l.lost, l.reason = f.seq, reason
	}
	*f = frame{}
	l.first = (l.first + 1) & (len(l.ring) - 1)
	l.count--
	if l.count == 0 {
		l.ring, l.first = nil, 0
	}
}

// clear drops everything and returns how many bytes that freed.
func (l *log) clear(reason gapReason) (freed int64) {
	freed = l.bytes
	for l.count > 0 {
		l.drop(reason)
	}
	return freed
}

// lose remembers that the message at position seq, which is not in the ring, is
// lost to the readers of every topic.
func (l *log) lose(seq uint64, reason gapReason) {
	if seq > l.lost {
		l.lost, l.reason = seq, reason
	}
	l.lostIn = max(l.lostIn, seq)
}

// lostOf returns the newest position that is lost of the topics in the set.
func (l *log) lostOf(topics schemas.TopicSet) uint64 {
	if topics.All() {
		return l.lost
	}
	newest := l.lostIn
	for _, m := range l.marks {
		if topics.Has(m.name) {
			newest = max(newest, m.lost)
		}
	}
	return newest
}

// await keeps everything for a reader that has just come, until its position is
// measured.
func (l *log) await() { l.floor, l.joined = 0, true }

// full reports whether the log is over its limits but for frames that it holds
// for readers.
func (l *log) full() bool { return l.count > l.limits.Messages || l.bytes > l.limits.Bytes }

// after returns the index of the oldest frame with a position above seq; count
// if there is none.
func (l *log) after(seq uint64) int {
	low, high := 0, l.count
	for low < high {
		mid := int(uint(low+high) >> 1)
		if l.at(mid).seq <= seq {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// firstOf returns the oldest position above seq of the topics in the set.
func (l *log) firstOf(topics schemas.TopicSet, seq uint64) (uint64, bool) {
	for i := l.after(seq); i < l.count; i++ {
		if f := l.at(i); wanted(f, topics) {
			return f.seq, true
		}
	}
	return 0, false
}

// wanted reports whether a reader of topics is sent f. Everybody gets run
// messages.
func wanted(f *frame, topics schemas.TopicSet) bool {
	return f.kind == schemas.KindRun || topics.Has(f.mark.name)
}
