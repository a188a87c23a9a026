package report

import (
	"slices"

	"github.com/sluicehq/sluice/bench/load"
)

// Stat sums up the values of several rounds.
type Stat struct{ Median, Min, Max float64 }

// NewStat sums up values; the zero value is for none.
func NewStat(values []float64) Stat {
	if len(values) == 0 {
		return Stat{}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Stat{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// Row is what several rounds found about one server in one case.
type Row struct {
	Case   string
	X      float64
	Server string
	Kind   Kind
	Lacks  []string // what the server does not do
	Runs   int
	Bad    int // runs that do not count
	Check  load.Check
	Faults []string
	Stats  map[string]Stat
	// Ratios are of the first metric's median to those of the servers compared with, by
	// name, and to that of the best peer under [BestPeer].
	Ratios map[string]float64
}

// BestPeer is the key of the ratio to the best peer.
const BestPeer = "best peer"

// Rows sums up the samples of a scenario, a case after the other, each in the order in which
// its servers were first measured.
func (r *Results) Rows(s Scenario) []*Row {
	var rows []*Row
	index := map[[2]string]*Row{}
	values := map[*Row]map[string][]float64{}
	for _, sample := range r.Samples {
		if sample.Scenario != s.Name {
			continue
		}
		key := [2]string{sample.Case, sample.Server}
		row := index[key]
		if row == nil {
			row = &Row{
				Case: sample.Case, X: sample.X, Server: sample.Server, Kind: r.Servers[sample.Server].Kind,
				Lacks: r.Servers[sample.Server].Lacks,
				Stats: map[string]Stat{}, Ratios: map[string]float64{},
			}
			index[key], values[row] = row, map[string][]float64{}
			rows = append(rows, row)
		}
		row.add(sample, values[row])
	}
	for _, row := range rows {
		for name, v := range values[row] {
			row.Stats[name] = NewStat(v)
		}
	}
	slices.SortStableFunc(rows, func(a, b *Row) int { return order(rows, a.Case) - order(rows, b.Case) })
	compare(rows, s)
	return rows
}

// order returns where a case comes first.
func order(rows []*Row, name string) int {
	return slices.IndexFunc(rows, func(r *Row) bool { return r.Case == name })
}

// add counts a sample. Of a server whose runs were all bad, values are kept to be shown.
func (row *Row) add(s Sample, values map[string][]float64) {
	if s.Good() && row.Runs == row.Bad {
		clear(values)
	}
	row.Runs++
	row.Check.Delivered += s.Check.Delivered
	row.Check.Lost += s.Check.Lost
	row.Check.Doubled += s.Check.Doubled
	row.Check.Missing += s.Check.Missing
	row.Check.Stray += s.Check.Stray
	row.Check.Closed += s.Check.Closed
	if !s.Good() {
		row.Bad++
		if s.Fault != "" && !slices.Contains(row.Faults, s.Fault) {
			row.Faults = append(row.Faults, s.Fault)
		}
		if row.Runs > row.Bad {
			return
		}
	}
	for name, v := range s.Metrics {
		values[name] = append(values[name], v)
	}
}

// counts tells whether a row may be compared with.
func (row *Row) counts(metric string) bool {
	return row.Bad < row.Runs && row.Stats[metric].Median > 0
}

// compare fills in the ratios, each to a row of the same case.
func compare(rows []*Row, s Scenario) {
	name := s.Metrics[0]
	smaller := metrics()[name].smaller
	for _, row := range rows {
		if !row.counts(name) {
			continue
		}
		var best *Row
		for _, other := range rows {
			if other.Case != row.Case || !other.counts(name) {
				continue
			}
			ratio := row.Stats[name].Median / other.Stats[name].Median
			if slices.Contains(s.Against, other.Server) {
				row.Ratios[other.Server] = ratio
			}
			if other.Kind != Peer || slices.Contains(s.Against, other.Server) {
				continue
			}
			if best == nil || (other.Stats[name].Median < best.Stats[name].Median) == smaller {
				best = other
			}
		}
		if best != nil {
			row.Ratios[BestPeer] = row.Stats[name].Median / best.Stats[name].Median
		}
	}
}
