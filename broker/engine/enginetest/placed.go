package enginetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// Placed tests that what is appended once the entry before it has its place gets a later
// position, although the call for that one may still run. At least some ordinary entries must
// have their place before their receipt.
func Placed(t *testing.T, s Store) {
	t.Helper()
	const count = 200
	receipts := make([]schemas.Receipt, count)
	early := 0
	var all sync.WaitGroup
	for i := range count {
		placed, done := make(chan struct{}), make(chan struct{})
		e := entry("c", "1", "")
		if i%2 > 0 {
			e.Key = fmt.Sprint("k", i)
		}
		e.Placed = func() { close(placed) }
		all.Go(func() {
			defer close(done)
			r, err := s.Append(t.Context(), e)
			if err != nil {
				t.Error(err)
			}
			receipts[i] = r
		})
		select {
		case <-placed:
			early++
		case <-done: // an engine need not call it
		}
	}
	all.Wait()
	for i := 1; i < count; i++ {
		if receipts[i].ID.Seq <= receipts[i-1].ID.Seq {
			t.Fatalf("entry %d has position %d, after %d", i, receipts[i].ID.Seq, receipts[i-1].ID.Seq)
		}
	}
	if early < count/4 {
		t.Errorf("%d of %d entries had their place early", early, count)
	}
}
