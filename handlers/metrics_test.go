package handlers_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// TestMetrics_lint looks at /metrics with the checks of `promtool check metrics`.
func TestMetrics_lint(t *testing.T) {
	srv := start(t)
	page := srv.check(t, call{method: "GET", path: "/metrics", status: 200}).body
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "sluice_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
