//go:build unix

package nats_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/broker/nats"
	"github.com/sluicehq/sluice/schemas"
)

func TestEngine_Load_count(t *testing.T) {
	opts := shared(t)
	opts.Retain.Messages = 5
	opts.LimitsOf = func(name schemas.Channel) broker.Limits {
		if name == "narrow" {
			return broker.Limits{Messages: 2}
		}
		return broker.Limits{Bytes: 3}
	}
	n := start(t, opts)
	for _, c := range []struct {
		name      schemas.Channel
		data      []string
		want      []string
		lostUpTo  int // index of the newest message that may be lost; -1: none
		otherwise string
	}{
		{"some", []string{"1", "2"}, []string{"1", "2"}, -1, ""},
		{"narrow", numbers(1, 3), []string{"2", "3"}, 0, ""},
		{"bytes", []string{"1", "22", "3"}, []string{"22", "3"}, 0, ""},
		{"many", numbers(1, 7), []string{"5", "6", "7"}, 3, ""},
	} {
		t.Run(string(c.name), func(t *testing.T) {
			var ids []uint64
			for _, data := range c.data {
				ids = append(ids, n.put(t, entry(string(c.name), data)).ID.Seq)
			}
			kept := n.load(t, c.name)
			if got := texts(kept.Messages); !slices.Equal(got, c.want) {
				t.Errorf("kept %v, want %v", got, c.want)
			}
			if c.lostUpTo < 0 {
				if kept.Lost >= ids[0] {
					t.Errorf("lost up to %d, but the first is %d", kept.Lost, ids[0])
				}
				return
			}
			if first := kept.Messages[0].ID.Seq; kept.Lost < ids[c.lostUpTo] || kept.Lost >= first {
				t.Errorf("lost up to %d, want %d or more, below %d", kept.Lost, ids[c.lostUpTo], first)
			}
		})
	}
}

func TestEngine_Load_age(t *testing.T) {
	opts := shared(t)
	age := map[schemas.Channel]time.Duration{"short": 1500 * time.Millisecond}
	opts.LimitsOf = func(name schemas.Channel) broker.Limits { return broker.Limits{Age: age[name]} }
	n := start(t, opts)
	old := n.put(t, entry("short", "1")).ID.Seq
	n.put(t, entry("long", "1"))
	<-time.After(2 * time.Second)
	kept := n.load(t, "short")
	if len(kept.Messages) != 0 || kept.Lost < old {
		t.Errorf("kept %v, lost up to %d, want none and %d", texts(kept.Messages), kept.Lost, old)
	}
	young := n.put(t, entry("short", "2")).ID.Seq
	if kept := n.load(t, "short"); !slices.Equal(texts(kept.Messages), []string{"2"}) || kept.Lost < old || kept.Lost >= young {
		t.Errorf("kept %v, lost up to %d", texts(kept.Messages), kept.Lost)
	}
	if kept := n.load(t, "long"); len(kept.Messages) != 1 || kept.Lost != 0 {
		t.Errorf("kept %v, lost up to %d, want one and none", texts(kept.Messages), kept.Lost)
	}
}

func TestEngine_Append_keyIsForgotten(t *testing.T) {
	opts := shared(t)
	opts.RememberFor = time.Second
	n := start(t, opts)
	first := n.put(t, keyed("c", "1", "k"))
	if again := n.put(t, keyed("c", "2", "k")); again.ID != first.ID || !again.Duplicate {
		t.Errorf("remembered %+v, want %+v", again, first)
	}
	var later schemas.Receipt
	n.until(t, "forgetting", func() bool { later = n.put(t, keyed("c", "3", "k")); return !later.Duplicate })
	if later.ID == first.ID {
		t.Errorf("the receipt is still %+v", later)
	}
}

func TestEngine_Delete(t *testing.T) {
	list := nodes(t, 2, shared(t))
	a, b := list[0], list[1]
	b.follow(t, "c:d", "c:*")
	a.put(t, entry("c:d", "1"))
	last := a.put(t, entry("c:d", "2")).ID.Seq
	a.put(t, entry("c:other", "1"))
	b.delivered(t, "c:d", "1", "2")
	if found, err := a.Delete(t.Context(), "c:d"); !found || err != nil {
		t.Fatalf("found %t, %v", found, err)
	}
	b.within(t, time.Second, "word of it", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.dropped, []schemas.Channel{"c:d"})
	})
	for _, n := range list {
		if kept := n.load(t, "c:d"); len(kept.Messages) != 0 || kept.Lost <= last {
			t.Errorf("kept %v, lost up to %d", texts(kept.Messages), kept.Lost)
		}
		if found, err := n.Matching(t.Context(), "c:*", last, 10); err != nil || !slices.Equal(found.Channels, []schemas.Channel{"c:other"}) || found.Lost <= last {
			t.Errorf("found %+v, %v", found, err)
		}
	}
	next := a.put(t, entry("c:d", "3")).ID.Seq
	b.delivered(t, "c:d", "1", "2", "3")
	if kept := b.load(t, "c:d"); !slices.Equal(texts(kept.Messages), []string{"3"}) || kept.Lost >= next {
		t.Errorf("kept %v, lost up to %d", texts(kept.Messages), kept.Lost)
	}
	if found, err := b.Delete(t.Context(), "never"); found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	late := start(t, sameAs(a))
	if kept := late.load(t, "c:d"); kept.Lost <= last {
		t.Errorf("a node that starts later: lost up to %d", kept.Lost)
	}
}

func TestEngine_Matching_andNames(t *testing.T) {
	n := start(t, shared(t))
	middle := uint64(0)
	for i, name := range []string{"a", "a:1", "a:2:x", "a:", "b", "a.b:1"} {
		r := n.put(t, entry(name, "1"))
		if i == 2 {
			middle = r.ID.Seq
		}
	}
	for _, c := range []struct {
		pattern schemas.Pattern
		after   uint64
		limit   int
		want    string
		more    bool
	}{
		{"a:*", 0, 10, "[a:1 a:2:x]", false},
		{"*", 0, 10, "[a a.b:1 a: a:1 a:2:x b]", false},
		{"*", middle, 10, "[a.b:1 a: b]", false},
		{"a.b:*", 0, 10, "[a.b:1]", false},
		{"x:*", 0, 10, "[]", false},
	} {
		found, err := n.Matching(t.Context(), c.pattern, c.after, c.limit)
		if got := fmt.Sprint(found.Channels); err != nil || got != c.want || found.More != c.more || found.Lost >= middle {
			t.Errorf("%s after %d: %+v, %v, want %s", c.pattern, c.after, found, err, c.want)
		}
	}
	if found, err := n.Matching(t.Context(), "*", 0, 3); err != nil || len(found.Channels) != 3 || !found.More {
		t.Errorf("three at most: %+v, %v", found, err)
	}
	for _, c := range []struct {
		prefix string
		after  schemas.Channel
		limit  int
		want   string
	}{
		{"", "", 10, "[a a.b:1 a: a:1 a:2:x b]"},
		{"a", "a", 2, "[a.b:1 a:]"},
		{"a:", "", 10, "[a: a:1 a:2:x]"},
		{"a:2", "", 10, "[a:2:x]"},
		{"nothing:", "", 10, "[]"},
	} {
		names, err := n.Names(t.Context(), c.prefix, c.after, c.limit)
		if got := fmt.Sprint(names); err != nil || got != c.want {
			t.Errorf("names %q after %q: %s, %v, want %s", c.prefix, c.after, got, err, c.want)
		}
	}
}

// More channels than a server tells of at once.
func TestEngine_Matching_many(t *testing.T) {
	const channels = 1500
	n := start(t, shared(t))
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; i < channels; i += 8 {
				if _, err := n.Append(t.Context(), entry(fmt.Sprintf("many:%04d", i), "1")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	found, err := n.Matching(t.Context(), "many:*", 0, 4096)
	if err != nil || len(found.Channels) != channels || found.More {
		t.Errorf("found %d, more %t, %v", len(found.Channels), found.More, err)
	}
	if names, err := n.Names(t.Context(), "many:1", "", 4096); err != nil || len(names) != 500 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

func TestEngine_streamIsMadeAnew(t *testing.T) {
	opts := shared(t)
	n := start(t, opts)
	n.follow(t, "c")
	n.put(t, entry("c", "1"))
	remove(t, opts, "sluice-0")
	n.within(t, 2500*time.Millisecond, "doubt", func() bool { return n.Ready() != nil })
	other := start(t, opts)
	if other.origin.Epoch == n.origin.Epoch {
		t.Error("the new stream has the epoch of the old one")
	}
	n.givenUp(t, "made anew")
	other.put(t, entry("c", "3"))
}

// The epoch of a shard is that of the first one, and its new stream may be longer than
// the old one was before anybody looks.
func TestEngine_streamIsMadeAnew_sameEpoch(t *testing.T) {
	opts := shared(t)
	opts.Shard, opts.Epoch = 1, 7
	n := start(t, opts)
	remove(t, opts, "sluice-1")
	other := start(t, opts)
	for i := range 50 {
		other.put(t, entry("d", fmt.Sprint(i)))
	}
	n.givenUp(t, "made anew")
	if err := other.Ready(); err != nil {
		t.Errorf("the node that made it: %v", err)
	}
}

// TestFacts_Belongs: a stream that was made anew alone is found out at the next start.
func TestFacts_Belongs(t *testing.T) {
	opts := shared(t)
	first := start(t, opts)
	opts.Shard, opts.Epoch = 1, first.Epoch()
	for range 2 {
		if err := first.Facts().Belongs(t.Context(), start(t, opts).Engine); err != nil {
			t.Fatal(err)
		}
	}
	remove(t, opts, "sluice-1")
	err := first.Facts().Belongs(t.Context(), start(t, opts).Engine)
	if err == nil || !strings.Contains(err.Error(), "sluice-1 was made anew alone") {
		t.Errorf("err = %v", err)
	}
}

// Nothing makes the stream anew. The cut-off is too far away to end streams.
func TestEngine_streamIsGone(t *testing.T) {
	opts := shared(t)
	opts.CutOff = time.Hour
	n := start(t, opts)
	remove(t, opts, "sluice-0")
	n.givenUp(t, "is gone")
}

// Facts of another stream would be taken for told and not be heard of.
func TestEngine_factsAreGone(t *testing.T) {
	opts := shared(t)
	opts.CutOff = time.Hour
	n := start(t, opts)
	remove(t, opts, "sluice-facts")
	n.givenUp(t, "the stream sluice-facts is gone")
	fact := facts.Fact{Kind: "k", Name: "n", Value: []byte("v")}
	if err := n.Facts().Tell(t.Context(), fact); !errors.Is(err, facts.ErrUnavailable) {
		t.Errorf("tell: %v", err)
	}
}

// givenUp waits until readers are sent elsewhere, and looks at what is left.
func (n *node) givenUp(t testing.TB, why string) {
	t.Helper()
	n.until(t, "severing", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.severed > 0 })
	err := n.Ready()
	if !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "must be started again") {
		t.Errorf("ready: %v", err)
	}
	if _, err := n.Append(t.Context(), entry("c", "2")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
}

func remove(t testing.TB, opts nats.Options, stream string) {
	t.Helper()
	if err := deleteStream(t, opts, stream); err != nil {
		t.Fatal(err)
	}
}

func sameAs(n *node) nats.Options { return n.opts }

func TestEngine_Load_bytesOfAll(t *testing.T) {
	opts := shared(t)
	opts.MaxBytes = 64 << 10
	n := start(t, opts)
	first := n.put(t, entry("first", "1")).ID.Seq
	for i := range 100 {
		n.put(t, entry(fmt.Sprint("other:", i), fmt.Sprintf("%q", make([]byte, 500))))
	}
	if kept := n.load(t, "first"); len(kept.Messages) != 0 || kept.Lost < first {
		t.Errorf("kept %v, lost up to %d, want none and %d or more", texts(kept.Messages), kept.Lost, first)
	}
	if found, err := n.Matching(t.Context(), "first:*", 0, 1); err != nil || found.Lost < first {
		t.Errorf("found %+v, %v", found, err)
	}
}

// Where more is kept than before, nobody knows what was lost before.
func TestOpen_keepsMoreThanBefore(t *testing.T) {
	opts := shared(t)
	opts.Retain.Messages = 2
	n := start(t, opts)
	var lost uint64
	for i := range 4 {
		r := n.put(t, entry("c", fmt.Sprint(i)))
		if i == 1 {
			lost = r.ID.Seq
		}
	}
	opts.Retain.Messages = 10
	if kept := start(t, opts).load(t, "c"); len(kept.Messages) != 2 || kept.Lost < lost || kept.Lost >= kept.Messages[0].ID.Seq {
		t.Errorf("kept %v, lost up to %d, want %d or more", texts(kept.Messages), kept.Lost, lost)
	}
}
