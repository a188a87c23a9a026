package broker_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	follow "github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/schemas"
)

// reports is a [follow.Observer] that follows every message with a traceparent.
type reports chan follow.Report

// Follows implements [follow.Observer].
func (reports) Follows(string) bool { return true }

// Delivered implements [follow.Observer].
func (r reports) Delivered(report follow.Report) { r <- report }

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// traced publishes a message that is followed, and returns its position.
func traced(t *testing.T, b *broker.Broker, topic, data string) uint64 {
	t.Helper()
	return put(t, b, broker.Publication{Channel: "a", Topic: schemas.Topic(topic), Data: []byte(data), Traceparent: traceparent}).ID.Seq
}

// checkReport compares what has become of a message, which was published just now.
func checkReport(t *testing.T, r follow.Report, position uint64, readers, behind int) {
	t.Helper()
	if r.Position != position || r.Readers != readers || r.Behind != behind || r.Channel != "a" || r.Traceparent != traceparent {
		t.Errorf("got %+v; want position %d, %d readers, %d behind", r, position, readers, behind)
	}
	if r.First.Before(r.Entered) || r.Last.Before(r.First) || time.Since(r.Entered) > patient {
		t.Errorf("it came in at %v, and was written first at %v and last at %v", r.Entered, r.First, r.Last)
	}
}

// TestBroker_Deliveries follows messages to readers of every kind. It waits neither for a
// reader that was behind before nor for one that does not want the message.
func TestBroker_Deliveries(t *testing.T) {
	onBothLines(t, func(t *testing.T, l line) {
		seen := make(reports, 16)
		b := start(t, broker.Options{
			Replay: engine.Limits{Messages: 1000, Bytes: 8 << 20}, WriteTimeout: time.Hour, PublishTimeout: patient, MaxEventBytes: 1 << 20, Deliveries: follow.New(seen),
		})
		slow, _, _ := take(t, b, asking("a"), l, true)
		well, _, _ := take(t, b, asking("a"), l, false)
		for _, w := range []*wire{slow, well} {
			w.until(t, "$open")
		}
		for b.Stats().Lagging == 0 {
			burst(t, b, well, 50)
		}
		for _, sub := range []broker.Subscription{asking("a"), asking("a/other"), asking("*"), asking("a", "b")} {
			w, _, _ := take(t, b, sub, l, false)
			w.until(t, "$open")
			publish(t, b, "a", "other", `0`)
			w.until(t, "event: other") // it has what was there when it came
		}
		pulls(t, b)
		position := traced(t, b, "status", `1`)
		checkReport(t, await(t, "the first message", seen), position, 5, 0)
		position = traced(t, b, "other", `2`)
		checkReport(t, await(t, "the second message", seen), position, 6, 0)
		publish(t, b, "a", "status", `3`)

		position = traced(t, b, "status", `"`+strings.Repeat("x", 700_000)+`"`) // more than sockets take that nobody reads
		checkReport(t, await(t, "the long message", seen), position, 1, 4)
		if len(seen) > 0 {
			t.Errorf("one report too many: %+v", <-seen)
		}
	})
}

// publisher is a [follow.Observer] that publishes when it is told of the first message: in the
// middle of what tells it.
type publisher struct {
	publish func()
	once    sync.Once
}

// Follows implements [follow.Observer].
func (*publisher) Follows(string) bool { return true }

// Delivered implements [follow.Observer].
func (p *publisher) Delivered(follow.Report) { p.once.Do(p.publish) }

// TestBroker_Deliveries_leaving follows no message for ever to a reader that is leaving when it
// comes: only so many can be followed at the same time.
func TestBroker_Deliveries_leaving(t *testing.T) {
	for _, sub := range []broker.Subscription{asking("a"), asking("*")} {
		told := new(publisher)
		deliveries := follow.New(told)
		b := start(t, broker.Options{Loops: -1, Deliveries: deliveries})
		told.publish = func() { traced(t, b, "status", `2`) }
		r := subscribe(t, b, sub)
		for len(r.lives) == 0 {
			r.during(time.Millisecond)
		}
		traced(t, b, "status", `1`)
		r.Close()
		free := 0
		for deliveries.Follow(traceparent) != nil {
			free++
		}
		if free != 4096 {
			t.Errorf("%s: %d messages can still be followed, want 4096", sub.Channels[0].Channel, free)
		}
	}
}

// pulls opens a stream that a goroutine reads until the test ends, and waits until it has
// what was there.
func pulls(t *testing.T, b *broker.Broker) {
	t.Helper()
	r := subscribe(t, b, asking("a"))
	ctx, cancel := context.WithCancel(t.Context())
	live, over := make(chan struct{}), make(chan struct{})
	go func() { // ends with cancel
		defer close(over)
		for open := live; r.Next(ctx, &r.batch) == nil; {
			r.Delivered(&r.batch, 1)
			for _, event := range r.batch.Events {
				if open != nil && strings.Contains(string(event), "$live") {
					close(open)
					open = nil
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	await(t, "$live", live)
}

// A message that nobody reads is not reported, and readers that leave do not hold up the
// report.
func TestBroker_Deliveries_leave(t *testing.T) {
	seen := make(reports, 16)
	b := start(t, broker.Options{WriteTimeout: time.Hour, Deliveries: follow.New(seen)})
	traced(t, b, "status", `1`)
	r := subscribe(t, b, asking("a"))
	for len(r.lives) == 0 {
		r.during(time.Millisecond)
	}
	position := traced(t, b, "status", `2`)
	r.Close()
	report := await(t, "the message", seen)
	if report.Position != position || report.Readers != 0 || report.Behind != 1 {
		t.Errorf("got %+v; want position %d, and one reader that has left", report, position)
	}
	if len(seen) > 0 {
		t.Errorf("one report too many: %+v", <-seen)
	}
}

// TestSubscribe_arrived: whoever asks is told once, when what was there has been handed out,
// or that the stream was closed before.
func TestSubscribe_arrived(t *testing.T) {
	b := start(t, broker.Options{})
	for range 3 {
		publish(t, b, "a", "status", `1`)
	}
	type told struct {
		messages int64
		complete bool
	}
	for _, tt := range []struct {
		name string
		sub  broker.Subscription
		read bool
		want told
	}{
		{"replay", replaying(asking("a"), "all"), true, told{3, true}},
		{"two channels", replaying(asking("a", "b"), "all"), true, told{3, true}},
		{"pattern", resuming(asking("*"), 1), true, told{2, true}},
		{"no replay", asking("a"), true, told{0, true}},
		{"left", replaying(asking("a"), "all"), false, told{0, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			heard := make(chan told, 2)
			tt.sub.Arrived = func(messages int64, complete bool) { heard <- told{messages, complete} }
			r := subscribe(t, b, tt.sub)
			for tt.read && len(r.lives) == 0 {
				r.during(time.Millisecond)
			}
			r.Close()
			if got := await(t, "the call", heard); got != tt.want || len(heard) > 0 {
				t.Errorf("got %+v and %d more, want %+v", got, len(heard), tt.want)
			}
		})
	}
}
