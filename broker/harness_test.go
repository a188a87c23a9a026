package broker_test

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
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// patient bounds what a test waits for that comes at once, on any machine.
const patient = 2 * time.Minute

// start returns a broker of epoch k that is closed when the test ends.
func start(t testing.TB, opts broker.Options) *broker.Broker {
	t.Helper()
	opts.Epoch = 20 // "k" in base 36
	b, err := broker.New(opts)
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

// publish publishes data, which is JSON, and returns its position.
func publish(t testing.TB, b *broker.Broker, channel, topic, data string) uint64 {
	t.Helper()
	return put(t, b, broker.Publication{Channel: schemas.Channel(channel), Topic: schemas.Topic(topic), Data: []byte(data)}).ID.Seq
}

func put(t testing.TB, b *broker.Broker, p broker.Publication) schemas.Receipt {
	t.Helper()
	r, err := b.Publish(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// setRun sets the run status and returns its position.
func setRun(t testing.TB, b *broker.Broker, channel string, change schemas.RunChange) uint64 {
	t.Helper()
	r, err := b.SetRun(t.Context(), broker.RunPublication{Channel: schemas.Channel(channel), Change: change})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID.Seq
}

// asking returns a subscription to channels that are written as "channel" or
// "channel/topic,topic".
func asking(list ...string) broker.Subscription {
	var sub broker.Subscription
	for _, text := range list {
		channel, topics, _ := strings.Cut(text, "/")
		sel := broker.Selector{Channel: schemas.Pattern(channel)}
		if topics != "" {
			sel.Topics = schemas.NewTopicSet(strings.Split(topics, ","))
		}
		sub.Channels = append(sub.Channels, sel)
	}
	return sub
}

// replaying returns sub with a replay.
func replaying(sub broker.Subscription, replay string) broker.Subscription {
	sub.Replay = must(ring.ParseReplay(replay))
	return sub
}

// resuming returns sub after the given position.
func resuming(sub broker.Subscription, seq uint64) broker.Subscription {
	sub.LastEventID = fmt.Sprint("k-", seq)
	return sub
}

// reader is a stream and what it has said.
type reader struct {
	*broker.Stream
	t     testing.TB
	batch broker.Batch
	beats int
	lives []string // the ids of $live, which the events below leave out: each stream has one
	ended bool     // with io.EOF
}

func subscribe(t testing.TB, b *broker.Broker, sub broker.Subscription) *reader {
	t.Helper()
	s, err := b.Subscribe(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &reader{Stream: s, t: t}
}

// during returns the events within the time d from now. In a synctest bubble this takes
// no time, and everything that can happen has happened afterwards.
func (r *reader) during(d time.Duration) []event {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	var events []event
	for {
		err := r.Next(ctx, &r.batch)
		if errors.Is(err, io.EOF) {
			r.ended = true
			return events
		}
		if err != nil {
			return events
		}
		got, beats, err := read(r.Format(), bytes.Join(r.batch.Events, nil))
		if err != nil {
			r.t.Fatal(err)
		}
		r.beats += beats
		for _, e := range got {
			if e.name == "$live" {
				r.lives = append(r.lives, e.id)
				continue
			}
			events = append(events, e)
		}
	}
}

// now returns the events that are there already.
func (r *reader) now() []event {
	r.t.Helper()
	return r.during(10 * time.Millisecond) // longer than the pace
}

// await returns once an event of the name has come.
func (r *reader) await(name string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for {
		if err := r.Next(ctx, &r.batch); err != nil {
			r.t.Fatalf("waiting for %s: %v", name, err)
		}
		got, _, err := read(r.Format(), bytes.Join(r.batch.Events, nil))
		if err != nil {
			r.t.Fatal(err)
		}
		if slices.ContainsFunc(got, func(e event) bool { return e.name == name }) {
			return
		}
	}
}

// brief writes events down in short: the name, the position that the event has
// and, where it differs, that of the message in it.
func brief(events []event) string {
	var words []string
	for _, e := range events {
		position := strings.TrimPrefix(e.id, "k-")
		word := e.name + "@" + position
		switch e.name {
		case "$gap":
			var g gapEvent
			_ = json.Unmarshal([]byte(e.data), &g)
			word += fmt.Sprintf("[%s %s>%s", g.Channel, g.Reason, strings.TrimPrefix(g.After, "k-"))
			if g.ResumesAt != nil {
				word += fmt.Sprintf("<%d", g.ResumesAt.Seq)
			}
			word += "]"
		case "$close":
			var c closeEvent
			_ = json.Unmarshal([]byte(e.data), &c)
			word += fmt.Sprintf("[%d]", c.Code)
		case "$open", "$position":
		default:
			var m schemas.Message
			_ = json.Unmarshal([]byte(e.data), &m)
			if m.ID.String() != e.id {
				word += fmt.Sprintf("[%d]", m.ID.Seq)
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func want(t testing.TB, what string, got []event, want string) {
	t.Helper()
	if got := brief(got); got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}
