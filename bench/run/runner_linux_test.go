package run_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/bench/report"
	"github.com/sluicehq/sluice/bench/run"
)

// options are of a run with 20 readers for 0.3 s.
func options(t *testing.T) run.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return run.Options{
		Servers: []string{"nethttp"}, Rounds: 1, Window: 300 * time.Millisecond, Warmup: 50 * time.Millisecond,
		Scale: 0.02, Self: self, Command: "test", Log: io.Discard,
	}
}

// TestRunner_Run measures small servers, each a process, in one scenario of each kind.
func TestRunner_Run(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "sluice")
	if err := run.BuildSluice(t.Context(), "../..", bin); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		scenario, server string
		metrics          []string
	}{
		{"A", "nethttp", []string{report.DeliveriesPerCPU, report.Deliveries, report.LatencyP50, report.ServerCPU}},
		{"D-http2", "nethttp-tls", []string{report.BytesPerConn, report.BytesPerFurther}},
		{"C", "nethttp", []string{report.DeliveriesPerCPU}},
		{"E", "nethttp", []string{report.LatencyP99}},
		{"F", "bare", []string{report.PublishesPerCPU, report.AnswerP50}},
		{"F", "floor-lean", []string{report.PublishesPerCPU, report.AnswerP50}},
		{"G", "floor-1ms", []string{report.CaughtUp}},
		{"A-tls", "floor-1ms-tls", []string{report.DeliveriesPerCPU, report.WirePerDelivery}},
		{"G-tls", "nethttp-replay-tls", []string{report.CaughtUp, report.Resumed}},
		{"G-tls", "sluice-tls", []string{report.CaughtUp, report.Resumed}},
		{"T", report.SluiceName, []string{report.WirePerPiece, report.LatencyP50}},
		{"T2", report.SluiceName, []string{report.WholeAfter, report.PeakRSS}},
		{"U", report.SluiceName, []string{report.PiecesPerChunk, report.PublishTook}},
		{"P", report.SluiceName, []string{report.CPUToJoin, report.WirePerStream, report.BytesPerStream}},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			o := options(t)
			o.Scenarios, o.Servers = []string{tt.scenario}, []string{tt.server}
			o.SluiceBin = bin
			// The system counts the time of the processor by ticks, of which a busy machine
			// may give a server none in a short window.
			missing := unmeasured(t, o, tt.metrics)
			for ; len(missing) > 0 && o.Window < 10*time.Second; missing = unmeasured(t, o, tt.metrics) {
				o.Window *= 4
			}
			if len(missing) > 0 {
				t.Errorf("not measured: %v", missing)
			}
		})
	}
}

// unmeasured runs the one scenario and server of o, and returns which of the metrics have no
// value.
func unmeasured(t *testing.T, o run.Options, metrics []string) (missing []string) {
	t.Helper()
	o.JSON = filepath.Join(t.TempDir(), "out.json")
	runner, err := run.New(o)
	if err != nil {
		t.Fatal(err)
	}
	results, err := runner.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saved, err := report.Read(o.JSON)
	if err != nil || len(saved.Samples) == 0 || len(results.Samples) != len(saved.Samples) {
		t.Fatalf("%v, %+v", err, results)
	}
	for _, s := range saved.Samples {
		if !s.Good() || s.Scenario != o.Scenarios[0] || s.Server != o.Servers[0] {
			t.Errorf("%+v", s)
		}
		for _, name := range metrics {
			if s.Metrics[name] <= 0 {
				missing = append(missing, s.Case+": "+name)
			}
		}
	}
	return missing
}

// TestRunner_Run_fault shows that a server which does not start is a fault of its own.
func TestRunner_Run_fault(t *testing.T) {
	o := options(t)
	o.Scenarios, o.Servers, o.SluiceBin = []string{"A"}, []string{"sluice", "nethttp"}, "/nonexistent"
	runner, err := run.New(o)
	if err != nil {
		t.Fatal(err)
	}
	results, err := runner.Run(t.Context())
	if err != nil || len(results.Samples) != 2 {
		t.Fatalf("%v, %+v", err, results)
	}
	for _, s := range results.Samples {
		if failed := s.Fault != ""; failed != (s.Server == "sluice") {
			t.Errorf("%s: %q", s.Server, s.Fault)
		}
	}
}

func TestRunner_Run_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := options(t)
	o.Scenarios = []string{"A"}
	runner, err := run.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runner.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestRounds shows that a number that is asked for is that of all scenarios.
func TestRounds(t *testing.T) {
	fewer := map[string]int{"D": 3, "D-tls": 3, "D-http2": 3, "H-channels": 3, "H-stored": 3, "U": 1}
	for _, s := range report.Scenarios() {
		for _, asked := range []int{0, 1, 3, 7} {
			want := cmp.Or(asked, fewer[s.Name], 5)
			got := run.Rounds(s.Name, asked)
			if len(got) == 0 || slices.ContainsFunc(got, func(n int) bool { return n != want }) {
				t.Errorf("%s: %v rounds for %d, want %d", s.Name, got, asked, want)
			}
		}
	}
	o := options(t)
	o.Rounds = -1
	if _, err := run.New(o); err == nil {
		t.Error("-1 rounds were taken")
	}
}

func TestNew_unknown(t *testing.T) {
	o := options(t)
	o.Scenarios, o.Servers = []string{"A", "Z"}, []string{"nobody"}
	if _, err := run.New(o); err == nil || !strings.Contains(err.Error(), "Z, nobody") {
		t.Errorf("got %v", err)
	}
}
