package positions_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/internal/positions"
)

func TestSequence_Watermark(t *testing.T) {
	tests := []struct {
		name     string
		complete []uint64
		marks    []uint64 // after each
	}{
		{"in order", []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4}},
		{"backwards", []uint64{4, 3, 2, 1}, []uint64{0, 0, 0, 4}},
		{"one is late", []uint64{2, 3, 1, 4}, []uint64{0, 0, 3, 4}},
		{"two are late", []uint64{2, 4, 1, 3}, []uint64{0, 0, 2, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(positions.Sequence)
			for i := range uint64(4) {
				if p := s.Take(); p != i+1 {
					t.Fatalf("took %d, want %d", p, i+1)
				}
			}
			for i, p := range tt.complete {
				s.Complete(p)
				if got := s.Watermark(); got != tt.marks[i] {
					t.Errorf("after %v: %d, want %d", tt.complete[:i+1], got, tt.marks[i])
				}
			}
		})
	}
}

// TestSequence_Complete_shuffled completes up to 200 positions at a time in random
// order, many times around the ring of slots.
func TestSequence_Complete_shuffled(t *testing.T) {
	s := new(positions.Sequence)
	for range 5 * positions.InFlight / 100 {
		batch := make([]uint64, 1+rand.IntN(200))
		for i := range batch {
			batch[i] = s.Take()
		}
		rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		for _, p := range batch {
			if s.Watermark() >= p {
				t.Fatalf("%d is below the watermark and not completed", p)
			}
			s.Complete(p)
		}
		if s.Watermark() != s.Last() {
			t.Fatalf("all are completed: watermark %d, last %d", s.Watermark(), s.Last())
		}
	}
}

func TestSequence_Complete_concurrent(t *testing.T) {
	s := new(positions.Sequence)
	var takers sync.WaitGroup
	for range 4 {
		takers.Go(func() {
			for range 2 * positions.InFlight {
				p := s.Take()
				if s.Watermark() >= p {
					t.Errorf("%d is below the watermark and not completed", p)
				}
				s.Complete(p)
			}
		})
	}
	takers.Wait()
	if s.Watermark() != 8*positions.InFlight || s.Last() != 8*positions.InFlight {
		t.Errorf("watermark %d, last %d", s.Watermark(), s.Last())
	}
}

// TestSequence_Reach: positions that another node hands out move the watermark only
// when they are reached, and neither figure ever goes back.
func TestSequence_Reach(t *testing.T) {
	s := new(positions.Sequence)
	s.Start(10)
	steps := []struct {
		step            func(uint64)
		p               uint64
		last, watermark uint64
	}{{s.Observe, 15, 15, 10}, {s.Reach, 12, 15, 12}, {s.Observe, 11, 15, 12}, {s.Reach, 11, 15, 12}, {s.Reach, 20, 20, 20}}
	for i, tt := range steps {
		tt.step(tt.p)
		if s.Last() != tt.last || s.Watermark() != tt.watermark {
			t.Errorf("step %d: last %d, watermark %d, want %d, %d", i, s.Last(), s.Watermark(), tt.last, tt.watermark)
		}
	}
}
