package system

import (
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/internal/histogram"
	"github.com/sluicehq/sluice/schemas"
)

// Node is what does not change while a node runs.
type Node struct {
	Name        string       `json:"name"` // of the machine
	Version     string       `json:"version"`
	Engine      string       `json:"engine"`
	StartedAt   schemas.Time `json:"started_at"`
	MemoryBytes int64        `json:"memory_limit_bytes"` // that all replay buffers may take
}

// Requests are figures about requests, since the start.
type Requests struct {
	ClientErrors int64 `json:"client_errors"` // requests and items of batches that were answered with 4xx
	ServerErrors int64 `json:"server_errors"` // with 5xx
	Refused      int64 `json:"refused_streams"`
	LogLinesLost int64 `json:"log_lines_lost"`
}

// Overview is what a node is doing. Fields with a past participle count since the start:
// what happens in a second is the difference of two.
type Overview struct {
	Node Node   `json:"node"`
	Why  string `json:"not_ready,omitempty"` // why nothing can be published now; left out if it can

	Channels int64 `json:"channels"`
	Streams  int   `json:"streams"`
	Lagging  int64 `json:"lagging_streams"`

	Published      int64            `json:"published"`
	Delivered      int64            `json:"delivered"`
	DeliveredBytes int64            `json:"delivered_bytes"`
	Gaps           map[string]int64 `json:"gaps"` // by reason
	Waited         int64            `json:"waited_publishes"`
	Evicted        int64            `json:"evicted"`
	Dropped        int64            `json:"dropped"`
	Repaired       int64            `json:"repaired"`
	Requests

	RingBytes   int64 `json:"ring_bytes"`
	KeptBytes   int64 `json:"kept_bytes"`
	MemoryBytes int64 `json:"memory_bytes"` // that the process has from the system
	Goroutines  int   `json:"goroutines"`

	Delivery Times `json:"delivery"` // from a publish to readers that keep up
	Append   Times `json:"append"`   // that the engine took to store a message
	Sync     Times `json:"sync"`     // that a sync of the journal took
}

// Times are how long something took in the last second.
type Times struct {
	Measured uint64  `json:"measured"` // how often; 0: nothing is known
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// Channels are the channels to which most was published through this node.
type Channels struct {
	Seconds float64       `json:"seconds"` // of the interval
	Busiest []broker.Busy `json:"busiest"`
}

// sampler remembers what the next sample is compared with.
type sampler struct {
	opts                     Options
	delivery, appends, syncs histogram.Snapshot
}

// overview takes a sample.
func (s *sampler) overview() Overview {
	b := s.opts.Broker.Stats()
	o := Overview{
		Node: s.opts.Node, Channels: b.Channels, Streams: b.Streams, Lagging: b.Lagging,
		Published: b.Published, Delivered: b.Delivered, DeliveredBytes: b.DeliveredBytes, Gaps: b.Gaps,
		Waited: b.Waits, Evicted: b.Evicted, Dropped: b.Dropped, Repaired: b.Repaired, Requests: s.opts.Requests(),
		RingBytes: b.LogBytes, KeptBytes: b.KeptBytes, MemoryBytes: memoryBytes(), Goroutines: runtime.NumGoroutine(),
		Delivery: since(&s.delivery, b.Delivery), Append: since(&s.appends, b.Appends.Add(b.DurableAppends)), Sync: since(&s.syncs, b.SyncTimes),
	}
	if err := s.opts.Broker.Ready(); err != nil {
		o.Why = err.Error()
	}
	return o
}

// since returns what a histogram of nanoseconds has counted since it was last asked.
func since(last *histogram.Snapshot, now histogram.Snapshot) Times {
	counts := make([]uint64, len(now.Counts))
	total := uint64(0)
	for i, n := range now.Counts {
		counts[i] = n
		if len(last.Counts) > i {
			counts[i] -= last.Counts[i]
		}
		total += counts[i]
	}
	first := len(last.Counts) == 0
	*last = now
	if first || total == 0 {
		return Times{} // what was before the first sample may be long ago
	}
	at := func(share float64) float64 {
		return quantile(now.Bounds, counts, share*float64(total)) / float64(time.Millisecond)
	}
	return Times{Measured: total, P50: at(.5), P99: at(.99)}
}

// quantile returns the value that has rank of the counted values below it. It assumes that the
// values of a bucket are spread evenly, and puts those above all bounds at the last bound.
func quantile(bounds []int64, counts []uint64, rank float64) float64 {
	below, seen := 0.0, 0.0
	for i, bound := range bounds {
		if n := float64(counts[i]); seen+n >= rank && n > 0 {
			return below + (float64(bound)-below)*(rank-seen)/n
		}
		seen += float64(counts[i])
		below = float64(bound)
	}
	return below
}

// memoryBytes returns how much memory the runtime has from the system.
func memoryBytes() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
