package ring

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sluicehq/sluice/schemas"
)

// ErrBadReplay is returned for text that is not a [Replay].
var ErrBadReplay = errors.New("ring: bad replay")

// Replay says how much of the past a new stream is sent. The zero value is none.
type Replay struct {
	mode replayMode
	n    int
}

type replayMode uint8

const (
	replayNone   replayMode = iota
	replayLatest            // the latest message of each topic
	replayAll               // everything in the ring
	replayLast              // the last n messages of each channel
)

// ReplayAll returns the replay of everything in the ring.
func ReplayAll() Replay { return Replay{mode: replayAll} }

// None reports whether nothing is replayed.
func (r Replay) None() bool { return r.mode == replayNone }

// ParseReplay parses "none", "latest", "all" or a number. Errors: [ErrBadReplay].
func ParseReplay(s string) (Replay, error) {
	switch s {
	case "", "none":
		return Replay{}, nil
	case "latest":
		return Replay{mode: replayLatest}, nil
	case "all":
		return ReplayAll(), nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return Replay{}, fmt.Errorf("%w: %q is not none, latest, all or a number", ErrBadReplay, s)
	}
	if n == 0 {
		return Replay{}, nil
	}
	return Replay{mode: replayLast, n: int(n)}, nil
}

// selection narrows down which of the existing messages a new reader is sent. The zero
// value takes all of them. A text is taken whole or not at all.
type selection struct {
	start    uint64           // nothing up to here
	from     uint64           // besides texts, only messages above this position,
	only     []uint64         // and up to upTo, only these; sorted; nil for all
	upTo     uint64           // what came later is taken in any case
	texts    map[*record]bool // of texts up to upTo, only these, if narrowed
	narrowed bool
}

func (s *selection) takes(f *Frame) bool {
	switch {
	case s == nil:
		return true
	case f.record != nil:
		return f.Seq > s.upTo || s.takesRecord(f.record)
	}
	return s.takesAt(f.Seq)
}

// takesAt reports whether the message at a position, which is no part of a text, is taken.
func (s *selection) takesAt(seq uint64) bool {
	if seq > s.upTo || s.only == nil {
		return seq > s.from
	}
	_, found := slices.BinarySearch(s.only, seq)
	return found
}

// takesRecord reports whether what r holds up to upTo is taken.
func (s *selection) takesRecord(r *record) bool {
	switch {
	case s == nil:
		return true
	case !r.joined():
		return s.takesAt(r.last)
	case r.made > s.upTo: // it was one message when that was selected
		return s.takesAt(r.first())
	}
	return !s.narrowed || s.texts[r]
}

// after is [record.after] for what is selected.
func (s *selection) after(r *record, seq uint64) Frame {
	if !s.takesRecord(r) {
		seq = max(seq, s.upTo)
	}
	return r.after(seq)
}

// Select narrows r down to what the replay asks for and returns the first position of
// that. Messages that are lost already are no gap: a replay is of what the log holds.
func (r *Reader) Select(l *Log, replay Replay) (first uint64, some bool) {
	r.told, r.head = l.LostOf(r.topics), l.last
	s := &r.selection
	switch replay.mode {
	case replayLast:
		l.selectLast(replay.n, r.topics, s)
	case replayLatest:
		l.selectLatest(r.topics, s)
	default:
		l.selectAll(s)
	}
	s.start = s.from
	for _, rec := range l.records {
		if r.topics.Has(rec.mark.name) && s.takesRecord(rec) {
			s.start = min(s.start, rec.first()-1)
		}
	}
	w := l.walk(r.topics, s, nil, s.start, NoReader)
	f, some := w.next()
	if !some {
		if replay.mode == replayLatest {
			s.start, s.from, s.only = l.last, l.last, nil
		}
		return 0, false
	}
	return f.First(), true
}

// item is one message for the limits of a log: a frame, or a text.
type item struct {
	seq    uint64 // of a text, its newest position
	mark   *topicMark
	record *record // nil: a frame of the ring
}

// items returns the messages of the topics, but for run messages, oldest first.
func (l *Log) items(topics schemas.TopicSet) []item {
	var list []item
	for i := range l.count {
		if f := l.At(i); f.record == nil && f.Kind != schemas.KindRun && topics.Has(f.mark.name) {
			list = append(list, item{f.Seq, f.mark, nil})
		}
	}
	for _, r := range l.records {
		if topics.Has(r.mark.name) {
			list = append(list, item{r.last, r.mark, r})
		}
	}
	slices.SortFunc(list, func(a, b item) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

// selectAll selects everything, but for the latest messages of topics before which others
// are lost.
func (l *Log) selectAll(s *selection) {
	s.from = l.whole
	l.narrow(s, func(r *record) bool { return r.last > l.whole })
}

// selectLast selects the last n messages, and texts that go on.
func (l *Log) selectLast(n int, topics schemas.TopicSet, s *selection) {
	s.from = l.whole
	list := slices.DeleteFunc(l.items(topics), func(it item) bool { return it.seq <= l.whole })
	if len(list) > n {
		s.from = list[len(list)-n].seq - 1
	}
	l.narrow(s, func(r *record) bool { return r.last > s.from })
}

// selectLatest selects the latest message of each topic, and texts that go on.
func (l *Log) selectLatest(topics schemas.TopicSet, s *selection) {
	latest := make(map[*topicMark]item, len(l.marks))
	for _, it := range l.items(topics) {
		latest[it.mark] = it
	}
	s.from, s.only = l.whole, []uint64{}
	for _, it := range latest {
		s.only = append(s.only, it.seq)
	}
	slices.Sort(s.only)
	l.narrow(s, func(r *record) bool { return latest[r.mark].record == r })
}

// narrow selects the texts that are asked for, and those that go on.
func (l *Log) narrow(s *selection, asked func(*record) bool) {
	if s.upTo = l.last; len(l.records) == 0 {
		return
	}
	s.narrowed, s.texts = true, make(map[*record]bool, len(l.records))
	for _, r := range l.records {
		if r.joined() && (r.open() || asked(r)) {
			s.texts[r] = true
		}
	}
}
