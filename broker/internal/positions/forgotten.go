package positions

import (
	"sync/atomic"

	"github.com/sluicehq/sluice/internal/highwater"
)

// forgottenCells is how many positions a [Forgotten] remembers.
const forgottenCells = 1 << 16

// Forgotten remembers, in bounded memory, up to which position names that are gone had
// messages, so that a reader who comes back is told of the loss. All names whose
// hashes share their upper 16 bits share a cell, which holds the newest position of
// any of them: Forgotten may announce a loss that was another name's, but never hides
// one. All methods are safe for concurrent use.
type Forgotten struct {
	cells  [forgottenCells]atomic.Uint64
	newest atomic.Uint64 // the highest of all cells
}

// Note remembers that messages up to position p are gone with the name of the hash.
func (f *Forgotten) Note(hash, p uint64) {
	highwater.Raise(&f.cells[hash>>48], p)
	highwater.Raise(&f.newest, p)
}

// Of returns the position up to which the name of the hash may have had messages; 0 if
// it had none.
func (f *Forgotten) Of(hash uint64) uint64 { return f.cells[hash>>48].Load() }

// Newest returns the position up to which any name may have had messages.
func (f *Forgotten) Newest() uint64 { return f.newest.Load() }
