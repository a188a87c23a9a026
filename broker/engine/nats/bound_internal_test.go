package nats

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// Losses are announced, and nothing else is.
func TestEngine_bound(t *testing.T) {
	const age = 10 * time.Minute
	now := time.Now()
	// Messages at these positions, so many minutes ago.
	at := func(seq uint64, minutes float64) schemas.Message {
		return schemas.Message{
			ID: schemas.ID{Seq: seq}, Data: []byte("1"), CreatedAt: schemas.TimeOf(now.Add(-time.Duration(minutes * float64(time.Minute)))),
		}
	}
	on := func(topic schemas.Topic, m schemas.Message) schemas.Message { m.Topic = topic; return m }
	part := func(m schemas.Message) schemas.Message { m.Kind, m.StreamID = schemas.KindChunk, "s"; return m }
	// A mark a minute, the one of n minutes ago at position 1000-10*n.
	var marks []mark
	for n := 60; n >= 1; n-- {
		marks = append(marks, mark{uint64(1000 - 10*n), now.Add(-time.Duration(n)*time.Minute - time.Second)})
	}
	for _, c := range []struct {
		name     string
		kept     []schemas.Message
		marks    []mark
		limits   engine.Limits
		pushed   uint64 // up to where the stream has pushed messages out
		change   func(*Engine)
		messages int
		lost     uint64
	}{
		{name: "a young stream has lost nothing", kept: []schemas.Message{at(5, 1)}, messages: 1},
		{name: "nothing is kept", marks: marks, lost: 900},
		{name: "what is young is kept, and nothing after it lost", kept: []schemas.Message{at(905, 9.5)}, marks: marks, messages: 1, lost: 900},
		{name: "what is old is cut", kept: []schemas.Message{at(850, 15), at(950, 5)}, marks: marks, messages: 1, lost: 900},
		{name: "old, and no mark since", kept: []schemas.Message{at(850, 15), at(950, 5)}, messages: 1, lost: 850},
		{name: "kept by another clock", kept: []schemas.Message{at(895, 9)}, marks: marks, messages: 1, lost: 894},
		{name: "an age of its own", kept: []schemas.Message{at(960, 4), at(990, 1)}, marks: marks, limits: engine.Limits{Age: 2 * time.Minute}, messages: 1, lost: 980},
		{name: "a longer one", kept: []schemas.Message{at(850, 15)}, marks: marks, limits: engine.Limits{Age: 20 * time.Minute}, messages: 1, lost: 800},
		{name: "messages were pushed out", kept: []schemas.Message{at(10, 3), at(11, 2), at(12, 1)}, pushed: 9, messages: 3, lost: 9},
		{name: "between those that are kept", kept: []schemas.Message{at(10, 3), at(12, 1)}, pushed: 11, messages: 2, lost: 11},
		{name: "the latest of a topic", kept: []schemas.Message{on("t", at(9, 3)), at(10, 3), at(11, 2), at(12, 1)}, limits: engine.Limits{Messages: 1}, messages: 2, lost: 11},
		{name: "too old to be the latest of a topic", kept: []schemas.Message{on("t", at(9, 15)), at(10, 3)}, messages: 1, lost: 9},
		{name: "a text", kept: []schemas.Message{part(at(9, 15)), part(at(10, 3)), part(at(11, 2))}, limits: engine.Limits{Messages: 1}, messages: 3},
		{name: "more than the channel keeps", kept: []schemas.Message{at(11, 2), at(12, 1)}, limits: engine.Limits{Messages: 1}, messages: 1, lost: 11},
		{name: "longer than the channel keeps", kept: []schemas.Message{at(11, 2), at(12, 1)}, limits: engine.Limits{Bytes: 1}, messages: 1, lost: 11},
		{name: "the stream has dropped its oldest", change: func(e *Engine) { e.health.first.Store(31) }, lost: 30},
		{name: "the stream kept less once", kept: []schemas.Message{at(35, 1)}, change: func(e *Engine) { e.health.floor.Store(30) }, messages: 1, lost: 30},
		{name: "it was deleted", kept: []schemas.Message{at(35, 1)}, change: func(e *Engine) { e.control.deletions["c"] = deletion{seq: 20} }, messages: 1, lost: 20},
		{name: "deleted long ago", change: func(e *Engine) { e.control.forgotten = 20 }, lost: 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := Options{Retain: engine.Limits{Messages: 3, Age: age}, LimitsOf: func(schemas.Channel) engine.Limits { return c.limits }}.withDefaults()
			e := &Engine{opts: opts, names: subjectsOf("s", 0), health: newHealth(time.Second)}
			e.control = newControl(e)
			e.control.marks = c.marks
			if c.change != nil {
				c.change(e)
			}
			kept := engine.Snapshot{Messages: c.kept, Lost: engine.AllLost(c.pushed)}
			e.bound("c", &kept)
			if len(kept.Messages) != c.messages || kept.Lost.Newest != c.lost {
				t.Errorf("kept %d, lost up to %d, want %d and %d", len(kept.Messages), kept.Lost.Newest, c.messages, c.lost)
			}
		})
	}
}

// While NATS stores nothing, there are no marks either. Messages between the marks before
// and after may be as old as the former.
func TestControl_lostBefore_noMarks(t *testing.T) {
	e := &Engine{opts: Options{Retain: engine.Limits{Age: time.Minute}, RememberFor: time.Minute}.withDefaults(), names: subjectsOf("s", 0)}
	for _, away := range []time.Duration{time.Minute, time.Hour} { // also longer than a mark is kept
		c := newControl(e)
		full := time.Now()
		c.apply(jetstream.Message{Subject: "s.0.x.t.1", Sequence: 10, Time: full})
		c.apply(jetstream.Message{Subject: "s.0.x.t.2", Sequence: 30, Time: full.Add(away)}) // and messages 11 to 29 before it
		for _, tt := range []struct {
			at   time.Duration
			lost uint64
		}{{0, 0}, {slack, 10}, {slack + time.Second, 30}, {away + time.Second, 30}} {
			if got := c.lostBefore(full.Add(tt.at)); got != tt.lost {
				t.Errorf("away for %s, %s after: %d, want %d", away, tt.at, got, tt.lost)
			}
		}
	}
}

// Only so many deleted channels are remembered by name; the others count for all.
func TestControl_prune_deletions(t *testing.T) {
	e := &Engine{opts: Options{}.withDefaults(), names: subjectsOf("s", 0), health: newHealth(time.Second)}
	c := newControl(e)
	now := time.Now()
	for i := range maxDeletions + 1 {
		c.deletions[schemas.Channel(fmt.Sprint("c:", i))] = deletion{uint64(i + 1), now}
	}
	c.deletions["old"] = deletion{1 << 40, now.Add(-48 * time.Hour)}
	c.prune(now)
	if len(c.deletions) != maxDeletions/2 || c.forgotten != maxDeletions/2+1 || c.lostByDeletion("other") != c.forgotten || c.deletedAt("other") != 0 {
		t.Errorf("%d by name, the others up to %d", len(c.deletions), c.forgotten)
	}
}
