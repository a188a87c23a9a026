package nats

import (
	"slices"
	"strconv"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"
	upstream "github.com/nats-io/nats.go/jetstream"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

// watermark notes which positions it was told that everything has come up to.
type watermark struct {
	sink
	at []uint64
}

func (w *watermark) Reached(position uint64) { w.at = append(w.at, position) }

// TestLive_receive_pauses: while messages may have been lost, the loop passes nothing on,
// and what it has set aside it passes on in its order once they are made up for. That the
// canary is back is known at once.
func TestLive_receive_pauses(t *testing.T) {
	w := &watermark{}
	l := &live{names: subjectsOf("s", 0), health: newHealth(time.Minute), sink: w}
	l.canary = l.names.canaries + "me"
	canary := func(position int) {
		l.receive(&natsio.Msg{Subject: l.names.liveOf(l.canary), Header: natsio.Header{upstream.SequenceHeader: {strconv.Itoa(position)}}})
	}
	wants := func(when string, want ...uint64) {
		t.Helper()
		if !slices.Equal(w.at, want) {
			t.Errorf("%s: passed on %v, want %v", when, w.at, want)
		}
	}
	canary(1)
	wants("at first", 1)
	l.health.lossPossible()
	l.health.heardAt = time.Time{}
	canary(2)
	canary(3)
	wants("after a loss", 1)
	if l.health.heardAt.IsZero() {
		t.Error("the canary was not heard")
	}
	l.resume()
	wants("too early", 1)
	l.health.lossPossible()
	l.health.reconciled(1)
	l.resume()
	wants("lost again", 1)
	l.health.reconciled(2)
	l.resume()
	canary(4)
	wants("made up for", 1, 2, 3, 4)

	l.health.lossPossible()
	for i := range 2*maxArrivals + 1 {
		canary(5 + i)
	}
	if len(l.paused) > maxArrivals {
		t.Errorf("holds %d messages", len(l.paused))
	}
	if losses, _ := l.health.lossesDue(); losses != 5 {
		t.Errorf("%d losses are to be made up for, want the overflows, too", losses)
	}

	l.paused, l.pausedBytes = nil, 0
	large := &natsio.Msg{Subject: l.names.liveOf(l.names.messages + "c"), Data: make([]byte, 1<<20)}
	for range 2 * maxPaused >> 20 {
		l.receive(large)
	}
	if l.pausedBytes > maxPaused || len(l.paused) != l.pausedBytes>>20 {
		t.Errorf("holds %d messages, %d bytes", len(l.paused), l.pausedBytes)
	}
}

// A new leader may not republish what the old one has stored. Whoever hears of it looks.
func TestLive_receive_newLeader(t *testing.T) {
	l, _ := newTestLive(t)
	l.receive(&natsio.Msg{Subject: jetstream.LeaderElected + "s-0"})
	if _, due := l.health.lossesDue(); !due {
		t.Error("nothing is missing, it seems")
	}
}

// What arrives while the loop's queue is full is dropped. The loop knows that before it takes
// anything that came later.
func TestLive_run_overflow(t *testing.T) {
	for _, room := range []int{0, 1} {
		l, _ := newTestLive(t)
		for len(l.arrivals) < cap(l.arrivals)-room {
			l.arrivals <- &natsio.Msg{Subject: "other"}
		}
		go l.run() // ends with the test
		for len(l.arrivals) > 0 {
			l.do(func() {})
		}
		if _, due := l.health.lossesDue(); due != (room == 0) {
			t.Errorf("with room for %d more, losses are due: %t", room, due)
		}
	}
}
