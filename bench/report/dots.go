package report

const rowHeight = 26

// axisTitle says what a plot shows.
func axisTitle(s Scenario) string {
	m := metrics()[s.Metrics[0]]
	better := "more is better"
	if m.smaller {
		better = "less is better"
	}
	return m.title + " (median, range, log scale; " + better + ")"
}

// dots plots the first metric, a row a server: the median as a dot, the range as a line.
func dots(title string, s Scenario, rows []*Row) string {
	const top = 74
	var values []float64
	for _, row := range rows {
		stat := row.Stats[s.Metrics[0]]
		values = append(values, stat.Min, stat.Max)
	}
	bottom := float64(top + rowHeight*len(rows))
	x := newScale(values, plotLeft, plotRight)
	var p svg
	p.begin(int(bottom)+34, title, axisTitle(s))
	for _, tick := range x.ticks() {
		p.line(x.at(tick), top-8, x.at(tick), bottom, "grid")
		p.text(x.at(tick), bottom+18, "middle", "dim", short(tick))
	}
	for i, row := range rows {
		y := float64(top + rowHeight*i + rowHeight/2)
		name := row.Server
		if row.Case != "" {
			name += ", " + row.Case
		}
		p.text(plotLeft-10, y+5, "end", "", name)
		stat, has := row.Stats[s.Metrics[0]]
		if !has {
			p.text(plotLeft+6, y+5, "start", "dim", "failed")
			continue
		}
		class := string(row.Kind)
		if row.Bad == row.Runs {
			class = "bad" // hollow: not all was delivered
		}
		p.line(x.at(stat.Min), y, x.at(stat.Max), y, class)
		p.dot(x.at(stat.Median), y, class)
		p.text(plotRight+10, y+5, "start", "", number(stat.Median))
	}
	return p.end()
}
