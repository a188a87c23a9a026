package load_test

import (
	"math"
	"testing"

	"github.com/sluicehq/sluice/bench/load"
)

func TestHistogram_Quantile_within(t *testing.T) {
	for _, ns := range []int64{0, 1, 31, 32, 33, 63, 64, 65, 1000, 123_456_789, 1 << 40, math.MaxInt64} {
		var h load.Histogram
		h.Add(ns)
		for _, q := range []float64{0, 0.5, 1} {
			got := h.Quantile(q)
			if got < ns || float64(got) > float64(ns)*1.032 {
				t.Errorf("%d became %d", ns, got)
			}
		}
	}
}

func TestHistogram_Quantile_share(t *testing.T) {
	var h load.Histogram
	for i := range int64(1000) {
		h.Add(i * 1000)
	}
	h.Add(-5)
	for _, tt := range []struct{ q, want float64 }{{0.5, 500_000}, {0.99, 990_000}, {1, 999_000}} {
		got := float64(h.Quantile(tt.q))
		if got < tt.want*0.998 || got > tt.want*1.035 {
			t.Errorf("quantile %v is %v, want about %v", tt.q, got, tt.want)
		}
	}
	if h.Count() != 1001 || h.Quantile(0) != 0 {
		t.Errorf("%d counted, least %d", h.Count(), h.Quantile(0))
	}
	h.Reset()
	if h.Count() != 0 || h.Quantile(0.5) != 0 {
		t.Error("something is left after Reset")
	}
}
