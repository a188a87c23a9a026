package highwater_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/internal/highwater"
)

func TestRaise(t *testing.T) {
	var mark atomic.Uint64
	for _, step := range []struct{ n, want uint64 }{{0, 0}, {3, 3}, {2, 3}, {3, 3}, {1 << 63, 1 << 63}} {
		if highwater.Raise(&mark, step.n); mark.Load() != step.want {
			t.Errorf("raised to %d: the mark is %d, want %d", step.n, mark.Load(), step.want)
		}
	}
}

// TestRaise_concurrent has goroutines that each see their own number as the least the
// mark can be.
func TestRaise_concurrent(t *testing.T) {
	const goroutines, each = 8, 1000
	var mark atomic.Uint64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				n := uint64(i*goroutines + g)
				if highwater.Raise(&mark, n); mark.Load() < n {
					t.Errorf("raised to %d: the mark is %d", n, mark.Load())
				}
			}
		})
	}
	wg.Wait()
	if got := mark.Load(); got != goroutines*each-1 {
		t.Errorf("the mark is %d, want %d", got, goroutines*each-1)
	}
}
