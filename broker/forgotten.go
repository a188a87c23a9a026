package broker

import (
	"sync/atomic"

	"github.com/sluicehq/sluice/schemas"
)

// forget notes, under its name and every pattern that names it, that a channel
// is gone which had messages up to seq.
func (r *registry) forget(name schemas.Channel, seq uint64) {
	r.forgotten.note(r.hash(name), seq)
	for pattern := range prefixes(name) {
		r.forgotten.note(r.hash(schemas.Channel(pattern)), seq)
	}
	raise(&r.forgotten.newest, seq)
}

// lostOf returns up to which position a channel that pattern names and that is gone
// may have had messages; 0: none had.
func (r *registry) lostOf(pattern schemas.Pattern) uint64 {
	if pattern == "*" {
		return r.forgotten.newest.Load()
	}
	return r.forgotten.of(r.hash(schemas.Channel(pattern)))
}

// lostOfAbsent is lostOf for a channel that does not exist, and of which the engine
// may have been asked.
func (r *registry) lostOfAbsent(name schemas.Channel) uint64 {
	lost := r.lostOf(schemas.Pattern(name))
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if waiting := st.waiting[name]; waiting != nil {
		lost = max(lost, waiting.lost)
	}
	return lost
}

// forgotten remembers, in bounded memory, up to which position channels that
// are gone had messages, so that a reader who comes back is told of the loss. A
// cell is shared by all names of one hash: it may announce a loss that was
// another channel's, and never hides one.
type forgotten struct {
	cells  [1 << 16]atomic.Uint64
	newest atomic.Uint64 // the highest of all cells
}

func (f *forgotten) of(hash uint64) uint64 { return f.cells[hash>>48].Load() }

func (f *forgotten) note(hash, seq uint64) { raise(&f.cells[hash>>48], seq) }

// raise sets v to at least seq.
func raise(v *atomic.Uint64, seq uint64) {
	for {
		have := v.Load()
		if have >= seq || v.CompareAndSwap(have, seq) {
			return
		}
	}
}
