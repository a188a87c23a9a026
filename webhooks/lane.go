package webhooks

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// lane is the events of one channel, the oldest first. It is in the heap unless the first one
// is being sent. In the heap, its first event is one that is not done.
type lane struct {
	channel schemas.Channel
	items   []*item
	due     time.Time // when its turn is
	busy    bool      // the first event is being sent
	place   int       // in the heap
}

// skip removes events that are done from the front of a lane, and reports whether any are left.
func (l *lane) skip() bool {
	for len(l.items) > 0 && l.items[0].done {
		l.items[0] = nil
		l.items = l.items[1:]
	}
	return len(l.items) > 0
}

// dueLanes is a [heap.Interface]: the lane that is due first is on top.
type dueLanes []*lane

// Len implements [heap.Interface].
func (d dueLanes) Len() int { return len(d) }

// Less implements [heap.Interface].
func (d dueLanes) Less(i, j int) bool { return d[i].due.Before(d[j].due) }

// Swap implements [heap.Interface].
func (d dueLanes) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push implements [heap.Interface].
func (d *dueLanes) Push(x any) {
	l, _ := x.(*lane) // nothing else is pushed
	l.place = len(*d)
	*d = append(*d, l)
}

// Pop implements [heap.Interface].
func (d *dueLanes) Pop() any {
	last := len(*d) - 1
	l := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return l
}
