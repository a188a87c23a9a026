package enginetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// OutboxNode is a node of a service whose runs end in an outbox.
type OutboxNode struct {
	Store
	Outbox outbox.Store
}

// Outbox tests an outbox. start returns the nodes of a fresh service, and what starts a node
// once all others were killed.
func Outbox(t *testing.T, start func(t *testing.T) (nodes []OutboxNode, later func() OutboxNode)) {
	for name, test := range map[string]func(t *testing.T, nodes []OutboxNode, later func() OutboxNode){
		"ends": endsOfRuns, "settled": settledGoes, "occupied": occupiedStays, "pages": pagesOfEvents, "one leads": oneLeads,
	} {
		t.Run(name, func(t *testing.T) {
			nodes, later := start(t)
			test(t, nodes, later)
		})
	}
}

// lead has a node lead, until the test ends.
func lead(t *testing.T, n OutboxNode) (resign func()) {
	t.Helper()
	_, resign, err := n.Outbox.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return resign
}

// read returns all events in the order in which they happened. What a store said last may take
// a moment to arrive at another replica.
func read(t *testing.T, n OutboxNode, want int) (all []outbox.Event) {
	t.Helper()
	var after uint64
	for began := time.Now(); len(all) < want && time.Since(began) < time.Minute; {
		events, err := n.Outbox.Read(t.Context(), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.ID.Seq <= after {
				t.Fatalf("position %d after %d", e.ID.Seq, after)
			}
			after = e.ID.Seq
		}
		all = append(all, events...)
	}
	if events, err := n.Outbox.Read(t.Context(), after, 10); err != nil || len(events) > 0 || len(all) != want {
		t.Fatalf("%d events, %v, and then %v, %v; want %d", len(all), all, events, err, want)
	}
	return all
}

func settle(t *testing.T, n OutboxNode, outcomes ...outbox.Outcome) {
	t.Helper()
	if err := n.Outbox.Settle(t.Context(), outcomes); err != nil {
		t.Fatal(err)
	}
}

// Each run that ends is in the outbox once, whichever node it ended on, also if its channel is
// deleted and if the nodes are killed.
func endsOfRuns(t *testing.T, nodes []OutboxNode, later func() OutboxNode) {
	var want []string
	for i := range 6 {
		n := nodes[i%len(nodes)]
		name := schemas.Channel(fmt.Sprint("run:", i%3))
		put(t, n, status(name, schemas.RunRunning))
		end := status(name, schemas.RunFailed)
		end.Run.RunID, end.Sub = fmt.Sprint("r", i), "user-7"
		end.RunID, end.Data = end.Run.RunID, end.Run.Encode()
		r := put(t, n, end)
		want = append(want, fmt.Sprint("run.failed ", name, " ", r.ID, " ", end.RunID))
		if r := put(t, n, end); !r.Duplicate {
			t.Error("the run ended twice")
		}
		put(t, n, entry(name, "1", ""))
	}
	if _, err := nodes[0].Delete(t.Context(), "run:0"); err != nil {
		t.Fatal(err)
	}
	n := later()
	lead(t, n)
	var got []string
	for _, e := range read(t, n, len(want)) {
		got = append(got, fmt.Sprint(e.Type, " ", e.Channel, " ", e.Message, " ", e.Run.RunID))
		if e.Run.Status != schemas.RunFailed || e.Sub != "user-7" || time.Since(e.At.Std()).Abs() > 5*time.Minute || len(e.Through) > 0 {
			t.Errorf("got %+v", e)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// What everybody is through with is gone; what somebody is through with says so.
func settledGoes(t *testing.T, nodes []OutboxNode, later func() OutboxNode) {
	for i := range 4 {
		put(t, nodes[0], status(schemas.Channel(fmt.Sprint("run:", i)), schemas.RunCompleted))
	}
	resign := lead(t, nodes[0])
	all := read(t, nodes[0], 4)
	settle(t, nodes[0],
		outbox.Outcome{Position: all[0].ID.Seq, By: "a"}, outbox.Outcome{Position: all[0].ID.Seq},
		outbox.Outcome{Position: all[1].ID.Seq, By: "a"}, outbox.Outcome{Position: all[1].ID.Seq, By: "b"},
		outbox.Outcome{Position: all[3].ID.Seq})
	settle(t, nodes[0], outbox.Outcome{Position: all[3].ID.Seq})
	resign()
	n := later()
	lead(t, n)
	got := read(t, n, 2)
	slices.Sort(got[0].Through)
	if got[0].ID != all[1].ID || !slices.Equal(got[0].Through, []string{"a", "b"}) || got[1].ID != all[2].ID || len(got[1].Through) > 0 {
		t.Errorf("got %+v", got)
	}
}

// Which channels are occupied is kept together with the events that say so.
func occupiedStays(t *testing.T, nodes []OutboxNode, later func() OutboxNode) {
	resign := lead(t, nodes[0])
	if names, err := nodes[0].Outbox.Occupied(t.Context()); err != nil || len(names) > 0 {
		t.Fatalf("at first: %v, %v", names, err)
	}
	say := func(n OutboxNode, what outbox.Type, name schemas.Channel) {
		if err := n.Outbox.Add(t.Context(), outbox.Event{Type: what, Channel: name, At: schemas.TimeOf(time.Now())}); err != nil {
			t.Fatal(err)
		}
	}
	say(nodes[0], outbox.ChannelOccupied, "a:1")
	say(nodes[0], outbox.ChannelOccupied, "b c.d")
	say(nodes[0], outbox.ChannelVacated, "a:1")
	say(nodes[0], outbox.ChannelOccupied, "e")
	put(t, nodes[0], entry("a", "1", "")) // positions are shared with messages
	resign()
	n := later()
	lead(t, n)
	names, err := n.Outbox.Occupied(t.Context())
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []schemas.Channel{"b c.d", "e"}) {
		t.Errorf("occupied: %q, %v", names, err)
	}
	say(n, outbox.ChannelVacated, "e")
	say(n, outbox.ChannelOccupied, "e")
	var got []string
	for _, e := range read(t, n, 6) {
		got = append(got, fmt.Sprint(e.Type, " ", e.Channel))
	}
	want := []string{
		"channel.occupied a:1", "channel.occupied b c.d", "channel.vacated a:1", "channel.occupied e", "channel.vacated e", "channel.occupied e",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Read returns at most as many as it is asked for.
func pagesOfEvents(t *testing.T, nodes []OutboxNode, _ func() OutboxNode) {
	for i := range 25 {
		put(t, nodes[i%len(nodes)], status(schemas.Channel(fmt.Sprint("run:", i)), schemas.RunCancelled))
	}
	lead(t, nodes[0])
	select {
	case <-nodes[0].Outbox.News():
	case <-time.After(time.Minute):
		t.Error("there is no news")
	}
	all := read(t, nodes[0], 25)
	if some, err := nodes[0].Outbox.Read(t.Context(), all[3].ID.Seq, 3); err != nil || len(some) != 3 || some[0].ID != all[4].ID {
		t.Errorf("got %+v, %v", some, err)
	}
}

// One node leads at a time, and another one when it resigns.
func oneLeads(t *testing.T, nodes []OutboxNode, _ func() OutboxNode) {
	first, resign, err := nodes[0].Outbox.Lead(t.Context())
	if err != nil || first.Err() != nil {
		t.Fatal(err)
	}
	if len(nodes) < 2 {
		resign()
		if first.Err() == nil {
			t.Error("it leads after it has resigned")
		}
		return
	}
	second := make(chan error, 1)
	go func() { // until the test ends
		_, resign, err := nodes[1].Outbox.Lead(t.Context())
		if err == nil {
			resign()
		}
		second <- err
	}()
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	select {
	case err := <-second:
		t.Fatalf("two nodes lead: %v", err)
	case <-short.Done():
	}
	if first.Err() != nil {
		t.Error("the first one does not lead any more")
	}
	resign()
	if err := <-second; err != nil {
		t.Error(err)
	}
}
