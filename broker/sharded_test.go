package broker_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/histogram"
	"github.com/sluicehq/sluice/schemas"
)

func TestNew_shards(t *testing.T) {
	engines := func(n int) (list []engine.Engine) {
		for range n {
			list = append(list, newKeeper().node())
		}
		return list
	}
	foreign := &stranger{newKeeper().node()}
	for _, tt := range []struct {
		name string
		opts broker.Options
		ok   bool
	}{
		{"two", broker.Options{Shards: engines(2)}, true},
		{"most", broker.Options{Shards: engines(schemas.MaxShards)}, true},
		{"too many", broker.Options{Shards: engines(schemas.MaxShards + 1)}, false},
		{"an engine besides", broker.Options{Shards: engines(2), Engine: newKeeper().node()}, false},
		{"of another log", broker.Options{Shards: append(engines(2), foreign)}, false},
	} {
		b, err := broker.New(tt.opts)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			_ = b.Close()
		}
	}

	alone := start(t, broker.Options{Shards: engines(1)})
	if r := put(t, alone, message("a")); r.ID.String() != "k-1" {
		t.Errorf("one shard is as an engine: got %s", r.ID)
	}
}

// TestBroker_sharded_oneChannel: everything that concerns one channel happens in its
// shard.
func TestBroker_sharded_oneChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShards()
		b, _ := s.on(t, broker.Options{})
		name := within("a", 2, 0)
		first := put(t, b, broker.Publication{Channel: schemas.Channel(name), Topic: "x", Data: []byte("1"), Key: "key"})
		again := put(t, b, broker.Publication{Channel: schemas.Channel(name), Topic: "x", Data: []byte("1"), Key: "key"})
		recalled, known, err := b.Recall(t.Context(), schemas.Channel(name), "x", "key")
		if first.ID.String() != "k.2-1" || again.ID != first.ID || !again.Duplicate || recalled != again || !known || err != nil {
			t.Errorf("got %+v, %+v, %+v, %t, %v", first, again, recalled, known, err)
		}
		publish(t, b, name, "x", "2")
		change := schemas.RunChange{Status: schemas.RunCompleted}
		setRun(t, b, name, change)
		if r, err := b.SetRun(t.Context(), broker.RunPublication{Channel: schemas.Channel(name), Change: change}); err != nil || r.ID.String() != "k.2-3" || !r.Duplicate {
			t.Errorf("the same status again: %+v, %v", r, err)
		}
		if head := b.Head(schemas.Channel(name)); head.String() != "k.2-3" {
			t.Errorf("the head is %s", head)
		}
		info, err := b.Channel(t.Context(), schemas.Channel(name))
		if err != nil || info.FirstID.String() != "k.2-1" || info.LastID.String() != "k.2-3" || info.Run.ID.String() != "k.2-3" {
			t.Errorf("described as %+v, %v", info, err)
		}
		for _, tt := range []struct {
			id    string
			want  int
			first string
			gap   bool
		}{
			{"k.2-1", 1, "k.2-2", false},
			{"k.v-0.1.0", 1, "k.2-2", false},
			{"k.1-1", 2, "k.2-1", true},
			{"k-1", 2, "k.2-1", true},
			{"k.v-1.1", 2, "k.2-1", true},
			{"k.2-9", 2, "k.2-1", true},
		} {
			page, err := b.History(t.Context(), schemas.Channel(name), broker.Query{After: tt.id, Limit: 10, Topics: schemas.NewTopicSet([]string{"x"})})
			if err != nil || len(page.Messages) != tt.want || page.Gap != tt.gap || !strings.Contains(string(page.Messages[0]), `"id":"`+tt.first+`"`) {
				t.Errorf("history after %s: %s, gap %t, %v", tt.id, page.Messages, page.Gap, err)
			}
		}
		page, err := b.History(t.Context(), schemas.Channel(name), broker.Query{Before: "k.v-9.2.9", Limit: 10})
		if err != nil || len(page.Messages) != 1 {
			t.Errorf("history before: %s, %v", page.Messages, err)
		}
	})
}

// TestBroker_sharded_streamOfOne: a stream whose channels are all in one shard behaves like one
// of an unsharded log.
func TestBroker_sharded_streamOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShards()
		b, _ := s.on(t, broker.Options{})
		one, other := within("a", 2, 0), within("a", 2, 1)
		publish(t, b, one, "x", "1")
		publish(t, b, other, "x", "2")
		publish(t, b, within("a", 1, 0), "x", "of another shard")
		for _, tt := range []struct {
			id, want string
		}{
			{"k.2-0", "$open@2-0[true] x@2-1[2-1] x@2-2[2-2]"},
			{"k.2-1", "$open@2-1[true] x@2-2[2-2]"},
			{"k.v-7.1.7", "$open@2-1[true] x@2-2[2-2]"},
			{"k.3-1", "$open@2-0[false] $gap@2-0[%s restarted>3-1<2-1] $gap@2-0[%s restarted>3-1<2-2] x@2-1[2-1] x@2-2[2-2]"},
			{"k.2-3", "$open@2-0[false] $gap@2-0[%s restarted>2-3<2-1] $gap@2-0[%s restarted>2-3<2-2] x@2-1[2-1] x@2-2[2-2]"},
			{"k-1", "$open@2-0[false] $gap@2-0[%s restarted>k-1<2-1] $gap@2-0[%s restarted>k-1<2-2] x@2-1[2-1] x@2-2[2-2]"},
			{"k.v-1.1", "$open@2-0[false] $gap@2-0[%s restarted>v-1.1<2-1] $gap@2-0[%s restarted>v-1.1<2-2] x@2-1[2-1] x@2-2[2-2]"},
		} {
			r := subscribe(t, b, after(asking(one, other), tt.id))
			want := tt.want
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, one, other)
			}
			wantTold(t, tt.id, r.now(), want)
			if r.Merges() || r.Info().Position.String() != "k.2-2" {
				t.Errorf("%s: over several shards: %t, at %s", tt.id, r.Merges(), r.Info().Position)
			}
			r.Close()
		}
		lines := asking(one)
		lines.Format = ring.NDJSON
		r := subscribe(t, b, after(lines, "k.2-0"))
		wantTold(t, "lines", r.now(), "$open@2-0[true] x@2-1[2-1]")
	})
}

// TestBroker_unsharded_shardedID: an id of a sharded log means nothing to another log.
func TestBroker_unsharded_shardedID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := on(t, newKeeper(), broker.Options{})
		publish(t, b, "a", "x", "1")
		for _, id := range []string{"k.1-1", "k.v-1.1"} {
			r := subscribe(t, b, after(asking("a"), id))
			wantTold(t, id, r.now(), "$open@k-0[false] $gap@k-0[a restarted>"+strings.TrimPrefix(id, "k.")+"<k-1] x@k-1[k-1]")
			r.Close()
		}
	})
}

func TestBroker_Stats_shards(t *testing.T) {
	var opts broker.Options
	for range 3 {
		opts.Shards = append(opts.Shards, &counted{newKeeper().node()})
	}
	stats := start(t, opts).Stats().Stats
	for v, i := reflect.ValueOf(stats), 0; i < v.NumField(); i++ {
		n := v.Field(i).Interface()
		if s, ok := n.(histogram.Snapshot); ok {
			n = int(s.Count())
		}
		if fmt.Sprint(n) != "3" {
			t.Errorf("%s is %v", v.Type().Field(i).Name, n)
		}
	}
}

func TestBroker_sharded_channels(t *testing.T) {
	b, _ := newShards().on(t, broker.Options{})
	var names []string
	for i := range 30 {
		name := fmt.Sprintf("a:%02d", i)
		names = append(names, name)
		if i%10 == 0 {
			subscribe(t, b, asking(name)) // it has readers alone
		} else {
			publish(t, b, name, "x", "1")
		}
	}
	publish(t, b, "b", "x", "1")
	var got []string
	for after := schemas.Channel(""); ; {
		infos, next, err := b.Channels(t.Context(), "a:", after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range infos {
			got = append(got, string(info.Channel))
		}
		if after = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("got %v", got)
	}
	if err := b.Delete(t.Context(), "a:01"); err != nil {
		t.Error(err)
	}
	if err := b.Delete(t.Context(), "a:01"); !errors.Is(err, broker.ErrNoChannel) {
		t.Errorf("deleted again: %v", err)
	}
	subscribe(t, b, asking("*"))
	publish(t, b, "a:02", "x", "2")
	publish(t, b, "a:03", "x", "2")
	publish(t, b, "a:04", "x", "2")
	if s := b.Stats(); s.Channels != 3 || s.Published != 31 || s.Streams != 4 || s.LogBytes == 0 {
		t.Errorf("stats %+v", s)
	}
}
