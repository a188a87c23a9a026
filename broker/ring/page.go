package ring

import (
	"math"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// Page returns up to limit frames of the topics between two positions, both exclusive,
// oldest or newest first: those that [ReplayAll] selects. It also reports whether there are
// more. Successive pieces of a text are one frame.
func (l *Log) Page(topics schemas.TopicSet, after, before uint64, limit int, newest bool) (found []Frame, more bool) {
	if before == 0 {
		return nil, false
	}
	last := min(before-1, l.last)
	if !newest {
		found = l.pageBetween(topics, after, last, limit+1)
		return encoded(found[:min(limit, len(found))]), len(found) > limit
	}
	// The walk leads forwards, so it begins not far from the end, and farther away if that
	// was too near. Where it begins, it may cut a text in two: in the frame that is left out.
	for width := uint64(2 * limit); ; width *= 4 {
		from := max(after, last-min(last, width))
		found = l.pageBetween(topics, from, last, math.MaxInt)
		if more = len(found) > limit; more || from == after {
			break
		}
	}
	slices.Reverse(found)
	return encoded(found[:min(limit, len(found))]), more
}

// pageBetween returns up to limit frames above after and up to last, oldest first.
func (l *Log) pageBetween(topics schemas.TopicSet, after, last uint64, limit int) (found []Frame) {
	var s selection
	l.selectAll(&s)
	w := l.walk(topics, &s, nil, after, last)
	w.joined = l.last
	for f, ok := w.next(); ok && len(found) < limit; f, ok = w.next() {
		if topics.Has(f.mark.name) { // else it is a run message
			found = append(found, f)
		}
	}
	return found
}

// encoded makes the bytes of the frames that have none yet.
func encoded(frames []Frame) []Frame {
	for i, f := range frames {
		if f.sse == nil {
			frames[i] = f.span.encode()
		}
	}
	return frames
}
