package top_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/server/top"
)

const before = `# TYPE sluice_streams gauge
sluice_streams 7
# TYPE sluice_channels gauge
sluice_channels 3
# TYPE sluice_published_messages_total counter
sluice_published_messages_total 100
# TYPE sluice_delivered_messages_total counter
sluice_delivered_messages_total 1000
# TYPE sluice_http_requests_total counter
sluice_http_requests_total{code="200",route="/a"} 10
sluice_http_requests_total{code="201",route="/b"} 20
# TYPE sluice_gaps_total counter
sluice_gaps_total{reason="overrun"} 5
sluice_gaps_total{reason="expired"} 1
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 8
`

func sample(t *testing.T, text string, at time.Time) top.Sample {
	t.Helper()
	s, err := top.Read(strings.NewReader(text), at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBetween(t *testing.T) {
	start := time.Unix(1000, 0)
	after := strings.NewReplacer(
		"sluice_streams 7", "sluice_streams 9",
		"published_messages_total 100", "published_messages_total 120",
		`"/b"} 20`, `"/b"} 24`,
		`"overrun"} 5`, `"overrun"} 8`,
		"cpu_seconds_total 8", "cpu_seconds_total 9",
	).Replace(before) + "# TYPE sluice_problems_total counter\nsluice_problems_total{problem=\"forbidden\"} 2\n"
	v := top.Between(sample(t, before, start), sample(t, after, start.Add(2*time.Second)))
	want := top.View{
		At: start.Add(2 * time.Second), Interval: 2 * time.Second,
		Streams: 9, Channels: 3, Published: 10, Requests: 2, CPU: 0.5,
		Problems: map[string]float64{"forbidden": 2}, Refused: map[string]float64{}, Finished: map[string]float64{}, Gaps: map[string]float64{"overrun": 3},
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got  %+v\nwant %+v", v, want)
	}
	lines := strings.Join(v.Lines(), "\n")
	for _, part := range []string{"published/s            10 ", "problem                 2   forbidden", "gap                     3   overrun"} {
		if !strings.Contains(lines, part) {
			t.Errorf("no %q in\n%s", part, lines)
		}
	}
}

// A server that was started anew counts from 0.
func TestBetween_restarted(t *testing.T) {
	start := time.Unix(1000, 0)
	after := strings.Replace(before, "published_messages_total 100", "published_messages_total 30", 1)
	if v := top.Between(sample(t, before, start), sample(t, after, start.Add(time.Second))); v.Published != 30 {
		t.Errorf("%v a second", v.Published)
	}
	same := sample(t, before, start)
	if v := top.Between(same, same); math.IsNaN(v.Published) || v.Published != 0 || !strings.Contains(strings.Join(v.Lines(), "\n"), "no gap") {
		t.Errorf("without time: %+v", v)
	}
}

func TestRead_foreign(t *testing.T) {
	for text, want := range map[string]string{"<!doctype html>": "cannot be read", "up 1\n": "not those of Sluice", "": "not those of Sluice"} {
		if _, err := top.Read(strings.NewReader(text), time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestView_Lines_numbers(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.5: "0.5", 7: "7", 9999: "9999", 10_000: "10k", 4_100_000: "4100k", 12_000_000: "12M", 2e10: "20G"} {
		if line := (top.View{Published: n}).Lines()[1]; strings.Fields(line)[1] != want {
			t.Errorf("%v: %q, want %q", n, line, want)
		}
	}
	if line := (top.View{Memory: 3 << 30}).Lines()[3]; !strings.HasSuffix(line, "3072 MiB") {
		t.Errorf("%q", line)
	}
}
