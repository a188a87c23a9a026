package broker

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestSequence_watermark(t *testing.T) {
	tests := []struct {
		name   string
		settle []uint64
		marks  []uint64 // after each
	}{
		{"in order", []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4}},
		{"backwards", []uint64{4, 3, 2, 1}, []uint64{0, 0, 0, 4}},
		{"one is late", []uint64{2, 3, 1, 4}, []uint64{0, 0, 3, 4}},
		{"two are late", []uint64{2, 4, 1, 3}, []uint64{0, 0, 2, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(sequence)
			for i := range uint64(4) {
				if p := s.take(); p != i+1 {
					t.Fatalf("took %d, want %d", p, i+1)
				}
			}
			for i, p := range tt.settle {
				s.settle(p)
				if got := s.watermark(); got != tt.marks[i] {
					t.Errorf("after %v: %d, want %d", tt.settle[:i+1], got, tt.marks[i])
				}
			}
		})
	}
}

// TestSequence_shuffled settles some at a time in any order, many times around
// the ring of slots.
func TestSequence_shuffled(t *testing.T) {
	s := new(sequence)
	for range 5 * inFlight / 100 {
		batch := make([]uint64, 1+rand.IntN(200))
		for i := range batch {
			batch[i] = s.take()
		}
		rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		for _, p := range batch {
			if s.watermark() >= p {
				t.Fatalf("%d is below the watermark and not settled", p)
			}
			s.settle(p)
		}
		if s.watermark() != s.last() {
			t.Fatalf("all are settled: watermark %d, last %d", s.watermark(), s.last())
		}
	}
}

func TestSequence_concurrent(t *testing.T) {
	s := new(sequence)
	var takers sync.WaitGroup
	for range 4 {
		takers.Go(func() {
			for range 2 * inFlight {
				p := s.take()
				if s.watermark() >= p {
					t.Errorf("%d is below the watermark and not settled", p)
				}
				s.settle(p)
			}
		})
	}
	takers.Wait()
	if s.watermark() != 8*inFlight || s.last() != 8*inFlight {
		t.Errorf("watermark %d, last %d", s.watermark(), s.last())
	}
}
