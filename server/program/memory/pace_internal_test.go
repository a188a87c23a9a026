package memory

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestHeapUse_percent(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name string
		use  heapUse
		want int
	}{
		{"small", heapUse{live: 15 * mib, scanned: mib, occupied: 15 * mib}, 100},
		{"all is looked at", heapUse{live: 100 * mib, scanned: 100 * mib, occupied: 100 * mib, objects: mib}, 100},
		{"small messages", heapUse{live: 400 * mib, scanned: 150 * mib, occupied: 400 * mib, objects: mib}, 100},
		{"a third is text", heapUse{live: 90 * mib, scanned: 60 * mib, occupied: 90 * mib}, 66},
		{"nearly all is text", heapUse{live: 100 * mib, scanned: 4 * mib, occupied: 100 * mib, objects: 10_000}, 25},
		{"objects that are garbage", heapUse{live: 100 * mib, scanned: 10 * mib, occupied: 200 * mib, objects: 160 * mib / objectWork}, 90},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.use.percent(); got != tt.want {
				t.Errorf("%d %%, want %d", got, tt.want)
			}
		})
	}
}

// A heap of text grows little, and one of pointers as the collector would have it.
func TestSetPace(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	var texts [][]byte
	for range 8 << 10 {
		texts = append(texts, make([]byte, 8<<10))
	}
	runtime.GC()
	if percent := setPace(readHeapUse(), 100); percent > 30 || debug.SetGCPercent(100) != percent {
		t.Errorf("the heap of texts may grow by %d %%", percent)
	}
	runtime.KeepAlive(texts)
	pointers := make([]*int, 8<<20)
	runtime.GC()
	if percent := setPace(readHeapUse(), 25); percent < 50 || debug.SetGCPercent(100) != percent {
		t.Errorf("the heap of pointers may grow by %d %%", percent)
	}
	runtime.KeepAlive(pointers)
}
