package floor

import (
	"slices"
	"strconv"
)

// keptFrames is how many of its last frames a channel keeps for readers that come
// back.
const keptFrames = 256

// history is the log of one channel: its frames one after another. A position is
// the count of all bytes before it since the channel began, so it stays valid when
// the front of the log is cut off.
type history struct {
	buf  []byte
	base int64   // position of buf[0]; always where a frame begins
	ends []int64 // position after each frame in buf
	cut  int64   // frames that are no longer in buf; ids begin with 1
}

// append adds a frame around body, which must not hold a line feed.
func (h *history) append(body []byte) {
	h.buf = append(h.buf, "id: "...)
	h.buf = strconv.AppendInt(h.buf, h.lastID()+1, 10)
	h.buf = append(h.buf, "\nevent: t\ndata: "...)
	h.buf = append(h.buf, body...)
	h.buf = append(h.buf, "\n\n"...)
	h.ends = append(h.ends, h.base+int64(len(h.buf)))
}

// end is the position after the last frame.
func (h *history) end() int64 { return h.base + int64(len(h.buf)) }

// lastID is the id of the last frame, 0 when there was none yet.
func (h *history) lastID() int64 { return h.cut + int64(len(h.ends)) }

// after is where a reader goes on that has the frame id, and the id that it then
// has: the frame after it, or the oldest one that is still held.
func (h *history) after(id int64) (position, has int64) {
	has = min(max(id, h.cut), h.lastID())
	if has == h.cut {
		return h.base, has
	}
	return h.ends[has-h.cut-1], has
}

// from is the log from a position on, which must not be before base.
func (h *history) from(position int64) []byte { return h.buf[position-h.base:] }

// frameEnd is where the frame ends that the byte at position belongs to. There
// must be one.
func (h *history) frameEnd(position int64) int64 {
	i, found := slices.BinarySearch(h.ends, position)
	if found {
		i++
	}
	return h.ends[i]
}

// trim cuts off what nobody needs: the frames before lowest, the least position of
// all readers, but for the last keptFrames. It moves bytes only when it can free
// as many as it has to move, so its cost is a fixed share of that of append.
func (h *history) trim(lowest int64) {
	if len(h.ends) <= keptFrames {
		return
	}
	lowest = min(lowest, h.ends[len(h.ends)-keptFrames-1])
	if 2*(lowest-h.base) < int64(len(h.buf)) {
		return
	}
	i, found := slices.BinarySearch(h.ends, lowest)
	if found {
		i++
	}
	if i == 0 {
		return
	}
	base := h.ends[i-1]
	h.buf = h.buf[:copy(h.buf, h.buf[base-h.base:])]
	h.ends = h.ends[:copy(h.ends, h.ends[i:])]
	h.base, h.cut = base, h.cut+int64(i)
}
