package floor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// frame is what the log must hold for a body.
func frame(id int, body string) string {
	return fmt.Sprintf("id: %d\nevent: t\ndata: %s\n\n", id, body)
}

func TestHistory_append(t *testing.T) {
	var h history
	h.append([]byte("one"))
	h.append(nil)
	if got, want := string(h.from(0)), frame(1, "one")+frame(2, ""); got != want {
		t.Fatalf("log %q, want %q", got, want)
	}
	if h.lastID() != 2 || h.end() != int64(len(h.buf)) {
		t.Fatalf("last id %d, end %d", h.lastID(), h.end())
	}
	first := int64(len(frame(1, "one")))
	for position, want := range map[int64]int64{0: first, first - 1: first, first: h.end(), first + 1: h.end()} {
		if got := h.frameEnd(position); got != want {
			t.Errorf("the frame at %d ends at %d, want %d", position, got, want)
		}
	}
}

// TestHistory_trim compares a log that is cut with one that never is, for readers
// at positions that wander.
func TestHistory_trim(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h history
	var whole []byte
	starts := []int64{0} // of the frame after id i
	var lowest int64
	for id := 1; id <= 5_000; id++ {
		body := fmt.Sprint(random.IntN(1e9))
		h.append([]byte(body))
		whole = append(whole, frame(id, body)...)
		starts = append(starts, int64(len(whole)))
		if random.IntN(3) == 0 {
			lowest += random.Int64N(h.end() - lowest + 1) // may be amid a frame
			h.trim(lowest)
		}
		if h.base > lowest {
			t.Fatalf("cut to %d, a reader is at %d", h.base, lowest)
		}
		if !bytes.Equal(h.from(h.base), whole[h.base:]) || h.end() != int64(len(whole)) {
			t.Fatalf("after %d frames the log differs from %d on", id, h.base)
		}
		for _, back := range []int{0, 1, keptFrames, keptFrames + 1, 10_000} {
			position, has := h.after(int64(id - back))
			if back <= min(keptFrames, id) && has != int64(id-back) {
				t.Fatalf("frame %d of %d is forgotten", id-back, id)
			}
			if has < int64(max(id-back, 0)) || position != starts[has] {
				t.Fatalf("after id %d comes position %d and id %d, want %d", id-back, position, has, starts[has])
			}
		}
	}
	if limit := 4 * keptFrames * len(frame(5_000, "123456789")); len(h.buf) > limit {
		t.Fatalf("%d bytes are held, want at most %d", len(h.buf), limit)
	}
}

func TestHistory_after_future(t *testing.T) {
	var h history
	h.append([]byte("one"))
	if position, has := h.after(7); position != h.end() || has != 1 {
		t.Fatalf("after an id that was never given: %d, %d", position, has)
	}
}
