package load

import "math/bits"

const (
	subBits = 5 // 32 steps in each doubling: a bucket is at most 1/32 wide
	steps   = 1 << subBits
	buckets = (64 - subBits) * steps
)

// Histogram counts durations in nanoseconds in buckets that grow with them, each at most
// 3.2 % wide. The zero value is ready. It allocates nothing and is for one goroutine.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
}

// Add counts a duration of ns. A negative one counts as 0.
func (h *Histogram) Add(ns int64) {
	h.counts[bucket(uint64(max(ns, 0)))]++
	h.total++
}

// Count returns how many have been added.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns a time that the share q (0 to 1) of the durations does not exceed: the
// upper end of its bucket, or 0 if there are none.
func (h *Histogram) Quantile(q float64) int64 {
	rank := uint64(q * float64(h.total))
	if rank >= h.total && rank > 0 {
		rank = h.total - 1
	}
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return int64(upper(i))
		}
	}
	return 0
}

// Reset forgets everything.
func (h *Histogram) Reset() { *h = Histogram{} }

// bucket returns the index of v: the value itself below steps, then its highest subBits+1 bits.
func bucket(v uint64) int {
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift*steps + int(v>>shift)
}

// upper returns the largest value of a bucket.
func upper(i int) uint64 {
	if i < 2*steps {
		return uint64(i)
	}
	shift := i/steps - 1
	return (uint64(i-shift*steps)+1)<<shift - 1
}
