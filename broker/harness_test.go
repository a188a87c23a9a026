package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

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
func setRun(t testing.TB, b *broker.Broker, channel string, change broker.RunChange) uint64 {
	t.Helper()
	r, err := b.SetRun(t.Context(), schemas.Channel(channel), change, broker.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID.Seq
}

// asking returns a subscription to what is written as "channel" or as
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
	sub.Replay = must(broker.ParseReplay(replay))
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
	ended bool // with io.EOF
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

// during returns the events of the time d from now. In a synctest bubble that
// takes no time, and everything that can happen has happened afterwards.
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
		events = append(events, got...)
	}
}

// now returns the events that are there already.
func (r *reader) now() []event {
	r.t.Helper()
	return r.during(10 * time.Millisecond) // longer than the pace
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
