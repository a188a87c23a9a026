package broker_test

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/internal/histogram"
)

// awaitStats waits until the statistics are as asked.
func awaitStats(t *testing.T, b *broker.Broker, what string, is func(broker.Stats) bool) {
	t.Helper()
	for until := time.Now().Add(patient); !is(b.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: it does not come: %+v", what, b.Stats())
		}
	}
}

// above returns how many values of a histogram are above the bound.
func above(s histogram.Snapshot, bound int64) (n uint64) {
	for i, c := range s.Counts {
		if i > 0 && s.Bounds[i-1] >= bound {
			n += c
		}
	}
	return n
}

// TestStats_lagging: a reader that takes nothing is counted while it is behind, and not
// after it has caught up or left. What it is sent late says nothing about the server.
func TestStats_lagging(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		b := start(t, broker.Options{
			Replay: engine.Limits{Messages: 1000, Bytes: 8 << 20}, WriteTimeout: time.Hour, PublishTimeout: patient,
		})
		lagging := func(n int64) func(broker.Stats) bool {
			return func(s broker.Stats) bool { return s.Lagging == n }
		}
		slow, _, ended := take(t, b, asking("a"), l, true)
		slow.until(t, "$open")
		well, _, _ := take(t, b, asking("a"), l, false)
		well.until(t, "$open")
		if s := b.Stats(); s.Lagging != 0 {
			t.Errorf("%d readers lag, of two that keep up", s.Lagging)
		}
		const many = 300 // more than its socket takes
		for range many / 50 {
			burst(t, b, well, 50)
		}
		awaitStats(t, b, "the reader that reads nothing", lagging(1))
		checkNext(t, slow, 0, many)
		awaitStats(t, b, "it has read everything", lagging(0))
		s := b.Stats()
		if s.Delivery.Count() == 0 || s.Behind.Count() <= s.Delivery.Count() || above(s.Behind, 64) == 0 {
			t.Errorf("deliveries %+v, behind %+v: want more of these, and that a reader was far behind", s.Delivery, s.Behind)
		}
		for b.Stats().Lagging == 0 {
			burst(t, b, well, 50)
		}
		slow.close()
		await(t, "its end", ended)
		awaitStats(t, b, "it has left", lagging(0))
	})
}
