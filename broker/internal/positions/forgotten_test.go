package positions_test

import (
	"fmt"
	"hash/maphash"
	"testing"

	"github.com/sluicehq/sluice/broker/internal/positions"
)

// TestForgotten_Of_neverHides: even with more names than cells, every name is known to have had
// messages at least up to its position.
func TestForgotten_Of_neverHides(t *testing.T) {
	seed := maphash.MakeSeed()
	hash := func(i uint64) uint64 { return maphash.String(seed, fmt.Sprint("c", i)) }
	f := new(positions.Forgotten)
	const names = uint64(3 * positions.ForgottenCells / 2)
	for i := range names {
		f.Note(hash(i), i+1)
	}
	for i := range names {
		if f.Of(hash(i)) <= i {
			t.Fatalf("name %d had messages up to %d, and Of returns %d", i, i+1, f.Of(hash(i)))
		}
	}
	if got := f.Newest(); got != names {
		t.Errorf("newest is %d, want %d", got, names)
	}
}

func TestForgotten_Note_keepsTheNewest(t *testing.T) {
	f := new(positions.Forgotten)
	for _, p := range []uint64{3, 7, 5} {
		f.Note(1<<63, p)
	}
	if f.Of(1<<63) != 7 || f.Newest() != 7 || f.Of(0) != 0 {
		t.Errorf("got %d, newest %d, another name %d", f.Of(1<<63), f.Newest(), f.Of(0))
	}
}
