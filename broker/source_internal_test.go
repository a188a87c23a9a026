package broker

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/schemas"
)

func (src *source) taken() []uint64 {
	var seqs []uint64
	for _, f := range src.lot[src.next:] {
		seqs = append(seqs, f.seq)
	}
	src.next = len(src.lot) // as if all were handed out
	return seqs
}

func TestSelection_takes(t *testing.T) {
	tests := []struct {
		name string
		pick selection
		want []uint64 // of 1 to 6
	}{
		{"everything", selection{}, []uint64{1, 2, 3, 4, 5, 6}},
		{"the last ones", selection{from: 4}, []uint64{5, 6}},
		{"the latest of each topic", selection{from: 1, only: []uint64{2, 4}, upTo: 5}, []uint64{2, 4, 6}},
	}
	for _, tt := range tests {
		var got []uint64
		for seq := uint64(1); seq <= 6; seq++ {
			if tt.pick.takes(seq) {
				got = append(got, seq)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestSource_fill_gap walks one source over a log that loses messages between
// the steps. The log holds positions 7 to 9 of 9.
func TestSource_fill_gap(t *testing.T) {
	c := &channel{log: *newLog(3, 99)}
	c.log.add(slices.Repeat([]string{"a@1"}, 9)...)
	src := &source{channel: c}
	steps := []struct {
		name            string
		position, limit uint64
		want            []uint64
		after, resumes  uint64 // of the gap; 0: none
		before          func()
	}{
		{"lost up to beyond the limit", 1, 4, nil, 1, 7, nil},
		{"told already", 4, 5, nil, 0, 0, nil},
		{"the rest", 5, 8, []uint64{7, 8}, 0, 0, nil},
		{"nothing between position and limit", 8, 8, nil, 0, 0, nil},
		{"nothing, and something is lost above the limit", 8, 8, nil, 0, 0, func() { c.log.add("a@1", "a@1", "a@1", "a@1") }},
		{"lost since", 8, math.MaxUint64, []uint64{11, 12, 13}, 8, 11, nil},
		{"all is gone, and known", 13, math.MaxUint64, nil, 0, 0, func() { c.log.clear(gapExpired) }},
		{"gone before it was read", 13, math.MaxUint64, nil, 13, 0, func() { c.log.add("a@1"); c.log.clear(gapExpired) }},
		{"told already, nothing resumes", 13, math.MaxUint64, nil, 0, 0, nil},
	}
	for _, tt := range steps {
		if tt.before != nil {
			tt.before()
		}
		lost := src.fill(tt.position, tt.limit)
		if got := src.taken(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if lost == nil {
			lost = &gap{}
		}
		if lost.after != tt.after || lost.resumes != tt.resumes {
			t.Errorf("%s: gap %+v, want %d to %d", tt.name, lost, tt.after, tt.resumes)
		}
	}
}

func TestSource_fill_lots(t *testing.T) {
	c := &channel{log: *newLog(9999, 9999)}
	for range 2*lotSize + 10 {
		c.log.add("a@1", "b@1", "c@1")
	}
	src := &source{channel: c, topics: schemas.NewTopicSet([]string{"b"})}
	for _, want := range []int{lotSize, lotSize, 10, 0} {
		lost := src.fill(0, math.MaxUint64)
		got := src.taken()
		if len(got) != want || lost != nil {
			t.Errorf("took %d, want %d; gap %v", len(got), want, lost)
		}
		for _, seq := range got {
			if seq%3 != 2 {
				t.Fatalf("took %d, which is of another topic", seq)
			}
		}
	}
}

// TestSource_fill_runOutlivesRing: the latest status comes in its turn, from
// beside the ring if need be, and once.
func TestSource_fill_runOutlivesRing(t *testing.T) {
	for held := 1; held <= 6; held++ {
		c := &channel{log: *newLog(held, 99)}
		c.log.add("a@1", "$run@1")
		c.run = &run{frame: *c.log.at(c.log.count - 1)}
		c.log.add("a@1", "a@1", "a@1", "a@1")
		src := &source{channel: c, topics: schemas.NewTopicSet([]string{"b"})}
		src.fill(0, 1)
		if got := src.taken(); got != nil {
			t.Errorf("%d held: got %v below the limit", held, got)
		}
		src.fill(1, math.MaxUint64)
		if got := src.taken(); !slices.Equal(got, []uint64{2}) {
			t.Errorf("%d held: got %v", held, got)
		}
		src.fill(2, math.MaxUint64)
		if got := src.taken(); got != nil {
			t.Errorf("%d held: got %v twice", held, got)
		}
	}
}

// TestStream_slim: a stream that is quiet keeps nothing of its last burst.
func TestStream_slim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 200 {
			b.say(t, "a")
		}
		var batch Batch
		for messages := 0; messages < 200; messages += batch.Messages {
			if err := s.Next(t.Context(), &batch); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Next(t.Context(), &batch); err != nil || batch.Messages > 0 {
			t.Fatalf("no heartbeat: %v, %d messages", err, batch.Messages)
		}
		for _, src := range s.sources {
			if cap(src.lot) > 0 {
				t.Errorf("a source keeps room for %d frames", cap(src.lot))
			}
		}
		if cap(batch.Events) > 8 {
			t.Errorf("the batch keeps room for %d events", cap(batch.Events))
		}
	})
}
