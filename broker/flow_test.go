package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// slowRounds are options with which publishers wait for readers that are not notified:
// there is one round for the first message, and the next one comes an hour later.
func slowRounds() broker.Options {
	return broker.Options{
		Pace: time.Hour, Replay: engine.Limits{Messages: 2, Bytes: 1}, BacklogBytes: 2000, Heartbeat: time.Hour, PublishTimeout: 3 * time.Second,
	}
}

// fillBacklog publishes until a publish would have to wait for the reader of a, which
// is in Next.
func fillBacklog(t *testing.T, b *broker.Broker) {
	t.Helper()
	for published := 0; ; published++ {
		if published > 1000 {
			t.Fatal("no publish waits")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // of the bubble
		_, err := b.Publish(ctx, broker.Publication{Channel: "a", Topic: "b", Data: []byte(`"x"`)})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && published > 4 {
			return
		}
		if err != nil {
			t.Fatalf("after %d messages: %v", published, err)
		}
	}
}

// TestBroker_Publish_waits: a publish waits while readers cannot have their turn, until they had
// it or until its timeout. A publish that fails has published nothing.
func TestBroker_Publish_waits(t *testing.T) {
	tests := []struct {
		name  string
		begin func(p *patience)
		want  error
		after time.Duration // up to 10 ms more
	}{
		{"in vain", func(*patience) {}, broker.ErrBusy, 3 * time.Second},
		{"until its context ends", func(p *patience) { time.AfterFunc(time.Second, p.cancel) }, context.Canceled, time.Second},
		{"until its context is over", func(p *patience) { p.deadline = 2 * time.Second }, context.DeadlineExceeded, 2 * time.Second},
		{"until the broker closes", func(p *patience) { time.AfterFunc(time.Second, func() { _ = p.broker.Close() }) }, broker.ErrClosed, time.Second},
		{"until the reader leaves", func(p *patience) { time.AfterFunc(time.Second, p.leave) }, nil, time.Second},
		{"until the reader's socket is full", func(p *patience) { time.AfterFunc(time.Second, p.stall) }, nil, time.Second + 25*time.Millisecond},
		{"until the channel is deleted", func(p *patience) { time.AfterFunc(time.Second, func() { _ = p.broker.Delete(t.Context(), "a") }) }, nil, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPatience(t)
				before, published := p.broker.Head("c"), p.broker.Stats().Published
				waits := p.broker.Stats().Waits
				tt.begin(p)
				began := time.Now()
				receipt, err := p.publish(t)
				if took := time.Since(began); took < tt.after || took > tt.after+10*time.Millisecond {
					t.Errorf("it waited %v, want %v", took, tt.after)
				}
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if tt.want == nil {
					before.Seq++
					published++
				}
				if s := p.broker.Stats(); p.broker.Head("c") != before || s.Published != published || s.Waits != waits+1 {
					t.Errorf("the head is %v, want %v; %d messages, want %d; %d waits after %d", p.broker.Head("c"), before, s.Published, published, s.Waits, waits)
				}
				if err == nil && receipt.ID != before {
					t.Errorf("receipt %+v", receipt)
				}
			})
		})
	}
}

// patience is a publisher that has to wait for a reader.
type patience struct {
	broker   *broker.Broker
	ctx      context.Context
	cancel   context.CancelFunc // of the publish
	stall    context.CancelFunc // the reader returns from Next and does not come back
	leave    func()             // the reader closes its stream
	deadline time.Duration
}

func newPatience(t *testing.T) *patience {
	p := &patience{broker: start(t, slowRounds())}
	p.ctx, p.cancel = context.WithCancel(t.Context())
	t.Cleanup(p.cancel)
	r := subscribe(t, p.broker, asking("a"))
	reading, stall := context.WithCancel(t.Context())
	p.stall, p.leave = stall, r.Close
	var reader sync.WaitGroup
	reader.Go(func() {
		for r.Next(reading, &r.batch) == nil {
		}
	})
	t.Cleanup(func() { stall(); reader.Wait() })
	publish(t, p.broker, "a", "b", "1")
	synctest.Wait()
	fillBacklog(t, p.broker)
	return p
}

func (p *patience) publish(t *testing.T) (schemas.Receipt, error) {
	ctx := p.ctx
	if p.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.deadline)
		defer cancel()
	}
	return p.broker.Publish(ctx, broker.Publication{Channel: "a", Topic: "b", Data: []byte(`"x"`)})
}

// TestBroker_Publish_waits_otherChannel: while one publisher waits, publishers to other channels
// do not.
func TestBroker_Publish_waits_otherChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatience(t)
		began := time.Now()
		for range 100 {
			publish(t, p.broker, "other", "b", "1")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// TestBroker_Publish_waits_durable: a durable publish that fails because the backlog is
// full is not remembered. Run statuses wait as well.
func TestBroker_Publish_waits_durable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatience(t)
		durable := broker.Publication{Channel: "a", Topic: "b", Data: []byte("1"), Key: "k"}
		if _, err := p.broker.Publish(t.Context(), durable); !errors.Is(err, broker.ErrBusy) {
			t.Fatalf("got %v", err)
		}
		if _, err := p.broker.SetRun(t.Context(), broker.RunPublication{Channel: "a", Change: schemas.RunChange{Status: schemas.RunRunning}}); !errors.Is(err, broker.ErrBusy) {
			t.Errorf("run: got %v", err)
		}
		if _, known, _ := p.broker.Recall(t.Context(), "a", "b", "k"); known || must(p.broker.Channel(t.Context(), "a")).Run != nil {
			t.Error("it is remembered")
		}
		p.leave()
		if r, err := p.broker.Publish(t.Context(), durable); err != nil || r.Duplicate {
			t.Errorf("again: %+v, %v", r, err)
		}
	})
}

// TestBroker_Publish_waits_memory: the memory of all logs also bounds what is held for
// readers.
func TestBroker_Publish_waits_memory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := slowRounds()
		opts.BacklogBytes, opts.Memory = 1<<30, 64<<10
		b := start(t, opts)
		r := subscribe(t, b, asking("a"))
		var reader sync.WaitGroup
		reader.Go(func() {
			for r.Next(t.Context(), &r.batch) == nil {
			}
		})
		publish(t, b, "a", "b", "1")
		synctest.Wait()
		t.Cleanup(func() { _ = b.Close(); reader.Wait() })
		fillBacklog(t, b)
	})
}

// TestStream_Next_noGap: a thousand readers that read all the time miss nothing,
// however short the ring is and however fast four publishers are. The publishers are
// held back instead.
func TestStream_Next_noGap(t *testing.T) {
	stuck := time.AfterFunc(20*time.Minute, func() { panic("publishers that wait wake each other without end") })
	defer stuck.Stop()
	synctest.Test(t, func(t *testing.T) { // the time stands still while anybody works: nobody is away from Next for long
		const readers = 1000
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 8, Bytes: 1000}, BacklogBytes: 4000})
		var reading sync.WaitGroup
		flood := newFlood(50)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // of the bubble; a heartbeat would come later
		defer cancel()
		for i := range readers {
			sub := flood.subscription(i)
			r := subscribe(t, b, sub)
			reading.Go(func() {
				p := &pulled{stream: r.Stream}
				if err := flood.check(ctx, p, sub); err != nil {
					t.Errorf("reader %d: %v", i, err)
				}
				p.close()
			})
		}
		flood.publish(t, b)
		reading.Wait()
		if s := b.Stats(); s.Waits == 0 || s.Streams != 0 {
			t.Errorf("nobody was held back, so this shows nothing: %+v", s)
		}
	})
}

// flood is what four publishers say on one channel.
type flood struct {
	perTopic int
	topics   []string
}

func newFlood(perTopic int) *flood {
	return &flood{perTopic, []string{"t0", "t1", "t2", "t3"}}
}

// subscription returns what the i-th reader asks for: there are eight kinds.
func (f *flood) subscription(i int) broker.Subscription {
	sub := asking([]string{"a", "a/t0", "a/t1,t2", "a/t3"}[i%4])
	sub.Format = ring.Format(i / 4 % 2)
	return sub
}

func (f *flood) publish(t *testing.T, b *broker.Broker) {
	var publishers sync.WaitGroup
	for _, topic := range f.topics {
		publishers.Go(func() {
			for n := range f.perTopic {
				p := broker.Publication{Channel: "a", Topic: schemas.Topic(topic), Data: fmt.Append(nil, n)}
				if _, err := b.Publish(t.Context(), p); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	publishers.Wait()
}

// check reads all that sub asks for and returns what is wrong with it. It looks at
// the bytes: a thousand readers that parse would be a test of the parser.
func (f *flood) check(ctx context.Context, from source, sub broker.Subscription) error {
	next := make(map[string]int) // by topic
	for _, topic := range f.topics {
		if sub.Channels[0].Topics.Has(schemas.Topic(topic)) {
			next[topic] = 0
		}
	}
	last, left := uint64(0), len(next)*f.perTopic
	for opened := false; left > 0; {
		events, err := from.next(ctx)
		if err != nil {
			return fmt.Errorf("%d are missing: %w", left, err)
		}
		for _, e := range events {
			if !opened {
				opened = bytes.Contains(e, []byte("$open"))
				continue
			}
			if len(e) <= len(":\n") {
				continue // a heartbeat
			}
			seq, _ := strconv.ParseUint(member(e, `"id":"k-`), 10, 64)
			topic := member(e, `"topic":"`)
			want, asked := next[topic]
			if seq <= last || !asked || member(e, `"data":`) != strconv.Itoa(want) {
				return fmt.Errorf("after %d, with %v next, came %q", last, next, e)
			}
			last = seq
			next[topic]++
			left--
		}
	}
	return nil
}

// member returns the part of e between begin and the next quote or comma.
func member(e []byte, begin string) string {
	_, rest, _ := strings.Cut(string(e), begin)
	if i := strings.IndexAny(rest, `",}`); i >= 0 {
		return rest[:i]
	}
	return rest
}
