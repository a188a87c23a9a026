package load_test

import (
	"testing"

	"github.com/sluicehq/sluice/bench/load"
)

func TestSequences(t *testing.T) {
	of := func(publisher uint16, seqs ...uint32) (marks []load.Mark) {
		for _, s := range seqs {
			marks = append(marks, load.Mark{Publisher: publisher, Seq: s})
		}
		return marks
	}
	for _, tt := range []struct {
		name  string
		marks []load.Mark
		want  load.Check
	}{
		{"all right", of(0, 0, 1, 2), load.Check{Delivered: 3}},
		{"publishers apart", append(of(1, 0, 1), of(0, 0)...), load.Check{Delivered: 3}},
		{"first lost", of(0, 1, 2), load.Check{Delivered: 2, Lost: 1}},
		{"three lost", of(0, 0, 4, 5), load.Check{Delivered: 3, Lost: 3}},
		{"doubled", of(0, 0, 1, 1, 2), load.Check{Delivered: 3, Doubled: 1}},
		{"in another order", of(0, 0, 2, 1, 3), load.Check{Delivered: 3, Lost: 1, Doubled: 1}},
		{"from the start again", of(0, 0, 1, 0, 1), load.Check{Delivered: 2, Doubled: 2}},
		{"no such publisher", of(2, 0), load.Check{Stray: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := load.NewChecker(2, 2)
			for _, m := range tt.marks {
				c.Take(1, m)
			}
			if c.Check() != tt.want {
				t.Errorf("got %+v, want %+v", c.Check(), tt.want)
			}
			if good := tt.want.Lost+tt.want.Doubled+tt.want.Stray == 0; c.Check().Good() != good {
				t.Errorf("good is %t", !good)
			}
		})
	}
}
