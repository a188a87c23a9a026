package nats

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// deliveries is a sink that records positions.
type deliveries struct {
	seqs    []uint64
	reached uint64 // the newest one before which nothing is missing
}

func (d *deliveries) Wait(context.Context, schemas.Channel) error { return nil }
func (d *deliveries) Deliver(m schemas.Message, _ engine.Limits) {
	d.seqs = append(d.seqs, m.ID.Seq)
	d.Reached(m.ID.Seq)
}

func (d *deliveries) DeliverMissed(m schemas.Message, _ engine.Limits) {
	d.seqs = append(d.seqs, m.ID.Seq)
}
func (d *deliveries) Drop(schemas.Channel) bool { return false }
func (d *deliveries) Reached(position uint64)   { d.reached = max(d.reached, position) }
func (d *deliveries) Sever()                    {}
func (d *deliveries) expect(t *testing.T, what string, want ...uint64) {
	t.Helper()
	expectSeqs(t, what, d.seqs, want)
}

func expectSeqs(t testing.TB, what string, got, want []uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: delivered %v, want %v", what, got, want)
	}
}

// newTestLive returns live without its loop, whose part the test plays. Repairs begin
// and never get on: the test ends them with repaired.
func newTestLive(t *testing.T) (*live, *deliveries) {
	t.Helper()
	sink := new(deliveries)
	e := &Engine{opts: Options{}.withDefaults(), names: subjectsOf("s", 0), sink: sink, health: newHealth(time.Second), epoch: 1}
	e.life, e.end = context.WithCancel(context.Background())
	e.control = newControl(e)
	l := newLive(e)
	l.repairer = make(chan struct{}) // no places
	t.Cleanup(func() { e.end(); l.repairs.Wait() })
	return l, sink
}

// follow subscribes to a channel by name, as if it ended at a position.
func (l *live) followAt(name schemas.Channel, last uint64) *tail {
	t := &tail{sub: new(natsio.Subscription), settled: true, last: last}
	l.tails[name] = t
	return t
}

func stored(seqs ...uint64) (list []jetstream.Message) {
	for _, seq := range seqs {
		list = append(list, jetstream.Message{Sequence: seq, Data: body()})
	}
	return list
}

func body() []byte {
	v := envelopeOf(&schemas.Message{Kind: schemas.KindData, Data: []byte("1")}, 1)
	return v.seal("", 0).Data
}

func TestLive_take(t *testing.T) {
	l, sink := newTestLive(t)
	c := l.followAt("c", 10)
	l.take("c", c, arrival{seq: 12, before: 10, data: body()})
	l.take("c", c, arrival{seq: 12, before: 10, data: body()}) // twice
	l.take("c", c, arrival{seq: 9, before: 8, data: body()})   // from before the subscription
	sink.expect(t, "in order", 12)

	l.take("c", c, arrival{seq: 17, before: 15, data: body()}) // 15 is missing
	l.take("c", c, arrival{seq: 18, before: 17, data: body()})
	if !c.fetching() || c.target != 15 {
		t.Fatalf("no repair up to 15: %+v", c)
	}
	other := l.followAt("other", 0)
	l.take("other", other, arrival{seq: 16, before: 0, data: body()})
	sink.expect(t, "another channel does not wait", 12, 16)
	l.repaired("c", c, stored(15), 15)
	sink.expect(t, "repaired", 12, 16, 15, 17, 18)
	if c.fetching() || len(c.held) != 0 {
		t.Errorf("left over: %+v", c)
	}
}

// Between a subscription and the barrier, messages wait for where the channel begins.
func TestLive_settle(t *testing.T) {
	l, sink := newTestLive(t)
	c := l.followAt("c", 0)
	c.settled = false
	l.take("c", c, arrival{seq: 5, before: 4, data: body()})
	l.take("c", c, arrival{seq: 7, before: 5, data: body()})
	sink.expect(t, "not settled")
	l.settle("c", 5) // 5 is loaded
	sink.expect(t, "settled", 7)
}

// What was missing may be there no longer; then it is skipped.
func TestLive_repaired_gone(t *testing.T) {
	l, sink := newTestLive(t)
	c := l.followAt("c", 1)
	l.take("c", c, arrival{seq: 5, before: 4, data: body()})
	l.repaired("c", c, nil, 4)
	sink.expect(t, "gone", 5)
}

// The result of a repair is dropped if the channel was subscribed to anew meanwhile.
func TestLive_repaired_otherTail(t *testing.T) {
	l, sink := newTestLive(t)
	old := l.followAt("c", 1)
	l.take("c", old, arrival{seq: 5, before: 4, data: body()})
	anew := l.followAt("c", 5)
	l.repaired("c", old, stored(3, 4), 4)
	sink.expect(t, "old tail")
	if anew.last != 5 {
		t.Errorf("new tail at %d", anew.last)
	}
}

// More than maxHeld messages behind a gap are fetched, not held.
func TestLive_hold_limit(t *testing.T) {
	l, sink := newTestLive(t)
	c := l.followAt("c", 1)
	for seq := uint64(3); seq <= maxHeld+5; seq++ {
		l.take("c", c, arrival{seq: seq, before: seq - 1, data: body()})
	}
	if len(c.held) != maxHeld {
		t.Fatalf("held %d", len(c.held))
	}
	l.repaired("c", c, stored(2), 2)
	if want := uint64(maxHeld + 2); c.last != want || !c.fetching() || c.target != maxHeld+5 {
		t.Fatalf("at %d, want %d and a repair: target %d, fetching %t", c.last, want, c.target, c.fetching())
	}
	l.repaired("c", c, stored(maxHeld+3, maxHeld+4, maxHeld+5), maxHeld+5)
	if n := len(sink.seqs); n != maxHeld+4 || !slices.IsSorted(sink.seqs) {
		t.Errorf("delivered %d", n)
	}
}

// What a round of the reconciler has noted is repaired only by a later one: it may be
// on its way.
func TestLive_repairNoted(t *testing.T) {
	l, sink := newTestLive(t)
	c := l.followAt("c", 1)
	l.note("c", 2, 7)
	if got := l.repairNoted(6); len(got) != 0 || c.fetching() {
		t.Fatal("repaired at once")
	}
	repairs := l.repairNoted(7)
	if len(repairs) != 1 || !c.fetching() {
		t.Fatal("not repaired")
	}
	l.repaired("c", c, stored(2), 2)
	sink.expect(t, "noted", 2)
	l.note("c", 3, 8)
	l.take("c", c, arrival{seq: 3, before: 2, data: body()}) // it was on its way
	if got := l.repairNoted(8); len(got) != 0 {
		t.Error("repaired what has arrived")
	}
}

// As long as messages may have been lost, the repair of one channel says nothing of what
// another one still lacks.
func TestLive_repaired_others(t *testing.T) {
	l, sink := newTestLive(t)
	a, b := l.followAt("a", 1), l.followAt("b", 2)
	l.health.lossPossible()
	l.note("a", 5, firstRound)
	l.note("b", 4, firstRound)
	l.repairNoted(firstRound)
	l.repaired("a", a, stored(3, 5), 5)
	sink.expect(t, "one channel", 3, 5)
	if sink.reached > 0 {
		t.Errorf("streams may go to %d, and 4 is missing", sink.reached)
	}
	l.repaired("b", b, stored(4), 4)
	l.health.reconciled(1)
	l.take("b", b, arrival{seq: 6, before: 4, data: body()})
	sink.expect(t, "all", 3, 5, 4, 6)
	if sink.reached != 6 {
		t.Errorf("streams may go to %d, want 6", sink.reached)
	}
}

// Everything is made up for when the repairs that were under way have ended, too, and those
// that follow them.
func TestLive_repairAll(t *testing.T) {
	l, _ := newTestLive(t)
	a, b := l.followAt("a", 1), l.followAt("b", 1)
	l.take("a", a, arrival{seq: 5, before: 3, data: body()})
	l.note("a", 8, firstRound)
	l.note("b", 9, firstRound)
	if got := l.repairAll(); len(got) != 2 {
		t.Errorf("%d repairs are under way, want that of a, which began before, and that of b", len(got))
	}
	l.repaired("a", a, stored(3), 3)
	l.repaired("b", b, stored(9), 9)
	if got := l.repairAll(); len(got) != 1 || a.target != 8 {
		t.Errorf("%d repairs are under way, want another one of a", len(got))
	}
	l.repaired("a", a, stored(8), 8)
	if got := l.repairAll(); len(got) != 0 {
		t.Errorf("%d repairs are under way, and nothing is missing", len(got))
	}
}

// Whatever is lost, doubled or late, every message is delivered once and in order.
func TestLive_property(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		l, sink := newTestLive(t)
		names := []schemas.Channel{"a", "b", "c"}
		model := make(map[schemas.Channel][]uint64)
		for _, name := range names {
			l.followAt(name, 0)
		}
		repair := func(name schemas.Channel) {
			c := l.tails[name]
			from, to := c.last, c.target
			var missing []uint64
			for _, seq := range model[name] {
				if seq > from && seq <= to {
					missing = append(missing, seq)
				}
			}
			l.repaired(name, c, stored(missing...), to)
		}
		for seq := uint64(1); seq <= 60; seq++ {
			name := names[random.IntN(len(names))]
			before := uint64(0)
			if all := model[name]; len(all) > 0 {
				before = all[len(all)-1]
			}
			model[name] = append(model[name], seq)
			for range []int{0, 1, 1, 1, 2}[random.IntN(5)] { // lost, or once, or twice
				l.take(name, l.tails[name], arrival{seq: seq, before: before, data: body()})
			}
			if some := names[random.IntN(len(names))]; l.tails[some].fetching() && random.IntN(3) == 0 {
				repair(some)
			}
		}
		for _, name := range names {
			if all := model[name]; len(all) > 0 {
				l.note(name, all[len(all)-1], firstRound)
			}
		}
		l.repairNoted(firstRound)
		for _, name := range names {
			for l.tails[name].fetching() {
				repair(name)
			}
			var got []uint64
			for _, seq := range sink.seqs {
				if slices.Contains(model[name], seq) {
					got = append(got, seq)
				}
			}
			expectSeqs(t, fmt.Sprintf("seed %d, channel %s", seed, name), got, model[name])
		}
	}
}

// firstRound is a round of the reconciler.
const firstRound = 1
