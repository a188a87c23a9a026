package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// trimInterval is the time between two looks at streams and allocations.
	trimInterval = 2 * time.Second
	// quietBytes is how much may be allocated between two looks of a quiet server.
	quietBytes = 4 << 20
	// burstStreams is how many streams a burst opens or closes, at least.
	burstStreams = 1000
	// burstBytes is how much a burst of publishes allocates, at least.
	burstBytes = 64 << 20
)

// Trim returns memory to the system once the server is quiet after a burst of
// streams that opened or closed, or of publishes. The runtime would keep most of what the
// burst left behind, which is as much as the streams or the messages themselves take. It
// ends with ctx.
func Trim(ctx context.Context, streams func() int) {
	tick := time.NewTicker(trimInterval)
	defer tick.Stop()
	var b burst
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if b.over(streams(), allocated()) {
			debug.FreeOSMemory()
		}
	}
}

// burst notices when a burst is over.
type burst struct {
	streams   int // at the last look
	allocated uint64
	// when memory was last trimmed
	trimmedStreams int
	trimmedAt      uint64
}

// over reports whether a burst has come to its end since memory was last trimmed,
// given how many streams there are and how many bytes were allocated since the start.
func (b *burst) over(streams int, allocated uint64) bool {
	quiet := distance(streams, b.streams) < 10 && allocated-b.allocated < quietBytes
	b.streams, b.allocated = streams, allocated
	if !quiet || distance(streams, b.trimmedStreams) < burstStreams && allocated-b.trimmedAt < burstBytes {
		return false
	}
	b.trimmedStreams, b.trimmedAt = streams, allocated
	return true
}

func distance(a, b int) int { return max(a-b, b-a) }

// allocated returns how many bytes were allocated since the start.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
