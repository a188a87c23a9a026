package disk

import (
	"container/heap"

	"github.com/sluicehq/sluice/schemas"
)

type aged struct {
	last uint64
	name schemas.Channel
}

// channelsByAge collects the channels with the newest messages. It is a heap with the oldest
// of them at the top, and implements [heap.Interface].
type channelsByAge []aged

// add adds a channel unless the heap has limit newer ones. It reports whether a channel was
// left out.
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
