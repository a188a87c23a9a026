// Package highwater keeps high-water marks: numbers that many goroutines raise and
// that never fall.
package highwater

import "sync/atomic"

// Raise sets mark to n unless it is already higher. It is safe for concurrent use,
// with itself and with reads.
func Raise(mark *atomic.Uint64, n uint64) {
	for {
		have := mark.Load()
		if have >= n || mark.CompareAndSwap(have, n) {
			return
		}
	}
}
