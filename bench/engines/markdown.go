package engines

import (
	"bytes"
	"fmt"
	"runtime"
)

// Markdown returns the tables as a page.
func Markdown(tables []Table) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Engines, measured\n\n")
	fmt.Fprintf(&b, "Written by `bench engines`, on a machine with %d cores. Figures are medians, with the minimum and the maximum. "+
		"Each measurement alternates with the one that it is compared with. A ratio of 1 means that both are equally good.\n", runtime.NumCPU())
	for _, t := range tables {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| | %s | min–max | × bare |\n|---|---|---|---|\n", t.Title, t.Note, t.Figures[0].Unit)
		for _, f := range t.Figures {
			ratio := "–"
			if f.Ratio > 0 {
				ratio = fmt.Sprintf("%.2f", f.Ratio)
			}
			fmt.Fprintf(&b, "| %s | %.4g | %.4g–%.4g | %s |\n", f.Subject, f.Median, f.Least, f.Most, ratio)
		}
	}
	return b.Bytes()
}
