package broker

import "testing"

// TestShard_idBytes: the size of an event is known before its message has a position.
func TestShard_idBytes(t *testing.T) {
	for _, number := range []int{0, 1, 64} {
		for _, newest := range []uint64{0, 7, 8, 9, 98, 99, 1<<32 - 1, 9_999_999_999} {
			sh := &shard{number: number}
			sh.origin.Epoch = 1795414683222
			sh.setPrefix()
			sh.seq.Start(newest)
			if next := sh.idOf(newest + 1).String(); sh.idBytes() != len(next) {
				t.Errorf("%s has %d bytes, got %d", next, len(next), sh.idBytes())
			}
		}
	}
}
