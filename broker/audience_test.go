package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/schemas"
)

// crowd is an audience that keeps what it hears.
type crowd struct {
	mu      sync.Mutex
	round   uint64      // guarded by mu
	heard   []string    // guarded by mu
	follows []string    // guarded by mu; what is followed now
	since   []time.Time // guarded by mu; with each who came
	says    [][]byte    // guarded by mu; what followers are told, whoever comes first
}

func (c *crowd) Round() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.round
}

func (c *crowd) begin(round uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round = round
}

func (c *crowd) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, fmt.Sprintf(format, args...))
}

func (c *crowd) Came(round uint64, channel schemas.Channel, subject string, since time.Time) {
	c.mu.Lock()
	c.since = append(c.since, since)
	c.mu.Unlock()
	c.note("%d +%s %s", round, subject, channel)
}

func (c *crowd) Went(round uint64, channel schemas.Channel, subject string) {
	c.note("%d -%s %s", round, subject, channel)
}

func (c *crowd) Follow(channel schemas.Channel, _ func()) audience.Following {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follows = append(c.follows, string(channel))
	return following{c, string(channel)}
}

type following struct {
	crowd   *crowd
	channel string
}

// Next returns what the crowd has to say.
func (f following) Next() []byte {
	f.crowd.mu.Lock()
	defer f.crowd.mu.Unlock()
	if len(f.crowd.says) == 0 {
		return nil
	}
	data := f.crowd.says[0]
	f.crowd.says = f.crowd.says[1:]
	return data
}

func (f following) Close() {
	f.crowd.mu.Lock()
	defer f.crowd.mu.Unlock()
	f.crowd.follows = slices.DeleteFunc(f.crowd.follows, func(name string) bool { return name == f.channel })
}

// takes returns what was heard since the last call, sorted.
func (c *crowd) takes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard := c.heard
	c.heard = nil
	slices.Sort(heard)
	return heard
}

func TestBroker_audience(t *testing.T) {
	c := new(crowd)
	b := must(broker.New(broker.Options{Audience: c, MaxStreams: 4, Pace: -1}))
	t.Cleanup(func() { _ = b.Close() })
	open := func(sub string, selectors ...broker.Selector) *broker.Stream {
		t.Helper()
		return must(b.Subscribe(t.Context(), broker.Subscription{Channels: selectors, Owner: broker.Owner{Subject: sub}}))
	}
	topic := func(channel string, topics ...string) broker.Selector {
		return broker.Selector{Channel: schemas.Pattern(channel), Topics: schemas.NewTopicSet(topics)}
	}
	hears := func(what string, want ...string) {
		t.Helper()
		if got := c.takes(); !slices.Equal(got, want) {
			t.Errorf("%s: heard %q, want %q", what, got, want)
		}
	}

	ann := open("ann", topic("a", "t"), topic("a", "u"), topic("b"), topic("b:*"))
	watching := open("w", topic("a", "$presence"))
	hears("before a round")
	c.begin(1)
	b.ReportStreams()
	b.ReportStreams()
	hears("at the beginning of a round", "1 +ann a", "1 +ann b")
	bob := open("bob", topic("a", "$presence", "t"), topic("*"))
	hears("in a round", "1 +bob a")
	bob.Close()
	bob.Close()
	watching.Close()
	hears("a stream that ends", "1 -bob a")
	c.begin(0)
	zoe := open("zoe", topic("a"))
	hears("after the round")
	c.begin(2)
	b.ReportStreams()
	hears("in the next round", "2 +ann a", "2 +ann b", "2 +zoe a")
	ann.Close()
	zoe.Close()
	b.ReportStreams()
	hears("after the end", "2 -ann a", "2 -ann b", "2 -zoe a")
}

// TestBroker_audienceSince begins a round when a stream has been open for a while: it has read
// since then.
func TestBroker_audienceSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(crowd)
		b := must(broker.New(broker.Options{Audience: c, Pace: -1}))
		defer func() { _ = b.Close() }()
		began := time.Now()
		for _, name := range []schemas.Pattern{"a", "b"} {
			defer must(b.Subscribe(t.Context(), broker.Subscription{Channels: []broker.Selector{{Channel: name}}})).Close()
			time.Sleep(time.Hour)
		}
		c.begin(1)
		b.ReportStreams()
		slices.SortFunc(c.since, time.Time.Compare)
		if want := []time.Time{began, began.Add(time.Hour)}; !slices.EqualFunc(c.since, want, time.Time.Equal) {
			t.Errorf("the streams came at %v, want %v", c.since, want)
		}
	})
}

// TestBroker_audienceFollows gives up what a stream follows when it ends, or never begins.
func TestBroker_audienceFollows(t *testing.T) {
	c := new(crowd)
	b := must(broker.New(broker.Options{Audience: c, MaxStreams: 1, Pace: -1}))
	t.Cleanup(func() { _ = b.Close() })
	sub := broker.Subscription{Channels: []broker.Selector{{Channel: "a"}}, Presence: []schemas.Channel{"a"}}
	s := must(b.Subscribe(t.Context(), sub))
	if _, err := b.Subscribe(t.Context(), sub); !errors.Is(err, broker.ErrTooManyStreams) {
		t.Errorf("a second stream: %v", err)
	}
	s.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.follows) > 0 {
		t.Errorf("%q are still followed", c.follows)
	}
}

// TestBroker_audienceBounded sends much that there is to tell in batches of a bounded size: the
// rest of a batch is kept for each client that does not take it.
func TestBroker_audienceBounded(t *testing.T) {
	const events, size = 100, 8 << 10
	c := &crowd{says: slices.Repeat([][]byte{[]byte(`"` + strings.Repeat("x", size) + `"`)}, events)}
	b := must(broker.New(broker.Options{Audience: c, Pace: -1}))
	t.Cleanup(func() { _ = b.Close() })
	s := must(b.Subscribe(t.Context(), broker.Subscription{Channels: []broker.Selector{{Channel: "a"}}, Presence: []schemas.Channel{"a"}}))
	t.Cleanup(s.Close)
	told := 0
	for batch := new(broker.Batch); told < events; {
		if err := s.Next(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		bytes := 0
		for _, event := range batch.Events {
			bytes += len(event)
			if len(event) > size {
				told++
			}
		}
		if bytes > 300<<10 {
			t.Errorf("a batch has %d bytes", bytes)
		}
	}
}
