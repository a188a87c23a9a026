package engine_test

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
)

func TestLimits_AgeMillis(t *testing.T) {
	for age, want := range map[time.Duration]int64{1: 1, time.Millisecond: 1, 1500 * time.Microsecond: 1, time.Minute: 60_000} {
		if got := (engine.Limits{Age: age}).AgeMillis(); got != want {
			t.Errorf("%v: got %d, want %d", age, got, want)
		}
	}
}
