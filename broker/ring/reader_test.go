package ring_test

import (
	"math"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// walk is a reader and what it is sent.
type walk struct{ ring.Reader }

func newWalk(topics ...string) *walk {
	return &walk{ring.NewReader(schemas.NewTopicSet(topics), 0, 0)}
}

// taken hands on every frame that was taken.
func (w *walk) taken() []uint64 {
	var seqs []uint64
	for !w.Empty() {
		seqs = append(seqs, w.Next(ring.NoReader).Seq)
	}
	return seqs
}

// TestReader_Select: a reader gets the existing messages that its replay selects, and every later
// message.
func TestReader_Select(t *testing.T) {
	tests := []struct {
		replay string
		topics []string
		want   []uint64 // of 1 to 6, of which 5 and 6 came later
		first  uint64
	}{
		{"none", nil, []uint64{1, 2, 3, 4, 5, 6}, 1}, // whoever wants none selects nothing
		{"all", nil, []uint64{1, 2, 3, 4, 5, 6}, 1},
		{"all", []string{"b"}, []uint64{2, 6}, 2},
		{"2", nil, []uint64{3, 4, 5, 6}, 3},
		{"1", []string{"b"}, []uint64{2, 6}, 2},
		{"99", nil, []uint64{1, 2, 3, 4, 5, 6}, 1},
		{"latest", nil, []uint64{2, 4, 5, 6}, 2},
		{"latest", []string{"a"}, []uint64{4, 5}, 4},
		{"latest", []string{"x"}, nil, 0},
	}
	for _, tt := range tests {
		l := newLog(9, 9)
		l.add("a@1", "b@1", "a@1", "a@1")
		replay, err := ring.ParseReplay(tt.replay)
		if err != nil {
			t.Fatal(err)
		}
		w := newWalk(tt.topics...)
		if first, some := w.Select(&l.Log, replay); first != tt.first || some != (tt.first > 0) {
			t.Errorf("%s of %v: begins at %d, %t, want %d", tt.replay, tt.topics, first, some, tt.first)
		}
		l.add("a@1", "b@1")
		if gap := w.Fill(&l.Log, nil, 0, math.MaxUint64, math.MaxInt); gap != nil {
			t.Errorf("%s of %v: %+v", tt.replay, tt.topics, gap)
		}
		if got := w.taken(); !slices.Equal(got, tt.want) {
			t.Errorf("%s of %v: got %v, want %v", tt.replay, tt.topics, got, tt.want)
		}
	}
}

// TestReader_Fill_gap moves a reader over a log that loses messages between the steps. The log
// holds positions 7 to 9 of 9.
func TestReader_Fill_gap(t *testing.T) {
	l := newLog(3, 99)
	l.add(slices.Repeat([]string{"a@1"}, 9)...)
	w := newWalk()
	steps := []struct {
		name            string
		position, limit uint64
		want            []uint64
		after, resumes  uint64 // of the gap; 0: none
		before          func()
	}{
		{"lost up to beyond the limit", 1, 4, nil, 1, 7, nil},
		{"told already", 4, 5, nil, 0, 0, nil},
		{"the rest", 5, 8, []uint64{7, 8}, 0, 0, nil},
		{"nothing between position and limit", 8, 8, nil, 0, 0, nil},
		{"nothing, and something is lost above the limit", 8, 8, nil, 0, 0, func() { l.add("a@1", "a@1", "a@1", "a@1") }},
		{"lost since", 8, math.MaxUint64, []uint64{11, 12, 13}, 8, 11, nil},
		{"all is gone, and known", 13, math.MaxUint64, nil, 0, 0, func() { l.Clear(ring.Expired) }},
		{"gone before it was read", 13, math.MaxUint64, nil, 13, 0, func() { l.add("a@1"); l.Clear(ring.Expired) }},
		{"told already, nothing resumes", 13, math.MaxUint64, nil, 0, 0, nil},
	}
	for _, tt := range steps {
		if tt.before != nil {
			tt.before()
		}
		lost := w.Fill(&l.Log, nil, tt.position, tt.limit, math.MaxInt)
		if got := w.taken(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if lost == nil {
			lost = new(ring.Gap)
		}
		if lost.After != tt.after || lost.Resumes != tt.resumes {
			t.Errorf("%s: gap %+v, want %d to %d", tt.name, lost, tt.after, tt.resumes)
		}
	}
}

func TestReader_Fill_lots(t *testing.T) {
	l := newLog(9999, 9999)
	for range 2*ring.LotFrames + 10 {
		l.add("a@1", "b@1", "c@1")
	}
	w := newWalk("b")
	for _, want := range []int{ring.LotFrames, ring.LotFrames, 10, 0} {
		lost := w.Fill(&l.Log, nil, 0, math.MaxUint64, math.MaxInt)
		got := w.taken()
		if len(got) != want || lost != nil {
			t.Errorf("took %d, want %d; gap %v", len(got), want, lost)
		}
		for _, seq := range got {
			if seq%3 != 2 {
				t.Fatalf("took %d, which is of another topic", seq)
			}
		}
	}
}

// TestReader_Fill_runOutlivesRing: the latest status comes once and in its turn, even
// if the ring has dropped it.
func TestReader_Fill_runOutlivesRing(t *testing.T) {
	for held := 1; held <= 6; held++ {
		l := newLog(held, 99)
		l.add("a@1", "$run@1")
		run := *l.At(l.Frames() - 1)
		l.add("a@1", "a@1", "a@1", "a@1")
		w := newWalk("b")
		w.Fill(&l.Log, &run, 0, 1, math.MaxInt)
		if got := w.taken(); got != nil {
			t.Errorf("%d held: got %v below the limit", held, got)
		}
		w.Fill(&l.Log, &run, 1, math.MaxUint64, math.MaxInt)
		if got := w.taken(); !slices.Equal(got, []uint64{2}) {
			t.Errorf("%d held: got %v", held, got)
		}
		w.Fill(&l.Log, &run, 2, math.MaxUint64, math.MaxInt)
		if got := w.taken(); got != nil {
			t.Errorf("%d held: got %v twice", held, got)
		}
	}
}

// TestReader_GiveBack: frames that were given back are taken again, once.
func TestReader_GiveBack(t *testing.T) {
	l := newLog(9, 9)
	l.add("a@1", "a@1", "b@1", "a@1", "a@1")
	w := newWalk("a")
	size := 0
	for n := range 4 { // it has handed on n of them
		w.Fill(&l.Log, nil, 0, math.MaxUint64, math.MaxInt)
		if size = max(size, w.Ahead()); w.Ahead()*4 != size*(4-n) {
			t.Errorf("%d bytes of %d are ahead after %d messages", w.Ahead(), size, n)
		}
		if seq := w.Next(ring.NoReader).Seq; seq != []uint64{1, 2, 4, 5}[n] {
			t.Errorf("message %d is %d", n, seq)
		}
		w.GiveBack()
		if w.Ahead() != 0 || !w.Empty() {
			t.Errorf("%d bytes are still ahead", w.Ahead())
		}
	}
	if w.Fill(&l.Log, nil, 0, math.MaxUint64, math.MaxInt); !w.Empty() {
		t.Errorf("taken again: %v", w.taken())
	}
}

// TestReader_Fill_maxBytes: a result exceeds its limit by at most one frame.
func TestReader_Fill_maxBytes(t *testing.T) {
	l := newLog(9, 9)
	l.add("a@1", "a@1", "a@1", "a@1")
	w := newWalk()
	w.Fill(&l.Log, nil, 0, math.MaxUint64, 1)
	size := w.Ahead()
	if got := w.taken(); !slices.Equal(got, []uint64{1}) {
		t.Errorf("got %v", got)
	}
	w.Fill(&l.Log, nil, 0, math.MaxUint64, size+1)
	if got := w.taken(); !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("got %v", got)
	}
}
