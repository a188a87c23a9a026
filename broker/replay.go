package broker

import (
	"fmt"
	"strconv"

	"github.com/sluicehq/sluice/schemas"
)

// Replay is how much of the past a new stream is sent. The zero value is none.
type Replay struct {
	mode replayMode
	n    int
}

type replayMode uint8

const (
	replayNone   replayMode = iota
	replayLatest            // the latest message of each topic
	replayAll               // what the buffer holds
	replayLast              // the last n of each channel
)

// ParseReplay reads none, latest, all or a number. It returns [ErrBadReplay].
func ParseReplay(s string) (Replay, error) {
	switch s {
	case "", "none":
		return Replay{}, nil
	case "latest":
		return Replay{mode: replayLatest}, nil
	case "all":
		return Replay{mode: replayAll}, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return Replay{}, fmt.Errorf("%w: %q is neither none, latest, all nor a number", ErrBadReplay, s)
	}
	if n == 0 {
		return Replay{}, nil
	}
	return Replay{mode: replayLast, n: int(n)}, nil
}

// pick narrows src to what r asks for and returns the first position of it.
// What is lost already is no gap: a replay is of what the buffer holds.
func (r Replay) pick(l *log, src *source) (first uint64, some bool) {
	src.told, src.head = l.lostOf(src.topics), l.last
	src.pick.from = l.lost
	switch r.mode {
	case replayLast:
		src.pick.from = l.beforeLast(r.n, src.topics)
	case replayLatest:
		src.pick.only, src.pick.upTo = l.latest(src.topics), l.last
		if len(src.pick.only) == 0 {
			src.pick.from, src.pick.only = l.last, nil
			return 0, false
		}
		return src.pick.only[0], true
	}
	return l.firstOf(src.topics, src.pick.from)
}

// beforeLast returns the position after which the last n messages come that a
// reader of topics is sent; run messages do not count.
func (l *log) beforeLast(n int, topics schemas.TopicSet) uint64 {
	for i := l.count - 1; i >= 0; i-- {
		f := l.at(i)
		if f.kind == schemas.KindRun || !topics.Has(f.mark.name) {
			continue
		}
		if n--; n == 0 {
			return f.seq - 1
		}
	}
	return l.lost
}

// latest returns the position of the latest message of each topic in the set,
// in order.
func (l *log) latest(topics schemas.TopicSet) []uint64 {
	seen := make(map[*topicMark]bool, len(l.marks))
	var found []uint64
	for i := l.count - 1; i >= 0; i-- {
		f := l.at(i)
		if !seen[f.mark] && f.kind != schemas.KindRun && topics.Has(f.mark.name) {
			seen[f.mark] = true
			found = append(found, f.seq)
		}
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}
