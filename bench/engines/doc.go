// Package engines measures the engines that keep messages, each beside what it stands
// on alone, in the same run: publishes on disk beside bare batches of Pebble, messages
// through NATS beside bare NATS, and what a reader costs that comes back to a channel
// that is not in memory.
package engines

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Options say what to measure. All fields are needed.
type Options struct {
	Seconds float64 // of one measurement
	Rounds  int     // how often each is repeated; the sides take turns
	Dir     string  // for the files of the engines; on the disk that is to be measured
	// NATSServer is a program; "" leaves NATS out.
	NATSServer string
	Out        io.Writer // is told of each figure as it comes
}

// Figure is the median of what was measured of one thing.
type Figure struct {
	Subject string // what was measured
	Unit    string
	Median  float64
	Least   float64
	Most    float64
	Ratio   float64 // to the floor of the same run; 0 for the floor itself
}

// side is one of two that are measured in turn.
type side struct {
	name    string
	measure func(ctx context.Context, took time.Duration) (float64, error)
}

// Table is the figures of one comparison.
type Table struct {
	Title   string
	Note    string
	Figures []Figure
}

// Run measures everything.
func Run(ctx context.Context, o Options) ([]Table, error) {
	var tables []Table
	for _, part := range []func(context.Context, Options) (Table, error){publishes, resumes, natsDelivery} {
		table, err := part(ctx, o)
		if err != nil {
			return tables, err
		}
		if len(table.Figures) > 0 {
			tables = append(tables, table)
		}
	}
	return tables, nil
}

// compare measures the sides in turn, the first being the floor, and returns their
// medians. The ratio of the others is that of the floor's median to theirs, or the
// other way round if less is better, so that 1 is as good as the floor.
func compare(ctx context.Context, o Options, unit string, lessIsBetter bool, sides ...side) ([]Figure, error) {
	found := make([][]float64, len(sides))
	for range o.Rounds {
		for i, s := range sides {
			v, err := s.measure(ctx, time.Duration(o.Seconds*float64(time.Second)))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			found[i] = append(found[i], v)
		}
	}
	figures := make([]Figure, len(sides))
	for i, s := range sides {
		slices.Sort(found[i])
		f := Figure{Subject: s.name, Unit: unit, Median: found[i][len(found[i])/2], Least: found[i][0], Most: found[i][len(found[i])-1]}
		if floor := figures[0].Median; i > 0 && f.Median > 0 && floor > 0 {
			if f.Ratio = f.Median / floor; lessIsBetter {
				f.Ratio = floor / f.Median
			}
		}
		figures[i] = f
		fmt.Fprintf(o.Out, "%-44s %12.4g %s (%.4g to %.4g)  x%.2f\n", f.Subject, f.Median, unit, f.Least, f.Most, f.Ratio)
	}
	return figures, nil
}
