package disk

import (
	"container/heap"

	"github.com/sluicehq/sluice/schemas"
)

type aged struct {
	last uint64
	name schemas.Channel
}

// channelsByAge is a heap of the channels with the newest messages, the oldest of
// them first. It implements [heap.Interface].
type channelsByAge []aged

// add takes a channel in unless there are limit newer ones, and reports whether
// there are more than limit.
func (h *channelsByAge) add(limit int, last uint64, name schemas.Channel) (more bool) {
	switch {
	case len(*h) < limit:
		heap.Push(h, aged{last, name})
		return false
	case limit > 0 && (*h)[0].last < last:
		(*h)[0] = aged{last, name}
		heap.Fix(h, 0)
	}
	return true
}

func (h channelsByAge) Len() int           { return len(h) }
func (h channelsByAge) Less(i, j int) bool { return h[i].last < h[j].last }
func (h channelsByAge) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *channelsByAge) Push(x any)        { *h = append(*h, x.(aged)) }
func (h *channelsByAge) Pop() any          { panic("disk: nothing is taken out") }
