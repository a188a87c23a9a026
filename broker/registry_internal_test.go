package broker

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

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

func (a *audience) all() []*Stream {
	var streams []*Stream
	a.each(func(s *Stream) { streams = append(streams, s) })
	return streams
}

// TestRegistry_readers: a stream reads what it named or what its pattern
// matches, whichever was there first, until it leaves.
func TestRegistry_readers(t *testing.T) {
	r := newRegistry()
	s := make([]*Stream, 4)
	for i := range s {
		s[i] = &Stream{id: uint64(i)}
	}
	has := func(c *channel, want ...*Stream) {
		t.Helper()
		got := c.readers.all()
		if len(got) != len(want) || c.readers.size() != len(want) {
			t.Errorf("%s has %d readers, %d by size, want %d", c.name, len(got), c.readers.size(), len(want))
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s does not have reader %d", c.name, w.id)
			}
		}
	}
	r.attach(s[0], "a:1")
	r.follow(s[1], "a:*")
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
	r.follow(s[3], "*")
	r.follow(s[3], "a:*")
	has(c, s[0], s[1], s[2], s[3], s[3]) // by two patterns
	r.unfollow(s[3], "*")
	r.unfollow(s[3], "*") // asked for twice
	has(c, s[0], s[1], s[2], s[3])

	if _, _, removed := r.remove(c, gapExpired, nil); !removed || r.get("a:1") != nil || r.count.Load() != 0 {
		t.Error("not removed")
	}
	if _, _, removed := r.remove(c, gapExpired, nil); removed || r.count.Load() != 0 {
		t.Error("removed twice")
	}
	c, _ = r.create("a:1", 0, nil)
	has(c, s[0], s[1], s[2], s[3]) // those who had named it waited
	if r.detach(s[0], "a:1") != c {
		t.Error("detach returned another channel")
	}
	r.detach(s[2], "a:1")
	r.unfollow(s[1], "a:*")
	has(c, s[3])
	r.unfollow(s[3], "a:*")
	has(c)
	r.attach(s[0], "b")
	r.detach(s[0], "b")
	if len(r.stripe("b").waiting) != 0 || len(r.feeds) != 0 {
		t.Errorf("waiting %v, feeds %v", r.stripe("b").waiting, r.feeds)
	}
}

// TestRegistry_follow_leavesNothing: patterns come and go on a channel that
// nobody publishes to.
func TestRegistry_follow_leavesNothing(t *testing.T) {
	r := newRegistry()
	c, _ := r.create("a:1", 0, nil)
	for range 100 {
		s := &Stream{}
		r.follow(s, "a:*")
		r.unfollow(s, "a:*")
	}
	if n := len(c.readers.feeds); n > 1 {
		t.Errorf("the channel has %d feeds", n)
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
	c.log = *newLog(9, 9)
	c.log.add("a@1", "a@1", "a@1")
	r.remove(c, gapExpired, nil)
	for _, name := range names {
		lost(name, 2, true)
		lost(name, 3, false)
	}
	lost("a:b:2", 0, false)
	lost("b:*", 0, false)

	c, _ = r.create("a:b:1", 0, nil)
	if c.log.lost != 3 || c.born != 3 || c.log.lostOf(schemas.NewTopicSet([]string{"x"})) != 3 {
		t.Errorf("the next channel of the name has lost %d", c.log.lost)
	}
	r.remove(c, gapExpired, nil) // empty: what was lost before stays so
	for _, name := range names {
		lost(name, 2, true)
		lost(name, 3, false)
	}
}

// TestForgotten_neverHides notes more names than there are cells.
func TestForgotten_neverHides(t *testing.T) {
	r := newRegistry()
	const names = 3 * len(r.forgotten.cells) / 2
	for i := range uint64(names) {
		r.forget(schemas.Channel(fmt.Sprint("c", i)), i+1)
	}
	for i := range uint64(names) {
		if r.lostOf(schemas.Pattern(fmt.Sprint("c", i))) <= i {
			t.Fatalf("c%d was lost at %d, and it is not known", i, i+1)
		}
	}
	if got := r.forgotten.newest.Load(); got != uint64(names) {
		t.Errorf("newest is %d", got)
	}
}

// TestRegistry_remove_unread: what a reader by pattern has not read yet of a
// channel that goes is a loss, the run status too, which the ring does not count.
func TestRegistry_remove_unread(t *testing.T) {
	r := newRegistry()
	c, _ := r.create("a", 0, nil)
	c.log.limits = Limits{Messages: 9, Bytes: 9999, Age: 1}
	c.log.add("$run@1")
	c.setRun(&run{frame: *c.log.at(0)})
	src := &source{channel: c, topics: schemas.NewTopicSet([]string{"x"})}
	if _, _, removed := r.remove(c, gapOverrun, func() bool { return true }); removed {
		t.Fatal("removed against the condition")
	}
	freed, _, _ := r.remove(c, gapOverrun, func() bool { return false })
	if freed != channelOverhead+2*testFrame {
		t.Errorf("freed %d", freed)
	}
	if lost := src.fill(0, nobody); lost == nil || lost.reason != gapOverrun {
		t.Errorf("gap %+v", lost)
	}
}

// TestRegistry_create_afterOther: a reader that waits for its channel is not told
// of what another channel of the same cell has lost meanwhile. One that comes
// back must be: nobody can know that it was another one.
func TestRegistry_create_afterOther(t *testing.T) {
	b := newBroker(t, Options{Epoch: 20})
	waiting, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	b.say(t, "other")
	b.registry.forgotten.note(b.registry.hash("a"), 1)
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
