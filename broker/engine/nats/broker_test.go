//go:build unix

package nats_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// brokers returns brokers of one service, each with an engine of its own.
func brokers(t testing.TB, n int, opts nats.Options) []*broker.Broker {
	t.Helper()
	list := make([]*broker.Broker, n)
	for i := range list {
		list[i] = newBroker(t, open(t, opts))
	}
	return list
}

func newBroker(t testing.TB, e *nats.Engine) *broker.Broker {
	t.Helper()
	b, err := broker.New(broker.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func channel(name string) schemas.Channel { return schemas.Channel(name) }

// reader is a stream in NDJSON.
type reader struct {
	*broker.Stream
	t     testing.TB
	batch broker.Batch
	ready []event // read, and not handed out
	last  string  // the id of the last message that was
}

// event is a message, or the name of a control event.
type event struct{ text, id string }

func read(t testing.TB, b *broker.Broker, after string, patterns ...schemas.Pattern) *reader {
	t.Helper()
	sub := broker.Subscription{LastEventID: after, Format: ring.NDJSON}
	for _, p := range patterns {
		sub.Channels = append(sub.Channels, broker.Selector{Channel: p})
	}
	s, err := b.Subscribe(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &reader{Stream: s, t: t}
}

// next returns the next n texts: the data of messages, and names of control events. It
// returns fewer if the stream ends.
func (r *reader) next(n int) []string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var err error
	for len(r.ready) < n && err == nil {
		if err = r.Next(ctx, &r.batch); err != nil && !errors.Is(err, io.EOF) {
			r.t.Fatalf("after %v: %v", r.ready, err)
		}
		for line := range bytes.Lines(bytes.Join(r.batch.Events, nil)) {
			r.parse(line)
		}
	}
	var got []string
	for _, e := range r.ready[:min(n, len(r.ready))] {
		got = append(got, e.text)
		r.last = e.id
	}
	r.ready = r.ready[len(got):]
	return got
}

func (r *reader) parse(line []byte) {
	r.t.Helper()
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	var m struct {
		schemas.Message
		Event string
	}
	if err := json.Unmarshal(line, &m); err != nil {
		r.t.Fatalf("%s: %v", line, err)
	}
	switch m.Event {
	case "":
		r.ready = append(r.ready, event{string(m.Data), m.ID.String()})
	case "$gap", "$close":
		r.ready = append(r.ready, event{text: m.Event})
	}
}

func publish(t testing.TB, b *broker.Broker, name string, data any) schemas.Receipt {
	t.Helper()
	r, err := b.Publish(t.Context(), broker.Publication{Channel: channel(name), Topic: "status", Data: []byte(fmt.Sprint(data))})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantTexts(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestBroker_publishHereReadThereResumeElsewhere(t *testing.T) {
	list := brokers(t, 3, shared(t))
	readers := make([]*reader, len(list))
	for i, b := range list {
		readers[i] = read(t, b, "", "a:1")
	}
	for i := range 20 {
		publish(t, list[i%3], "a:1", i)
	}
	middle := ""
	for i, r := range readers {
		wantTexts(t, fmt.Sprint("node ", i), r.next(10), numbers(0, 9))
		middle = r.last
		wantTexts(t, fmt.Sprint("node ", i), r.next(10), numbers(10, 19))
	}
	for i, b := range list {
		wantTexts(t, fmt.Sprint("resumed on node ", i), read(t, b, middle, "a:1").next(10), numbers(10, 19))
		wantTexts(t, fmt.Sprint("resumed by pattern on node ", i), read(t, b, middle, "a:*").next(10), numbers(10, 19))
	}
}

// What is published between any two moments of a reader's coming and going is there.
func TestBroker_resume_whilePublishing(t *testing.T) {
	const messages = 200
	list := brokers(t, 2, shared(t))
	first := publish(t, list[0], "busy", 0)
	go func() {
		for i := 1; i <= messages; i++ {
			publish(t, list[i%2], "busy", i)
		}
	}()
	at, got := first.ID.String(), []string(nil)
	for i := 0; len(got) < messages; i++ {
		r := read(t, list[i%2], at, schemas.Pattern([]string{"busy", "*"}[i/2%2]))
		got = append(got, r.next(1)...)
		at = r.last
		r.Close()
	}
	wantTexts(t, "resumed again and again", got[:messages], numbers(1, messages))
}

func TestBroker_merged_inOrder(t *testing.T) {
	list := brokers(t, 2, shared(t))
	r := read(t, list[1], "", "m:a", "m:b", "m:*")
	for i := range 100 {
		publish(t, list[0], "m:"+string("abc"[i%3]), i)
	}
	wantTexts(t, "three channels in one stream", r.next(100), numbers(0, 99))
}

func TestBroker_Delete_endsStreamsElsewhere(t *testing.T) {
	list := brokers(t, 2, shared(t))
	publish(t, list[0], "d", 1)
	r := read(t, list[1], "", "d")
	if err := list[0].Delete(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, "a deleted channel", r.next(1), []string{"$close"})
	if err := list[1].Delete(t.Context(), "d"); !errors.Is(err, broker.ErrNoChannel) {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestBroker_newcomerHasTheRun(t *testing.T) {
	list := brokers(t, 2, shared(t))
	if _, err := list[0].SetRun(t.Context(), broker.RunPublication{Channel: "r", Change: schemas.RunChange{Status: schemas.RunCompleted, RunID: "7"}}); err != nil {
		t.Fatal(err)
	}
	got := read(t, list[1], "", "r").next(1)
	if len(got) != 1 || !strings.Contains(got[0], "completed") {
		t.Errorf("got %v", got)
	}
}
