//go:build unix

package nats_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/schemas"
)

func TestEngine_Load_count(t *testing.T) {
	opts := shared(t)
	opts.Retain.Messages = 5
	opts.LimitsOf = func(name schemas.Channel) engine.Limits {
		if name == "narrow" {
			return engine.Limits{Messages: 2}
		}
		return engine.Limits{Bytes: 3}
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
				if kept.Lost.Newest >= ids[0] {
					t.Errorf("lost up to %d, but the first is %d", kept.Lost.Newest, ids[0])
				}
				return
			}
			if first := kept.Messages[0].ID.Seq; kept.Lost.Newest < ids[c.lostUpTo] || kept.Lost.Newest >= first {
				t.Errorf("lost up to %d, want %d or more, below %d", kept.Lost.Newest, ids[c.lostUpTo], first)
			}
		})
	}
}

func TestEngine_Load_age(t *testing.T) {
	t.Parallel() // it waits
	opts := shared(t)
	var since atomic.Pointer[time.Time] // what came before is too old, however slow the machine is
	opts.LimitsOf = func(name schemas.Channel) (limits engine.Limits) {
		if moment := since.Load(); name == "short" && moment != nil {
			limits.Age = time.Since(*moment)
		}
		return limits
	}
	n := start(t, opts)
	old := n.put(t, entry("short", "1")).ID.Seq
	n.put(t, entry("long", "1"))
	<-time.After(time.Second)
	now := time.Now()
	since.Store(&now)
	<-time.After(time.Second)
	kept := n.load(t, "short")
	if len(kept.Messages) != 0 || kept.Lost.Newest < old {
		t.Errorf("kept %v, lost up to %d, want none and %d", texts(kept.Messages), kept.Lost.Newest, old)
	}
	young := n.put(t, entry("short", "2")).ID.Seq
	if kept := n.load(t, "short"); !slices.Equal(texts(kept.Messages), []string{"2"}) || kept.Lost.Newest < old || kept.Lost.Newest >= young {
		t.Errorf("kept %v, lost up to %d", texts(kept.Messages), kept.Lost.Newest)
	}
	if kept := n.load(t, "long"); len(kept.Messages) != 1 || kept.Lost.Newest != 0 {
		t.Errorf("kept %v, lost up to %d, want one and none", texts(kept.Messages), kept.Lost.Newest)
	}
}

func TestEngine_Append_keyIsForgotten(t *testing.T) {
	t.Parallel() // it waits
	opts := shared(t)
	opts.RememberFor = 5 * time.Second
	n := start(t, opts)
	begun := time.Now()
	first := n.put(t, keyed("c", "1", "k"))
	again := n.put(t, keyed("c", "2", "k"))
	if took := time.Since(begun); took < opts.RememberFor && (again.ID != first.ID || !again.Duplicate) {
		t.Errorf("remembered %+v after %s, want %+v", again, took, first)
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
	b.until(t, "word of it", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.dropped, []schemas.Channel{"c:d"})
	})
	for _, n := range list {
		if kept := n.load(t, "c:d"); len(kept.Messages) != 0 || kept.Lost.Newest <= last {
			t.Errorf("kept %v, lost up to %d", texts(kept.Messages), kept.Lost.Newest)
		}
		if found, err := n.Matching(t.Context(), "c:*", last, 10); err != nil || !slices.Equal(found.Channels, []schemas.Channel{"c:other"}) || found.Lost <= last {
			t.Errorf("found %+v, %v", found, err)
		}
	}
	next := a.put(t, entry("c:d", "3")).ID.Seq
	b.delivered(t, "c:d", "1", "2", "3")
	if kept := b.load(t, "c:d"); !slices.Equal(texts(kept.Messages), []string{"3"}) || kept.Lost.Newest >= next {
		t.Errorf("kept %v, lost up to %d", texts(kept.Messages), kept.Lost.Newest)
	}
	if found, err := b.Delete(t.Context(), "never"); found || err != nil {
		t.Errorf("found %t, %v", found, err)
	}
	late := start(t, sameAs(a))
	if kept := late.load(t, "c:d"); kept.Lost.Newest <= last {
		t.Errorf("a node that starts later: lost up to %d", kept.Lost.Newest)
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
	if names, err := enginetest.Names(n.List(t.Context(), "many:1", "", 4096)); err != nil || len(names) != 500 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

// Each channel of a page is described as it is by itself, and walking through all pages
// asks the server for the names once.
func TestEngine_List(t *testing.T) {
	opts := shared(t)
	b := newBroker(t, open(t, opts))
	const channels = 60
	for i := range channels {
		name := fmt.Sprintf("list:%02d", i)
		for range 1 + i%4 {
			if _, err := b.Publish(t.Context(), broker.Publication{Channel: channel(name), Topic: "t", Data: []byte("1")}); err != nil {
				t.Fatal(err)
			}
		}
		if i%3 == 0 {
			if _, err := b.SetRun(t.Context(), broker.RunPublication{Channel: channel(name), Change: schemas.RunChange{Status: schemas.RunRunning, RunID: "r"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Delete(t.Context(), "list:30"); err != nil {
		t.Fatal(err)
	}
	asked := countListings(t, opts)
	var after schemas.Channel
	listed := 0
	for more := true; more; more = after != "" {
		var page []broker.ChannelInfo
		var err error
		if page, after, err = b.Channels(t.Context(), "list:", after, 10); err != nil {
			t.Fatal(err)
		}
		for _, got := range page {
			want, err := b.Channel(t.Context(), got.Channel)
			if want.Bytes = got.Bytes; err != nil || !reflect.DeepEqual(got, want) || got.Bytes <= 0 {
				t.Errorf("listed %+v, want %+v, %v", got, want, err)
			}
		}
		listed += len(page)
	}
	if listed != channels-1 {
		t.Errorf("%d channels on all pages", listed)
	}
	if n := asked(); n != 2 { // one for messages, one for runs
		t.Errorf("%d listings for six pages", n)
	}
}

// countListings returns how often the server was asked for names since.
func countListings(t *testing.T, opts nats.Options) (asked func() int) {
	t.Helper()
	conn, err := natsio.Connect(opts.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	sub, err := conn.SubscribeSync("$JS.API.STREAM.INFO.>")
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() (n int) {
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := sub.NextMsg(time.Millisecond)
			if err != nil {
				return n
			}
			if strings.Contains(string(m.Data), "subjects_filter") {
				n++
			}
		}
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
	if kept := n.load(t, "first"); len(kept.Messages) != 0 || kept.Lost.Newest < first {
		t.Errorf("kept %v, lost up to %d, want none and %d or more", texts(kept.Messages), kept.Lost.Newest, first)
	}
	if found, err := n.Matching(t.Context(), "first:*", 0, 1); err != nil || found.Lost < first {
		t.Errorf("found %+v, %v", found, err)
	}
}

// Where more is kept than before, nobody knows what was lost before.
func TestOpen_keepsMoreThanBefore(t *testing.T) {
	opts := shared(t)
	n := start(t, opts)
	var lost uint64
	for i := range 258 {
		r := n.put(t, entry("c", fmt.Sprint(i)))
		if i == 1 {
			lost = r.ID.Seq
		}
	}
	opts.Retain.Messages = 300
	if kept := start(t, opts).load(t, "c"); len(kept.Messages) != 256 || kept.Lost.Newest < lost || kept.Lost.Newest >= kept.Messages[0].ID.Seq {
		t.Errorf("kept %v, lost up to %d, want %d or more", texts(kept.Messages), kept.Lost.Newest, lost)
	}
}
