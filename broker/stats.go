package broker

import "sync/atomic"

// counters are what the broker counts; gaps has one for each reason.
type counters struct {
	published       atomic.Int64
	waits           atomic.Int64
	delivered       atomic.Int64
	deliveredBytes  atomic.Int64
	evictedChannels atomic.Int64
	gaps            map[gapReason]*atomic.Int64 // static map
}

func newCounters() *counters {
	return &counters{gaps: map[gapReason]*atomic.Int64{
		gapOverrun: {}, gapExpired: {}, gapRestarted: {},
	}}
}

// Stats is what the broker is doing and has done.
type Stats struct {
	Channels int64
	Streams  int
	// HeldBytes is what all rings together take, of at most [Options.Memory].
	HeldBytes int64

	Published      int64            // messages
	Waits          int64            // publishes that had to wait for the writing to readers
	Delivered      int64            // messages written to streams
	DeliveredBytes int64            // bytes written to streams
	Evicted        int64            // times that a channel lost messages for want of memory or of channels
	Gaps           map[string]int64 // gaps that streams were told of, by reason
	EngineStats
}

// Stats returns the present figures. Safe for concurrent use.
func (b *Broker) Stats() Stats {
	gaps := make(map[string]int64, len(b.stats.gaps))
	for reason, n := range b.stats.gaps {
		gaps[string(reason)] = n.Load()
	}
	s := Stats{
		Streams:   b.roster.size(),
		Published: b.stats.published.Load(), Waits: b.stats.waits.Load(), Delivered: b.stats.delivered.Load(),
		DeliveredBytes: b.stats.deliveredBytes.Load(), Evicted: b.stats.evictedChannels.Load(), Gaps: gaps,
	}
	b.addStats(&s)
	return s
}

// addStats adds what each shard has by itself.
func (b *Broker) addStats(s *Stats) {
	for _, shard := range b.shards {
		shard.addStats(s)
	}
	if b.shards == nil {
		s.Channels += b.registry.count.Load()
		s.HeldBytes += b.held.Load()
		s.add(b.engine.Stats())
	}
}

// Delivered counts what was written to streams that are read with [Stream.Next].
func (b *Broker) Delivered(messages int, bytes int64) {
	b.stats.delivered.Add(int64(messages))
	b.stats.deliveredBytes.Add(bytes)
}
