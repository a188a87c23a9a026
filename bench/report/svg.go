package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Sizes of plots, in pixels. They are narrow and their letters large: on a telephone a plot
// is shrunk to the width of the screen.
const (
	svgWidth  = 560
	plotLeft  = 196
	plotRight = svgWidth - 92
)

// style gives a plot colours that can be read on a light and on a dark page, where it is an
// image that takes none from the page around it.
const style = `<style>
:root{--fg:#1f2328;--dim:#656d76;--grid:#d8dee4;--subject:#0969da;--peer:#57606a;--floor:#9a6700;--bad:#cf222e}
@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--dim:#8d96a0;--grid:#30363d;--subject:#58a6ff;--peer:#a0a8b2;--floor:#d29922;--bad:#ff7b72}}
text{font:14px system-ui,sans-serif;fill:var(--fg)}.dim{fill:var(--dim)}.title{font-weight:600;font-size:16px}
.grid{stroke:var(--grid)}.subject{fill:var(--subject);stroke:var(--subject)}.peer{fill:var(--peer);stroke:var(--peer)}
.floor{fill:var(--floor);stroke:var(--floor)}.bad{fill:none;stroke:var(--bad)}line,.line{stroke-width:2}.line{fill:none}.grid{stroke-width:1}
</style>
`

// svg is a picture that is being written.
type svg struct{ strings.Builder }

// begin writes the head, for a picture of a height, with its title and what it shows.
func (s *svg) begin(height int, title, axis string) {
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		svgWidth, height, svgWidth, height)
	fmt.Fprintf(s, "<title>%s: %s</title>\n%s", html.EscapeString(title), html.EscapeString(axis), style)
	s.text(8, 22, "start", "title", title)
	s.text(8, 43, "start", "dim", axis)
}

func (s *svg) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, html.EscapeString(text))
}

func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (s *svg) dot(x, y float64, class string) {
	fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="4" class="%s"/>`+"\n", x, y, class)
}

func (s *svg) end() string {
	s.WriteString("</svg>\n")
	return s.String()
}

// scale is a logarithmic axis.
type scale struct {
	low, high float64 // decades
	from, to  float64 // pixels
}

// newScale makes an axis for values, from pixel to pixel. There is at least one decade.
func newScale(values []float64, from, to float64) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = min(low, math.Log10(v)), max(high, math.Log10(v))
		}
	}
	if math.IsInf(low, 1) {
		low, high = 0, 1
	}
	low, high = math.Floor(low), math.Ceil(high)
	return scale{low, max(high, low+1), from, to}
}

// tight returns the axis without what is before the least of the values and after the
// greatest, unless they are one.
func (s scale) tight(values []float64) scale {
	if len(values) == 0 {
		return s
	}
	if low, high := math.Log10(slices.Min(values)), math.Log10(slices.Max(values)); low < high {
		s.low, s.high = low, high
	}
	return s
}

// at returns the pixel of a value; what is not above zero is at the start.
func (s scale) at(v float64) float64 {
	if v <= 0 {
		return s.from
	}
	return s.from + (math.Log10(v)-s.low)/(s.high-s.low)*(s.to-s.from)
}

// ticks returns the powers of ten on the axis.
func (s scale) ticks() []float64 {
	var ticks []float64
	for d := s.low; d <= s.high; d++ {
		ticks = append(ticks, math.Pow(10, d))
	}
	return ticks
}
