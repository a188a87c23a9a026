package system

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/histogram"
)

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
