package histogram_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/histogram"
)

func TestHistogram(t *testing.T) {
	h := histogram.New([]int64{1, 10, 100})
	for _, v := range []int64{-1, 0, 1, 2, 10, 11, 100, 101, 1000} {
		h.Observe(v)
	}
	s := h.Snapshot()
	if want := []uint64{3, 2, 2, 2}; !slices.Equal(s.Counts, want) || s.Count() != 9 || s.Sum != 1224 {
		t.Errorf("got %+v, %d values; want the counts %d and the sum 1224", s, s.Count(), want)
	}
}

func TestHistogram_Observe_concurrent(t *testing.T) {
	const goroutines, each = 8, 1000
	h := histogram.New([]int64{0})
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				h.Observe(1)
			}
		})
	}
	all.Wait()
	if s := h.Snapshot(); s.Counts[1] != goroutines*each || s.Sum != goroutines*each {
		t.Errorf("got %+v, want %d values", s, goroutines*each)
	}
}

func TestSnapshot_Add(t *testing.T) {
	h := histogram.New([]int64{1})
	h.Observe(1)
	one := h.Snapshot()
	h.Observe(5)
	two := h.Snapshot()
	for name, got := range map[string]histogram.Snapshot{
		"both": one.Add(two), "none before": histogram.Snapshot{}.Add(one).Add(two), "none after": one.Add(two).Add(histogram.Snapshot{}),
	} {
		if !slices.Equal(got.Counts, []uint64{2, 1}) || got.Sum != 7 || !slices.Equal(got.Bounds, []int64{1}) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if one.Count() != 1 || two.Count() != 2 {
		t.Errorf("adding has changed what was added: %+v, %+v", one, two)
	}
}

func TestHistogram_Observe_allocates(t *testing.T) {
	h := histogram.New(histogram.Durations(time.Millisecond, time.Second))
	if n := testing.AllocsPerRun(100, func() { h.Observe(int64(time.Minute)) }); n != 0 {
		t.Errorf("an observation allocates %v times", n)
	}
}

func BenchmarkHistogram_Observe(b *testing.B) {
	h := histogram.New(histogram.Durations(time.Millisecond, 10*time.Millisecond, time.Second))
	for b.Loop() {
		h.Observe(int64(5 * time.Millisecond))
	}
}
