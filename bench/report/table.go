package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Summary writes the samples as short tables for a terminal.
func (r *Results) Summary(w io.Writer) error {
	for _, s := range Scenarios() {
		rows := r.Rows(s)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s: %s\n", s.Name, s.Title)
		tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, line := range cells(s, rows) {
			fmt.Fprintln(tab, strings.Join(line, "\t"))
		}
		if err := tab.Flush(); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// cells returns the table of a scenario, its head first.
func cells(s Scenario, rows []*Row) [][]string {
	shown := shownMetrics(s, rows)
	withCases := rows[0].Case != ""
	var head []string
	if withCases {
		head = append(head, "case")
	}
	head = append(head, "server", metrics()[shown[0]].title, "min–max")
	for _, name := range s.Against {
		head = append(head, "× "+name)
	}
	head = append(head, "× "+BestPeer)
	for _, name := range shown[1:] {
		head = append(head, metrics()[name].title)
	}
	table := [][]string{append(head, "wrong", "without")}
	for _, row := range rows {
		var line []string
		if withCases {
			line = append(line, row.Case)
		}
		line = append(line, row.Server, value(row, shown[0]), spread(row, shown[0]))
		for _, name := range s.Against {
			line = append(line, ratio(row, name))
		}
		line = append(line, ratio(row, BestPeer))
		for _, name := range shown[1:] {
			line = append(line, value(row, name))
		}
		table = append(table, append(line, wrong(row), strings.Join(row.Lacks, ", ")))
	}
	return table
}

// shownMetrics leaves out metrics that no row has.
func shownMetrics(s Scenario, rows []*Row) []string {
	shown := s.Metrics[:1:1]
	for _, name := range s.Metrics[1:] {
		for _, row := range rows {
			if _, has := row.Stats[name]; has {
				shown = append(shown, name)
				break
			}
		}
	}
	return shown
}

func value(row *Row, metric string) string {
	stat, has := row.Stats[metric]
	if !has {
		return "–"
	}
	return number(stat.Median)
}

func spread(row *Row, metric string) string {
	stat, has := row.Stats[metric]
	if !has {
		return "–"
	}
	return number(stat.Min) + "–" + number(stat.Max)
}

func ratio(row *Row, to string) string {
	if v, has := row.Ratios[to]; has && row.Server != to {
		return number(v)
	}
	return "–"
}

// wrong tells what was not right about a row's deliveries, in how many of its runs.
func wrong(row *Row) string {
	if row.Bad == 0 {
		return "none"
	}
	var found []string
	c := row.Check
	for _, k := range []struct {
		n    uint64
		name string
	}{
		{c.Lost, "lost"},
		{c.Doubled, "doubled or late"},
		{c.Missing, "missing"},
		{c.Stray, "damaged"},
		{c.Closed, "streams ended"},
		{uint64(len(row.Faults)), "failed"},
	} {
		if k.n > 0 {
			found = append(found, Whole(float64(k.n))+" "+k.name)
		}
	}
	return fmt.Sprintf("%s (%d of %d runs)", strings.Join(found, ", "), row.Bad, row.Runs)
}
