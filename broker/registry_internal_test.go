package broker

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

func TestPrefixes(t *testing.T) {
	for name, want := range map[schemas.Channel][]schemas.Pattern{
		"a":      nil,
		"a:":     nil, // a:* names what has something after the colon
		"a:b":    {"a:*"},
		"a:b:c":  {"a:*", "a:b:*"},
		":a":     {":*"},
		"::a":    {":*", "::*"},
		"a:b:":   {"a:*"},
		"ä:b/c:": {"ä:*"},
	} {
		got := slices.Collect(prefixes(name))
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
		for _, p := range got {
			if !p.Matches(name) {
				t.Errorf("%s does not match %s", p, name)
			}
		}
	}
}

func (s *subscribers) all() []*cursor {
	var cursors []*cursor
	s.each(func(c *cursor) { cursors = append(cursors, c) })
	return cursors
}

// TestRegistry_readers: a stream reads what it named or what its pattern matches,
// whichever was there first, until it leaves.
func TestRegistry_readers(t *testing.T) {
	r := newRegistry()
	s := make([]*cursor, 4)
	for i := range s {
		s[i] = &cursor{stream: &Stream{id: uint64(i)}}
	}
	has := func(c *channel, want ...*cursor) {
		t.Helper()
		got := c.readers.all()
		if len(got) != len(want) || c.readers.size() != len(want) {
			t.Errorf("%s has %d readers, %d by size, want %d", c.name, len(got), c.readers.size(), len(want))
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s does not have reader %d", c.name, w.stream.id)
			}
		}
	}
	r.attach(s[0], "a:1")
	r.attachPattern(s[1], "a:*")
	if r.get("a:1") != nil || r.count.Load() != 0 {
		t.Error("a read made a channel")
	}
	c, made := r.create("a:1", 0, nil)
	if !made || r.get("a:1") != c {
		t.Error("not made")
	}
	if again, made := r.create("a:1", 0, nil); made || again != c {
		t.Error("made twice")
	}
	has(c, s[0], s[1])
	r.attach(s[2], "a:1")
	r.attachPattern(s[3], "*")
	r.attachPattern(s[3], "a:*")
	has(c, s[0], s[1], s[2], s[3], s[3]) // by two patterns
	r.detachPattern(s[3], "*")
	r.detachPattern(s[3], "*") // asked for twice
	has(c, s[0], s[1], s[2], s[3])

	if _, removed := r.remove(c, ring.Expired, nil, nil); !removed || r.get("a:1") != nil || r.count.Load() != 0 {
		t.Error("not removed")
	}
	if _, removed := r.remove(c, ring.Expired, nil, nil); removed || r.count.Load() != 0 {
		t.Error("removed twice")
	}
	c, _ = r.create("a:1", 0, nil)
	has(c, s[0], s[1], s[2], s[3]) // those who had named it waited
	if r.detach(s[0], "a:1") != c {
		t.Error("detach returned another channel")
	}
	r.detach(s[2], "a:1")
	r.detachPattern(s[1], "a:*")
	has(c, s[3])
	r.detachPattern(s[3], "a:*")
	has(c)
	r.attach(s[0], "b")
	r.detach(s[0], "b")
	if len(r.stripe("b").waiting) != 0 || len(r.patternSubs) != 0 {
		t.Errorf("waiting %v, pattern subscriptions %v", r.stripe("b").waiting, r.patternSubs)
	}
}

// TestRegistry_attachPattern_leavesNothing: patterns come and go on a channel that
// nobody publishes to.
func TestRegistry_attachPattern_leavesNothing(t *testing.T) {
	r := newRegistry()
	c, _ := r.create("a:1", 0, nil)
	for range 100 {
		s := new(cursor)
		r.attachPattern(s, "a:*")
		r.detachPattern(s, "a:*")
	}
	if n := len(c.readers.patternSubs); n > 1 {
		t.Errorf("the channel has %d pattern subscriptions", n)
	}
}

func TestRegistry_forgotten(t *testing.T) {
	r := newRegistry()
	lost := func(pattern schemas.Pattern, seq uint64, want bool) {
		t.Helper()
		if got := r.lostOf(pattern) > seq; got != want {
			t.Errorf("%s after %d: %t", pattern, seq, got)
		}
	}
	names := []schemas.Pattern{"a:b:1", "a:b:*", "a:*", "*"}
	for _, name := range names {
		lost(name, 0, false)
	}
	c, _ := r.create("a:b:1", 0, nil)
	c.log = newLog(9)
	c.fill("a", "a", "a")
	r.remove(c, ring.Expired, nil, nil)
	for _, name := range names {
		lost(name, 2, true)
		lost(name, 3, false)
	}
	lost("a:b:2", 0, false)
	lost("b:*", 0, false)

	c, _ = r.create("a:b:1", 0, nil)
	if c.log.Lost() != 3 || c.born != 3 || c.log.LostOf(schemas.NewTopicSet([]string{"x"})) != 3 {
		t.Errorf("the next channel of the name has lost %d", c.log.Lost())
	}
	r.remove(c, ring.Expired, nil, nil) // empty: what was lost before stays so
	for _, name := range names {
		lost(name, 2, true)
		lost(name, 3, false)
	}
}

// TestRegistry_remove_unread: when a channel is removed, what a reader by pattern has
// not read yet is lost, including the run status, which the ring does not count.
func TestRegistry_remove_unread(t *testing.T) {
	r := newRegistry()
	c, _ := r.create("a", 0, nil)
	c.log = newLog(9)
	c.fill("$run")
	cost := c.run.frame.Cost()
	src := &source{ring.NewReader(schemas.NewTopicSet([]string{"x"}), 0, 0), c}
	if _, removed := r.remove(c, ring.Overrun, func() bool { return true }, nil); removed {
		t.Fatal("removed against the condition")
	}
	freed, _ := r.remove(c, ring.Overrun, func() bool { return false }, nil)
	if freed != channelOverhead+2*cost {
		t.Errorf("freed %d", freed)
	}
	if lost := src.fetch(0, ring.NoReader, 1<<20); lost == nil || lost.Reason != ring.Overrun {
		t.Errorf("gap %+v", lost)
	}
}

// TestRegistry_create_afterOther: a reader that waits for its channel is not told of
// what another channel in the same cell has lost meanwhile. A reader that comes back
// must be: nobody can know that it was the other one.
func TestRegistry_create_afterOther(t *testing.T) {
	b := newBroker(t, Options{Epoch: 20})
	waiting, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	b.say(t, "other")
	b.shards[0].registry.forgotten.Note(b.shards[0].registry.hash("a"), 1)
	b.say(t, "a")
	back, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}, LastEventID: "k-0"})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	for _, tt := range []struct {
		name   string
		stream *Stream
		told   bool
	}{{"waiting", waiting, false}, {"back", back, true}} {
		var batch Batch
		told := false
		for messages := 0; messages == 0; messages = batch.Messages {
			if err := tt.stream.Next(t.Context(), &batch); err != nil {
				t.Fatal(err)
			}
			for _, e := range batch.Events {
				told = told || bytes.Contains(e, []byte("event: $gap\n"))
			}
		}
		if told != tt.told {
			t.Errorf("%s: told of a gap: %t", tt.name, told)
		}
	}
}

// ender is a carrier that notes whether its stream ended before there could be a next
// channel of the name.
type ender struct {
	names *stripe
	first bool
}

func (e *ender) wake(*Stream) bool {
	e.first = !e.names.mu.TryRLock()
	if !e.first {
		e.names.mu.RUnlock()
	}
	return false
}

// TestShard_dropDeleted_endsFirst: a deletion ends a stream before the next channel of
// the name can exist. A stream in a fan-out group would go on there, and would not be
// told of what it had not been sent of the deleted one.
func TestShard_dropDeleted_endsFirst(t *testing.T) {
	b := newBroker(t, Options{})
	b.say(t, "a")
	s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := &ender{names: b.shards[0].registry.stripe("a")}
	s.mu.Lock()
	s.carrier = e
	s.mu.Unlock()
	if !b.shards[0].dropDeleted("a") {
		t.Fatal("not found")
	}
	if _, ended := s.Ended(); !ended || !e.first {
		t.Errorf("ended: %t, before there can be a next channel: %t", ended, e.first)
	}
}
