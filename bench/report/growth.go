package report

import (
	"cmp"
	"fmt"
	"slices"
)

// growth plots the first metric over the cases, a line a server.
func growth(title string, s Scenario, rows []*Row) string {
	const top, bottom, height = 74.0, 330.0, 384
	var xs, ys []float64
	var servers []string
	lines := map[string][]*Row{}
	for _, row := range rows {
		if !row.counts(s.Metrics[0]) {
			continue
		}
		if lines[row.Server] == nil {
			servers = append(servers, row.Server)
		}
		lines[row.Server] = append(lines[row.Server], row)
		xs, ys = append(xs, row.X), append(ys, row.Stats[s.Metrics[0]].Min, row.Stats[s.Metrics[0]].Max)
	}
	const left, growthRight = 58.0, svgWidth - 118.0 // names stand right of the lines
	x, y := newScale(xs, left, growthRight).tight(xs), newScale(ys, bottom, top)
	var p svg
	p.begin(height, title, axisTitle(s))
	p.text((left+growthRight)/2, bottom+42, "middle", "dim", s.Growth+", log scale")
	for _, tick := range y.ticks() {
		p.line(left, y.at(tick), growthRight, y.at(tick), "grid")
		p.text(left-8, y.at(tick)+5, "end", "dim", short(tick))
	}
	slices.Sort(xs)
	for _, tick := range slices.Compact(xs) {
		p.line(x.at(tick), top, x.at(tick), bottom, "grid")
		p.text(x.at(tick), bottom+18, "middle", "dim", short(tick))
	}
	var ends []label
	for _, server := range servers {
		ends = append(ends, p.curve(lines[server], s.Metrics[0], x, y))
	}
	p.labels(ends)
	return p.end()
}

// label is the name of a line, which stands where it ends.
type label struct {
	x, y float64
	text string
}

// labels writes the names of lines, moved down where they would stand on each other.
func (s *svg) labels(all []label) {
	const apart = 16
	slices.SortFunc(all, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := range all {
		if i > 0 {
			all[i].y = max(all[i].y, all[i-1].y+apart)
		}
		s.text(all[i].x, all[i].y, "start", "", all[i].text)
	}
}

// curve draws the line of one server, and returns where its name belongs.
func (s *svg) curve(rows []*Row, metric string, x, y scale) (end label) {
	class := string(rows[0].Kind)
	path := ""
	for i, row := range rows {
		stat := row.Stats[metric]
		px, py := x.at(row.X), y.at(stat.Median)
		path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(i, 1)], px, py)
		s.line(px, y.at(stat.Min), px, y.at(stat.Max), class)
		s.dot(px, py, class)
		end = label{px + 10, py + 5, row.Server}
	}
	fmt.Fprintf(s, `<path d="%s" class="%s line" style="fill:none"/>`+"\n", path, class)
	return end
}
