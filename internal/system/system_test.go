package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/system"
	"github.com/sluicehq/sluice/schemas"
)

// node is a broker and its channel $system.
type node struct {
	t      *testing.T
	broker *broker.Broker
	system *system.System
}

func start(t *testing.T) *node {
	t.Helper()
	return startOn(t, nil, "one")
}

// startOn starts a node on a bus.
func startOn(t *testing.T, bus system.Bus, name string) *node {
	t.Helper()
	b, err := broker.New(broker.Options{Loops: -1})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t, b, system.New(system.Options{Broker: b, Node: system.Node{Name: name}, Bus: bus, Log: slog.New(slog.DiscardHandler)})}
	t.Cleanup(n.close)
	return n
}

func (n *node) close() {
	for range 2 {
		if err := errors.Join(n.system.Close(), n.broker.Close()); err != nil {
			n.t.Error(err)
		}
	}
}

func (n *node) publish(channel string, times int) {
	n.t.Helper()
	for range times {
		if _, err := n.broker.Publish(n.t.Context(), broker.Publication{Channel: schemas.Channel(channel), Topic: "t", Data: []byte("1")}); err != nil {
			n.t.Fatal(err)
		}
	}
}

// reader reads the channel.
type reader struct {
	t      *testing.T
	stream *broker.Stream
	batch  broker.Batch
}

func (n *node) read(replay string, topics ...string) *reader {
	n.t.Helper()
	from, err := ring.ParseReplay(replay)
	if err != nil {
		n.t.Fatal(err)
	}
	s, err := n.system.Subscribe(n.t.Context(), broker.Subscription{
		Channels: []broker.Selector{{Channel: schemas.Pattern(system.Channel), Topics: schemas.NewTopicSet(topics)}},
		Format:   ring.NDJSON, Replay: from,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return &reader{t: n.t, stream: s}
}

// next returns the next message.
func (r *reader) next() schemas.Message {
	r.t.Helper()
	for {
		if err := r.stream.Next(r.t.Context(), &r.batch); err != nil {
			r.t.Fatal(err)
		}
		for line := range bytes.Lines(bytes.Join(r.batch.Events, nil)) {
			var m schemas.Message
			if json.Unmarshal(line, &m) == nil && m.Topic != "" {
				return m // tests read slowly: each message comes alone
			}
		}
	}
}

func decode[T any](t *testing.T, m schemas.Message) (v T) {
	t.Helper()
	if err := json.Unmarshal(m.Data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSystem_overview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		n.publish("a", 3)
		r := n.read("none", "overview")
		first := r.next()
		n.publish("b", 2)
		second := r.next()
		if took := second.CreatedAt.Std().Sub(first.CreatedAt.Std()); took != time.Second {
			t.Errorf("%v between two samples", took)
		}
		for i, m := range []schemas.Message{first, second} {
			o := decode[system.Overview](t, m)
			if want := int64(3 + 2*i); o.Published != want || o.Channels != int64(1+i) || o.Streams != 0 || o.Node.Name != "one" || o.MemoryBytes == 0 || o.Gaps["overrun"] != 0 {
				t.Errorf("sample %d: %+v", i, o)
			}
		}
		if b := n.broker.Stats(); b.Channels != 2 || b.Streams != 0 || b.Published != 5 {
			t.Errorf("the channel is among the others: %+v", b)
		}
		r.stream.Close()
	})
}

// TestSystem_unread looks at what goes on while nobody reads: nothing.
func TestSystem_unread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		r := n.read("none", "overview")
		r.next()
		r.stream.Close()
		time.Sleep(time.Minute)
		n.publish("a", 1)
		if busy := n.broker.Busiest(10); len(busy) != 0 {
			t.Errorf("publishes are counted: %v", busy)
		}
		again := n.read("all", "overview")
		if m := again.next(); decode[system.Overview](t, m).Published != 1 {
			t.Errorf("the first sample of the second reader is %s", m.Data)
		}
		again.stream.Close()
	})
}

func TestSystem_replay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		first := n.read("none", "overview")
		for range 5 {
			first.next()
		}
		late := n.read("all", "overview")
		if old := time.Since(late.next().CreatedAt.Std()).Round(100 * time.Millisecond); old != 4*time.Second {
			t.Errorf("the oldest sample is %v old", old)
		}
		first.stream.Close()
		late.stream.Close()
	})
}

func TestSystem_channels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		r := n.read("none", "channels")
		synctest.Wait() // until publishes are counted
		for i := range 150 {
			n.publish(fmt.Sprintf("user:%03d", i), 1+i%3)
		}
		reading, err := n.broker.Subscribe(t.Context(), broker.Subscription{Channels: []broker.Selector{{Channel: "user:002"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer reading.Close()
		got := decode[system.Channels](t, r.next())
		if got.Seconds != 2 || len(got.Busiest) != 100 {
			t.Fatalf("%d channels in %v s", len(got.Busiest), got.Seconds)
		}
		for i, want := range []broker.Busy{{Channel: "user:002", Published: 3, Subscribers: 1}, {Channel: "user:005", Published: 3}} {
			if got.Busiest[i] != want {
				t.Errorf("number %d is %+v, want %+v", i, got.Busiest[i], want)
			}
		}
		if quiet := r.next(); string(quiet.Data) != `{"seconds":2,"busiest":[]}` {
			t.Errorf("of a quiet node: %s", quiet.Data)
		}
		r.stream.Close()
	})
}

func TestSystem_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		r := n.read("none")
		n.system.Disconnect(broker.Filter{}, broker.Disconnected())
		var err error
		for err == nil {
			err = r.stream.Next(t.Context(), &r.batch)
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("the stream ended with %v", err)
		}
		r.stream.Close()
		drained := n.read("none")
		go func() { // ends with the stream
			for drained.stream.Next(context.Background(), &drained.batch) == nil {
			}
			drained.stream.Close()
		}()
		if err := n.system.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := n.system.Subscribe(t.Context(), broker.Subscription{}); !errors.Is(err, broker.ErrDraining) {
			t.Errorf("after the drain: %v", err)
		}
	})
}
