package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// calmCheck is how often it is looked whether a storm is over.
	calmCheck = 2 * time.Second
	// calmBytes is how much is allocated between two looks, at most, when it is.
	calmBytes = 4 << 20
	// stormStreams is how many streams come or go in a storm, at least.
	stormStreams = 1000
)

// giveBack returns to the system what opening or closing many streams at once has
// left behind, when it is quiet again. The runtime would keep most of that for the
// next storm: as much as the streams themselves take. It ends with ctx.
func giveBack(ctx context.Context, streams func() int) {
	tick := time.NewTicker(calmCheck)
	defer tick.Stop()
	var c calm
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c.after(streams(), allocated()) {
			debug.FreeOSMemory()
		}
	}
}

// calm notices the end of a storm.
type calm struct {
	known     int // streams when memory was last given back
	streams   int // at the last look
	allocated uint64
}

// after reports whether a storm has passed by, given how many streams there are
// and how many bytes were allocated since the start.
func (c *calm) after(streams int, allocated uint64) bool {
	quiet := distance(streams, c.streams) < 10 && allocated-c.allocated < calmBytes
	c.streams, c.allocated = streams, allocated
	if !quiet || distance(streams, c.known) < stormStreams {
		return false
	}
	c.known = streams
	return true
}

func distance(a, b int) int { return max(a-b, b-a) }

// allocated returns how many bytes were allocated since the start.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
