package broker

import (
	"sync/atomic"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
)

// counters are what the broker counts.
type counters struct {
	published       atomic.Int64
	waits           atomic.Int64
	delivered       atomic.Int64
	deliveredBytes  atomic.Int64
	evictedChannels atomic.Int64
	gaps            map[ring.GapReason]*atomic.Int64 // by reason; static map
}

func newCounters() *counters {
	return &counters{gaps: map[ring.GapReason]*atomic.Int64{
		ring.Overrun: {}, ring.Expired: {}, ring.Restarted: {},
	}}
}

// Stats describes what the broker is doing and has done.
type Stats struct {
	Channels int64
	Streams  int
	// LogBytes is how much memory all logs take together, of at most [Options.Memory].
	LogBytes int64

	Published      int64            // messages
	Waits          int64            // publishes that had to wait for readers to be offered earlier messages
	Delivered      int64            // messages written to streams
	DeliveredBytes int64            // bytes written to streams
	Evicted        int64            // times that a channel lost messages for lack of memory or channels
	Gaps           map[string]int64 // gaps that streams were told of, by reason
	engine.Stats
}

// Stats returns the current figures. Safe for concurrent use.
func (b *Broker) Stats() Stats {
	gaps := make(map[string]int64, len(b.stats.gaps))
	for reason, n := range b.stats.gaps {
		gaps[string(reason)] = n.Load()
	}
	s := Stats{
		Streams:   b.streams.size(),
		Published: b.stats.published.Load(), Waits: b.stats.waits.Load(), Delivered: b.stats.delivered.Load(),
		DeliveredBytes: b.stats.deliveredBytes.Load(), Evicted: b.stats.evictedChannels.Load(), Gaps: gaps,
	}
	for _, sh := range b.shards {
		s.Channels += sh.registry.count.Load()
		s.LogBytes += sh.logBytes.Load()
		s.Add(sh.store.stats())
	}
	return s
}

// Delivered counts what was written to streams that are read with [Stream.Next].
func (b *Broker) Delivered(messages int, bytes int64) {
	b.stats.delivered.Add(int64(messages))
	b.stats.deliveredBytes.Add(bytes)
}
