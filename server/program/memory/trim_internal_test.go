package memory

import "testing"

func TestBurst_over(t *testing.T) {
	type look struct {
		streams   int
		allocated uint64 // since the look before
		want      bool
	}
	for _, tt := range []struct {
		name  string
		looks []look
	}{
		{"nothing happens", []look{{0, 0, false}, {0, 0, false}}},
		{"a few come", []look{{500, 1 << 20, false}, {500, 0, false}, {999, 0, false}, {999, 0, false}}},
		{"a burst, once", []look{{3000, 50 << 20, false}, {5000, 50 << 20, false}, {5004, 1 << 10, true}, {5000, 0, false}}},
		{"they go", []look{{5000, 0, false}, {5000, 0, true}, {10, 1 << 20, false}, {10, 0, true}}},
		{"busy", []look{{5000, 0, false}, {5000, 5 << 20, false}, {5000, 5 << 20, false}, {5000, 0, true}}},
		{"messages, once", []look{{3, 200 << 20, false}, {3, 1 << 20, true}, {3, 1 << 20, false}}},
		{"messages little by little", []look{{3, 3 << 20, false}, {3, 50 << 20, false}, {3, 5 << 20, false}, {3, 3 << 20, false}, {3, 3 << 20, true}}},
		{"little by little", []look{{600, 0, false}, {1200, 0, false}, {1205, 0, true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b burst
			total := uint64(0)
			for i, l := range tt.looks {
				total += l.allocated
				if got := b.over(l.streams, total); got != l.want {
					t.Errorf("look %d: %+v gives %t", i, l, got)
				}
			}
		})
	}
}

func TestAllocated(t *testing.T) {
	before := allocated()
	kept := make([]byte, 10<<20)
	if grown := allocated() - before; grown < uint64(len(kept)) {
		t.Errorf("%d bytes after %d more", grown, len(kept))
	}
}
