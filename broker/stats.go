package broker

import (
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/histogram"
	"github.com/sluicehq/sluice/schemas"
)

// counters are what the broker counts.
type counters struct {
	published       atomic.Int64
	waits           atomic.Int64
	delivered       atomic.Int64
	deliveredBytes  atomic.Int64
	evictedChannels atomic.Int64
	gaps            map[ring.GapReason]*atomic.Int64 // by reason; static map
	lagging         atomic.Int64                     // cursors that are lagging now
	delivery        *histogram.Histogram             // nanoseconds
	behind          *histogram.Histogram             // messages
	appends         *histogram.Histogram             // nanoseconds
	durableAppends  *histogram.Histogram             // nanoseconds
}

// Bounds of the histograms.
var (
	deliveryBounds = [...]time.Duration{
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
		50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second,
	}
	behindBounds = [...]int64{1, 4, 16, 64, 256, 1024, 4096}
)

func newCounters() *counters {
	return &counters{
		gaps: map[ring.GapReason]*atomic.Int64{
			ring.Overrun: {}, ring.Expired: {}, ring.Restarted: {},
		},
		delivery:       histogram.New(histogram.Durations(deliveryBounds[:]...)),
		behind:         histogram.New(behindBounds[:]),
		appends:        engine.NewTimes(),
		durableAppends: engine.NewTimes(),
	}
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

	// Lagging is how many streams are behind because their clients accepted nothing at
	// their turn.
	Lagging int64
	// Delivery is the time from a publish until the message was written to a reader that
	// keeps up, in nanoseconds. A few deliveries are measured, to the millisecond.
	Delivery histogram.Snapshot
	// Behind is how many messages a channel had for a reader when the reader was served.
	// A few turns are measured.
	Behind histogram.Snapshot
	// Appends is how long the engine took to store an ordinary message, DurableAppends
	// one with a key or a run status, in nanoseconds. In memory, nothing is measured.
	Appends, DurableAppends histogram.Snapshot
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
		Lagging: b.stats.lagging.Load(), Delivery: b.stats.delivery.Snapshot(), Behind: b.stats.behind.Snapshot(),
		Appends: b.stats.appends.Snapshot(), DurableAppends: b.stats.durableAppends.Snapshot(),
	}
	for _, sh := range b.shards {
		s.Channels += sh.registry.count.Load()
		s.LogBytes += sh.logBytes.Load()
		s.Add(sh.store.stats())
	}
	return s
}

// Busy describes a channel that messages were published to.
type Busy struct {
	Channel     schemas.Channel `json:"channel"`
	Published   int64           `json:"published"` // through this node, in the interval
	Subscribers int             `json:"subscribers"`
}

// Meter switches on or off what [Broker.Busiest] needs. While it is off, it costs nothing.
func (b *Broker) Meter(on bool) {
	if on {
		b.meter.Start()
	} else {
		b.meter.Stop()
	}
}

// Busiest returns up to n channels, the busiest first, to which messages were published
// through this node since the last call, or since [Broker.Meter] was switched on; none
// while that is off.
func (b *Broker) Busiest(n int) []Busy {
	rates, _ := b.meter.Take(n)
	busiest := make([]Busy, len(rates))
	for i, r := range rates {
		registry := b.shardFor(r.Channel).registry
		busiest[i] = Busy{Channel: r.Channel, Published: r.Published, Subscribers: len(registry.waitingStreams(r.Channel))}
		if c := registry.get(r.Channel); c != nil {
			busiest[i].Subscribers = c.readers.size()
		}
	}
	return busiest
}

// Delivered counts a batch of the stream that was written by who calls [Stream.Next], with
// the number of bytes that it took.
func (s *Stream) Delivered(batch *Batch, bytes int64) {
	s.broker.stats.count(int64(batch.Messages), bytes)
	if batch.measured {
		s.broker.stats.measure(batch.sample, batch.lagged)
	}
	if s.broker.opts.Deliveries != nil {
		late := s.away(s.broker.clock(time.Now()))
		for _, c := range s.cursors {
			c.written(late)
		}
	}
}

// count counts what was written to streams.
func (c *counters) count(messages, bytes int64) {
	c.delivered.Add(messages)
	c.deliveredBytes.Add(bytes)
}

// sample describes what one stream had to be sent. Of all deliveries only a few are
// measured: a sweep and a task of a loop in a millisecond, and of streams that have
// goroutines, every eighth batch.
type sample struct {
	at     int64 // when the oldest message was published, in Unix milliseconds; 0: there was none
	behind int   // messages that the log had beyond the stream's position
}

// measure adds a sample that has just been written. The time counts only if the reader
// was not lagging: else it says more about the client than about the server.
func (c *counters) measure(s sample, lagged bool) {
	if s.at == 0 {
		return
	}
	c.behind.Observe(int64(s.behind))
	if !lagged {
		c.delivery.Observe(max(0, time.Now().UnixNano()-s.at*int64(time.Millisecond))) // another node's clock may be ahead
	}
}
