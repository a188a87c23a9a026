// Package top turns two looks at a server's metrics into what it did in between.
package top

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Sample is one look at the metrics.
type Sample struct {
	At       time.Time
	families map[string]*dto.MetricFamily
}

// Read reads metrics in the text format of Prometheus.
func Read(r io.Reader, at time.Time) (Sample, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return Sample{}, fmt.Errorf("top: the metrics cannot be read: %w", err)
	}
	if families["sluice_streams"] == nil {
		return Sample{}, fmt.Errorf("top: the metrics are not those of Sluice")
	}
	return Sample{at, families}, nil
}

// sum is the value of a metric, over all its labels.
func (s Sample) sum(name string) float64 {
	total := 0.0
	for _, n := range s.by(name, "") {
		total += n
	}
	return total
}

// by is the value of a metric for each value of a label.
func (s Sample) by(name, label string) map[string]float64 {
	values := make(map[string]float64)
	family := s.families[name]
	if family == nil {
		return values
	}
	for _, m := range family.Metric {
		key := ""
		for _, pair := range m.Label {
			if pair.GetName() == label {
				key = pair.GetValue()
			}
		}
		// Of these, a metric has one.
		values[key] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	return values
}

// View is what a server did between two samples. Rates are per second.
type View struct {
	At       time.Time     `json:"at"`
	Interval time.Duration `json:"-"`

	Streams  float64 `json:"streams"`
	Channels float64 `json:"channels"`

	Published      float64 `json:"published_per_second"`
	Delivered      float64 `json:"delivered_per_second"`
	DeliveredBytes float64 `json:"delivered_bytes_per_second"`
	Requests       float64 `json:"requests_per_second"`

	// CPU is in processors: 1 is all of one.
	CPU         float64 `json:"cpu"`
	Memory      float64 `json:"memory_bytes"`
	Descriptors float64 `json:"descriptors"`
	// Buffers is the bytes of the messages in memory.
	Buffers float64 `json:"buffer_bytes"`

	// What went wrong, and how often since the sample before, by what it was. Only what
	// did is there.
	Problems map[string]float64 `json:"problems"`
	Refused  map[string]float64 `json:"streams_refused"`
	Finished map[string]float64 `json:"streams_finished"`
	Gaps     map[string]float64 `json:"gaps"`
}

// Between returns what happened between two samples. If the server was started anew in
// between, rates count from its start.
func Between(a, b Sample) View {
	v := View{At: b.At, Interval: b.At.Sub(a.At)}
	seconds := max(v.Interval.Seconds(), 1e-3)
	rate := func(name string) float64 { return grown(a.sum(name), b.sum(name)) / seconds }
	changes := func(name, label string) map[string]float64 {
		before, after := a.by(name, label), b.by(name, label)
		for key, n := range after {
			if after[key] = grown(before[key], n); after[key] == 0 {
				delete(after, key)
			}
		}
		return after
	}
	v.Streams, v.Channels = b.sum("sluice_streams"), b.sum("sluice_channels")
	v.Published, v.Delivered = rate("sluice_published_messages_total"), rate("sluice_delivered_messages_total")
	v.DeliveredBytes, v.Requests = rate("sluice_delivered_bytes_total"), rate("sluice_http_requests_total")
	v.CPU, v.Memory = rate("process_cpu_seconds_total"), b.sum("process_resident_memory_bytes")
	v.Descriptors, v.Buffers = b.sum("process_open_fds"), b.sum("sluice_ring_bytes")
	v.Problems, v.Refused = changes("sluice_problems_total", "problem"), changes("sluice_streams_refused_total", "reason")
	v.Finished, v.Gaps = changes("sluice_streams_finished_total", "reason"), changes("sluice_gaps_total", "reason")
	return v
}

// grown is by how much a counter grew. It begins at 0 with the process.
func grown(before, after float64) float64 {
	if after < before {
		return after
	}
	return after - before
}

// Lines returns the view as lines for a terminal.
func (v View) Lines() []string {
	lines := []string{
		fmt.Sprintf("%-12s %12s   %-12s %12s", "streams", count(v.Streams), "channels", count(v.Channels)),
		fmt.Sprintf("%-12s %12s   %-12s %12s", "published/s", count(v.Published), "delivered/s", count(v.Delivered)),
		fmt.Sprintf("%-12s %12s   %-12s %12s", "requests/s", count(v.Requests), "bytes/s", size(v.DeliveredBytes)),
		fmt.Sprintf("%-12s %12.2f   %-12s %12s", "processors", v.CPU, "memory", size(v.Memory)),
		fmt.Sprintf("%-12s %12s   %-12s %12s", "descriptors", count(v.Descriptors), "buffers", size(v.Buffers)),
		"",
	}
	events := 0
	for _, group := range []struct {
		name string
		by   map[string]float64
	}{{"problem", v.Problems}, {"refused", v.Refused}, {"finished", v.Finished}, {"gap", v.Gaps}} {
		for _, key := range slices.SortedFunc(maps.Keys(group.by), func(a, b string) int {
			return cmp.Or(cmp.Compare(group.by[b], group.by[a]), strings.Compare(a, b))
		}) {
			lines = append(lines, fmt.Sprintf("%-12s %12s   %s", group.name, count(group.by[key]), key))
			events++
		}
	}
	if events == 0 {
		lines = append(lines, "nothing refused, nothing ended, no gap")
	}
	return lines
}

// count writes a number with up to four digits.
func count(n float64) string {
	for _, unit := range []string{"", "k", "M"} {
		switch {
		case n < 10 && n != float64(int(n)):
			return fmt.Sprintf("%.1f%s", n, unit)
		case n < 10_000:
			return fmt.Sprintf("%.0f%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.0fG", n)
}

// size writes a number of bytes.
func size(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 10_000 {
			return fmt.Sprintf("%.0f %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.0f TiB", n)
}
