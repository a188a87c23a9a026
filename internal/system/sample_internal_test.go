package system

import (
	"strconv"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/internal/histogram"
	"github.com/sluicehq/sluice/schemas"
)

// TestSampler_allocates bounds what a sample costs, however many channels there are.
func TestSampler_allocates(t *testing.T) {
	b, err := broker.New(broker.Options{Loops: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	publish := func(n int) {
		for i := range n {
			if _, err := b.Publish(t.Context(), broker.Publication{Channel: schemas.Channel(strconv.Itoa(i)), Topic: "t", Data: []byte("1")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := sampler{opts: Options{Broker: b, Requests: func() Requests { return Requests{} }}}
	sample := func() { s.overview() }
	publish(10)
	few := testing.AllocsPerRun(20, sample)
	publish(20_000)
	if many := testing.AllocsPerRun(20, sample); many > few || few > 40 {
		t.Errorf("a sample allocates %v times with few channels, and %v times with many", few, many)
	}
}

func TestSince(t *testing.T) {
	h := histogram.New(histogram.Durations(time.Millisecond, 10*time.Millisecond, 100*time.Millisecond))
	var last histogram.Snapshot
	h.Observe(int64(time.Hour))
	if got := since(&last, h.Snapshot()); got != (Times{}) {
		t.Errorf("the first time: %+v", got)
	}
	if got := since(&last, h.Snapshot()); got != (Times{}) {
		t.Errorf("nothing new: %+v", got)
	}
	for range 98 {
		h.Observe(int64(5 * time.Millisecond))
	}
	h.Observe(int64(50 * time.Millisecond))
	h.Observe(int64(time.Hour))
	got := since(&last, h.Snapshot())
	if got.Measured != 100 || got.P50 < 5 || got.P50 > 6 || got.P99 != 100 {
		t.Errorf("%+v, want 100 measured, half of them in 5.6 ms, 99 in 100 ms", got)
	}
	if got := since(&last, histogram.Snapshot{}); got.Measured != 0 {
		t.Errorf("of an engine that measures nothing: %+v", got)
	}
}
