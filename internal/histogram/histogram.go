// Package histogram counts values in buckets, on paths where every nanosecond counts. An
// observation takes no lock and allocates nothing. It knows no metrics format.
package histogram

import (
	"slices"
	"sync/atomic"
	"time"
)

// Histogram counts integer values, such as durations in nanoseconds. Make one with [New].
// Safe for concurrent use.
type Histogram struct {
	bounds []int64         // static; ascending
	counts []atomic.Uint64 // one for each bound, and one for what is above all of them
	sum    atomic.Int64
}

// New returns an empty histogram. Each bound, in ascending order, is the largest value of
// its bucket. It keeps the slice, which must not change.
func New(bounds []int64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts v.
func (h *Histogram) Observe(v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] { // there are few buckets, and most values are in the first ones
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
}

// Snapshot returns what was counted so far. While others observe, the sum may be ahead of
// the counts, or behind, by their values.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: h.sum.Load()}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Snapshot is the state of a [Histogram]. The zero value is that of none.
type Snapshot struct {
	Bounds []int64
	Counts []uint64 // in each bucket, and above all of them
	Sum    int64    // of all values
}

// Count returns the number of values.
func (s Snapshot) Count() uint64 {
	n := uint64(0)
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Add returns s and o together. They have the same bounds, or one is the zero value.
func (s Snapshot) Add(o Snapshot) Snapshot {
	if len(s.Counts) == 0 {
		return o
	}
	sum := Snapshot{Bounds: s.Bounds, Counts: slices.Clone(s.Counts), Sum: s.Sum + o.Sum}
	for i, c := range o.Counts {
		sum.Counts[i] += c
	}
	return sum
}

// Durations returns bounds in nanoseconds.
func Durations(bounds ...time.Duration) []int64 {
	ns := make([]int64, len(bounds))
	for i, d := range bounds {
		ns[i] = int64(d)
	}
	return ns
}
