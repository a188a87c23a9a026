// Package memory keeps the heap as small as the work of the garbage collector allows.
package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// By default, the garbage collector lets the heap grow to twice what is in use. That makes
// its work cheap where it has to look at all of the heap: for each byte that is allocated, it
// looks at one. But of what this server holds, most may be text, which it never looks at, and
// then the heap is twice as large for nothing. [Pace] lets the heap grow by as much as the
// collector has to look at, so that its work for each byte stays the same.

const (
	paceEvery = time.Second
	// objectWork is what an object costs the collector, even if it has no pointers, in bytes
	// that it could have looked at instead.
	objectWork = 256
	// minGCPercent bounds how often the collector runs when nearly all is text.
	minGCPercent = 25
	// paceFrom is the size of a heap that is too small to matter.
	paceFrom = 16 << 20
)

// heapUse is what the collector found when it last ran.
type heapUse struct {
	live     uint64 // bytes in use
	scanned  uint64 // of which it looks at
	occupied uint64 // bytes that are in use now, or were and are still to be collected
	objects  uint64 // in these
}

// percent returns by how much the heap may grow, in percent of what is in use.
func (u heapUse) percent() int {
	if u.live < paceFrom {
		return 100
	}
	objects := float64(u.objects) * float64(u.live) / float64(max(u.occupied, u.live))
	work := float64(u.scanned) + objectWork*objects
	return int(min(100, max(minGCPercent, 100*work/float64(u.live))))
}

// Pace sets the pace of the garbage collector until ctx ends, unless the environment does
// (GOGC).
func Pace(ctx context.Context) {
	if was := debug.SetGCPercent(100); was != 100 {
		debug.SetGCPercent(was)
		return
	}
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	percent := 100
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			percent = setPace(readHeapUse(), percent)
		}
	}
}

// setPace sets the pace for a heap, if it differs from the present one by so much that it
// matters, and returns it.
func setPace(u heapUse, percent int) int {
	next := u.percent()
	if 5*next > 4*percent && 4*next < 5*percent {
		return percent
	}
	debug.SetGCPercent(next)
	return next
}

func readHeapUse() heapUse {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/objects:objects"},
	}
	metrics.Read(samples)
	var values [4]uint64
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			values[i] = s.Value.Uint64()
		}
	}
	return heapUse{live: values[0], scanned: values[1], occupied: values[2], objects: values[3]}
}
