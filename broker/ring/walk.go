package ring

import (
	"container/heap"

	"github.com/sluicehq/sluice/schemas"
)

// walker walks over what a log holds, in the order of positions, while the log is
// guarded.
type walker struct {
	log       *Log
	topics    schemas.TopicSet
	selection *selection // nil: everything
	run       *Frame     // a run message that is not in the ring; nil: none
	after     uint64     // what comes up to here is behind it
	limit     uint64     // and it goes no further than this
	joined    uint64     // up to here, texts come from their records, whether the ring has the pieces or not
	index     int        // in the ring
	begun     bool
	held      heldHeap // of the records that have something for it: what comes next
}

func (l *Log) walk(topics schemas.TopicSet, s *selection, run *Frame, after, limit uint64) walker {
	if run != nil && (run.Seq <= after || run.Seq > limit || l.Reaches(run.Seq)) {
		run = nil
	}
	return walker{log: l, topics: topics, selection: s, run: run, after: after, limit: limit, joined: l.folded, index: l.After(after)}
}

// next returns the next frame that is wanted, and whether there is one. Successive pieces
// of a text that the ring does not hold come as one, but no further than to the next
// frame: so whoever knows the position of a frame knows everything before it.
func (w *walker) next() (Frame, bool) {
	if !w.begun {
		w.begin()
	}
	var found Frame
	first, second := uint64(NoReader), uint64(NoReader) // where the next frame begins, and the one after it
	offer := func(f *Frame) {
		if begins := f.First(); begins < first {
			first, second, found = begins, first, *f
		} else {
			second = min(second, begins)
		}
	}
	if w.index < w.log.count {
		offer(w.log.At(w.index))
	}
	if w.run != nil && w.run.Seq > w.after {
		offer(w.run)
	}
	for i := range w.held[:min(3, len(w.held))] { // the second one of a heap is a child of the first
		offer(&w.held[i].next)
	}
	if first > w.limit || first == NoReader {
		return Frame{}, false
	}
	if found.span != nil { // it is from the first record
		head, rest := found.span.cut(min(w.limit, second-1))
		if found = head.frame(); rest != nil {
			w.held[0].next = rest.frame()
		}
	}
	w.pass(found.Seq)
	return found, true
}

// begin finds the first frame of the ring and of each record.
func (w *walker) begin() {
	w.begun = true
	for _, r := range w.log.records {
		if w.after < r.last && w.topics.Has(r.mark.name) {
			if f, some := w.following(r); some {
				w.held = append(w.held, heldFrame{r, f})
			}
		}
	}
	heap.Init(&w.held)
	w.skip()
}

// following returns what r has next.
func (w *walker) following(r *record) (f Frame, some bool) {
	if w.after >= w.joined {
		return f, false
	}
	if f = w.selection.after(r, w.after); f.First() > w.joined {
		return f, false
	}
	return f.upTo(w.joined), true
}

// pass goes on to what comes after the position.
func (w *walker) pass(seq uint64) {
	w.after = seq
	for w.index < w.log.count && w.log.At(w.index).Seq <= seq {
		w.index++
	}
	w.skip()
	for len(w.held) > 0 {
		h := &w.held[0]
		if h.next.First() <= seq {
			if f, some := w.following(h.record); some {
				h.next = f
			} else {
				heap.Pop(&w.held)
				continue
			}
		}
		heap.Fix(&w.held, 0)
		if w.held[0].next.First() > seq {
			return
		}
	}
}

// skip passes frames of the ring that are not wanted, or come from records.
func (w *walker) skip() {
	for ; w.index < w.log.count; w.index++ {
		if f := w.log.At(w.index); (f.record == nil || f.Seq > w.joined) && f.WantedBy(w.topics) && w.selection.takes(f) {
			return
		}
	}
}

// heldFrame is the next frame of a record.
type heldFrame struct {
	record *record
	next   Frame
}

// heldHeap is a heap of what records have, the oldest first.
type heldHeap []heldFrame

func (h heldHeap) Len() int           { return len(h) }
func (h heldHeap) Less(i, j int) bool { return h[i].next.First() < h[j].next.First() }
func (h heldHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *heldHeap) Push(x any) { *h = append(*h, x.(heldFrame)) }

// Pop implements [heap.Interface].
func (h *heldHeap) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = heldFrame{}
	*h = (*h)[:last]
	return f
}
