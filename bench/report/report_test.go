package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/report"
	"github.com/sluicehq/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// results are of a small run in which much went wrong.
func results() *report.Results {
	r := &report.Results{
		Command: "bench run -rounds 3", Started: time.Date(2026, 11, 23, 6, 18, 0, 0, time.UTC),
		Took: 95 * time.Second, Window: 2 * time.Second, Rounds: 3,
		Machine: report.Machine{CPU: "A processor", Cores: 2, Memory: "8 GiB", Kernel: "Linux 6.1", Congestion: "cubic", Go: "go1.26", Pinned: true},
		Servers: map[string]report.Server{
			"sluice":         {Kind: report.Subject, Version: "sluice dev", Flags: "--pace 2ms"},
			"floor-1ms":      {Kind: report.Floor, Version: "go1.26"},
			"floor-coalesce": {Kind: report.Floor, Version: "go1.26"},
			"nethttp":        {Kind: report.Peer, Version: "go1.26", Lacks: []string{"resume", "slow readers"}, Note: "A slow reader holds up others."},
			"nchan":          {Kind: report.Peer, Version: "nchan 1.3.6"},
			"go-sse":         {Kind: report.Peer, Version: "v0.11.0"},
		},
	}
	add := func(scenario, name string, x float64, server, metric string, check load.Check, values ...float64) {
		for i, v := range values {
			m := map[string]float64{metric: v, report.ClientBusy: 50}
			r.Samples = append(r.Samples, report.Sample{
				Scenario: scenario, Case: name, X: x, Server: server, Round: i, Metrics: m, Check: check,
			})
		}
	}
	good := load.Check{Delivered: 1000}
	add("A", "", 0, "sluice", report.DeliveriesPerCPU, good, 3.1e6, 2.9e6, 3e6)
	add("A", "", 0, "floor-1ms", report.DeliveriesPerCPU, good, 6e6, 6e6, 6e6)
	add("A", "", 0, "floor-coalesce", report.DeliveriesPerCPU, good, 1e6, 2e6, 1.5e6)
	add("A", "", 0, "nethttp", report.DeliveriesPerCPU, good, 1e5, 1.2e5, 1.1e5)
	add("A", "", 0, "nchan", report.DeliveriesPerCPU, load.Check{Delivered: 900, Lost: 100, Missing: 2}, 9e6, 9e6, 9e6)
	add("A", "", 0, "go-sse", report.DeliveriesPerCPU, load.Check{Delivered: 1, Doubled: 3}, 8e6)
	add("A", "", 0, "go-sse", report.DeliveriesPerCPU, good, 1.5e5, 1.5e5)
	add("D", "10,000", 0, "sluice", report.BytesPerStream, load.Check{}, 1200)
	add("D", "10,000", 0, "nethttp", report.BytesPerStream, load.Check{}, 26000)
	add("D", "19,000", 0, "sluice", report.BytesPerStream, load.Check{}, 1100)
	r.Samples = append(r.Samples, report.Sample{Scenario: "D", Case: "19,000", Server: "nethttp", Fault: "run: it\nended"})
	for _, x := range []float64{1000, 19000} {
		add("H-readers", report.Whole(x), x, "sluice", report.DeliveriesPerCPU, good, 3e6+x)
		add("H-readers", report.Whole(x), x, "floor-1ms", report.DeliveriesPerCPU, good, 3.2e6-x) // names close to each other
	}
	return r
}

// TestResults_Write compares a report with the one that was looked at. UPDATE_GOLDEN=1
// go test ./report writes it anew.
func TestResults_Write(t *testing.T) {
	dir := t.TempDir()
	if err := results().Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"benchmarks.md", "benchmarks/a.svg", "benchmarks/d.svg", "benchmarks/h-readers.svg"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", filepath.Base(name))
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not as before; if it is right, run this test with UPDATE_GOLDEN=1. It is:\n%s", name, got)
		}
		if strings.HasSuffix(name, ".svg") {
			wellFormed(t, name, string(got))
		}
	}
}

// TestResults_Write_partial writes a page of everything, and then twice one of a run that has
// measured one scenario, with another server.
func TestResults_Write_partial(t *testing.T) {
	dir := t.TempDir()
	all, part := results(), results()
	if err := all.Write(dir); err != nil {
		t.Fatal(err)
	}
	part.Samples = slices.DeleteFunc(part.Samples, func(s report.Sample) bool { return s.Scenario != "D" })
	part.Started = part.Started.Add(24 * time.Hour)
	part.Servers = map[string]report.Server{"sluice": {Kind: report.Subject, Version: "sluice new"}, "nethttp": {Kind: report.Peer, Version: "go1.27"}}
	for range 2 {
		if err := part.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		"\n## A: ": 1, "\n## D: ": 1, "\n## H-readers: ": 1,
		"*Measured in another run: A processor, 2 CPUs, 8 GiB of memory; Linux 6.1": 2,
		"2026-11-24 06:18 UTC": 1, "2026-11-23 06:18 UTC": 2, "| sluice | sluice new |": 1, "sluice dev": 0, "| nchan | nchan 1.3.6 |": 1,
		"| go-sse | 150,000 |": 1,
	} {
		if got := strings.Count(string(page), text); got != want {
			t.Errorf("%q is there %d times, want %d, in:\n%s", text, got, want, page)
		}
	}
}

// TestResults_Add shows two runs as one.
func TestResults_Add(t *testing.T) {
	all := results()
	all.Samples = slices.DeleteFunc(all.Samples, func(s report.Sample) bool { return s.Scenario != "A" })
	other := results()
	other.Command, other.Rounds = "bench run -rounds 1", 1
	other.Samples = slices.DeleteFunc(other.Samples, func(s report.Sample) bool { return s.Scenario == "A" })
	all.Add(other)
	var got, want strings.Builder
	if err := errors.Join(all.Summary(&got), results().Summary(&want)); err != nil || got.String() != want.String() {
		t.Errorf("%v: %s, want %s", err, got.String(), want.String())
	}
	if all.Command != "bench run -rounds 3; bench run -rounds 1" || all.Rounds != 3 || all.Took != 190*time.Second {
		t.Errorf("%q, %d rounds, %v", all.Command, all.Rounds, all.Took)
	}
}

func wellFormed(t *testing.T, name, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// TestResults_Rows shows what counts: good runs only, and peers that have some.
func TestResults_Rows(t *testing.T) {
	rows := map[string]*report.Row{}
	for _, row := range results().Rows(report.Scenarios()[0]) {
		rows[row.Server] = row
	}
	for _, tt := range []struct {
		server       string
		bad          int
		median, best float64
	}{
		{"sluice", 0, 3e6, 20},
		{"go-sse", 1, 1.5e5, 1},
		{"nethttp", 0, 1.1e5, 1.1e5 / 1.5e5},
		{"nchan", 3, 9e6, 0},
		{"floor-1ms", 0, 6e6, 40},
	} {
		row := rows[tt.server]
		if got := row.Stats[report.DeliveriesPerCPU].Median; row.Bad != tt.bad || got != tt.median || row.Ratios[report.BestPeer] != tt.best {
			t.Errorf("%s: %d bad, median %v, to the best peer %v", tt.server, row.Bad, got, row.Ratios[report.BestPeer])
		}
	}
	if got := rows["sluice"].Ratios["floor-coalesce"]; got != 2 {
		t.Errorf("to floor-coalesce %v", got)
	}
}

func TestNewStat(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   report.Stat
	}{
		{"none", nil, report.Stat{}},
		{"one", []float64{3}, report.Stat{Median: 3, Min: 3, Max: 3}},
		{"even", []float64{4, 1, 2, 9}, report.Stat{Median: 3, Min: 1, Max: 9}},
		{"odd", []float64{9, 1, 2}, report.Stat{Median: 2, Min: 1, Max: 9}},
	} {
		if got := report.NewStat(tt.values); got != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestSelect(t *testing.T) {
	names, unknown := report.Select([]string{"h", "a", "x"})
	if strings.Join(names, " ") != "A H-readers H-channels H-stored" || strings.Join(unknown, " ") != "x" {
		t.Errorf("%v, %v", names, unknown)
	}
	if all, _ := report.Select(nil); len(all) != len(report.Scenarios()) {
		t.Errorf("%v", all)
	}
}

func TestResults_Save(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.json")
	if err := results().Save(path); err != nil {
		t.Fatal(err)
	}
	read, err := report.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var before, after strings.Builder
	if err := errors.Join(results().Summary(&before), read.Summary(&after)); err != nil || before.String() != after.String() {
		t.Errorf("%v: %s, then %s", err, before.String(), after.String())
	}
	if !strings.Contains(after.String(), "100 lost") && !strings.Contains(after.String(), "300 lost") {
		t.Error(after.String())
	}
	if _, err := report.Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
