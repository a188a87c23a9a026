package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestBroker_sharded_endings: what ends the reading of one shard ends the whole stream,
// once.
func TestBroker_sharded_endings(t *testing.T) {
	one, two := within("a", 1, 0), within("a", 2, 0)
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, b *broker.Broker, nodes []*node)
		code string
	}{
		{"deleted", func(t *testing.T, b *broker.Broker, _ []*node) {
			if err := b.Delete(t.Context(), schemas.Channel(two)); err != nil {
				t.Error(err)
			}
		}, "4410"},
		{"disconnected", func(t *testing.T, b *broker.Broker, _ []*node) {
			if n := b.Disconnect(broker.Filter{Subject: "eve"}, broker.Disconnected()); n != 1 {
				t.Errorf("%d were disconnected", n)
			}
		}, "4403"},
		{"by channel", func(t *testing.T, b *broker.Broker, _ []*node) {
			if n := b.Disconnect(broker.Filter{Channel: schemas.Channel(two)}, broker.Disconnected()); n != 1 {
				t.Errorf("%d were disconnected", n)
			}
		}, "4403"},
		{"severed", func(_ *testing.T, _ *broker.Broker, nodes []*node) { nodes[1].sink.Sever() }, "4005"},
		{"closed", func(_ *testing.T, b *broker.Broker, _ []*node) { _ = b.Close() }, "4002"},
		{"expired", func(*testing.T, *broker.Broker, []*node) { time.Sleep(time.Minute) }, "4001"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, nodes := newShards().on(t, broker.Options{Heartbeat: time.Hour})
				sub := asking(one, two)
				sub.Owner = broker.Owner{Subject: "eve", ExpiresAt: time.Now().Add(30 * time.Second)}
				r := subscribe(t, b, sub)
				r.now()
				publish(t, b, one, "x", "1")
				r.now()
				tt.end(t, b, nodes)
				wantTold(t, "ended", r.now(), "$close@v-1.0.0["+tt.code+"]")
				if _, ended := r.Ended(); !ended || !r.ended {
					t.Error("not over")
				}
				r.Close()
				if n := b.Stats().Streams; n != 0 {
					t.Errorf("%d streams are left", n)
				}
				time.Sleep(time.Minute)
				for _, n := range nodes {
					if follows := n.interests(); b.Ready() == nil && len(follows) != 0 {
						t.Errorf("still subscribed to %v", follows)
					}
				}
			})
		})
	}
}

// TestBroker_sharded_sever: streams that do not read the shard that is out of reach go
// on.
func TestBroker_sharded_sever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, nodes := newShards().on(t, broker.Options{})
		one, two, three := within("a", 1, 0), within("a", 2, 0), within("a", 3, 0)
		readers := []*reader{
			subscribe(t, b, asking(one)), subscribe(t, b, asking(one, two)), subscribe(t, b, asking("*")),
			subscribe(t, b, asking(three)), subscribe(t, b, asking(two, three)),
		}
		nodes[0].sink.Sever()
		for i, r := range readers {
			r.now()
			if r.ended != (i < 3) {
				t.Errorf("stream %d over: %t", i, r.ended)
			}
		}

		again := asking(one, two) // of which all is in memory
		nodes[0].fail(engine.ErrUnavailable)
		if _, err := b.Subscribe(t.Context(), again); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("while it is out of reach: %v", err)
		}
		subscribe(t, b, asking(two, three))
		nodes[0].fail(nil)
		subscribe(t, b, again)
	})
}

// TestBroker_sharded_limits: a stream over several shards counts as one.
func TestBroker_sharded_limits(t *testing.T) {
	b, _ := newShards().on(t, broker.Options{MaxStreams: 3, MaxStreamsPerSubject: 2})
	sub := asking("*", "a:*")
	sub.Owner.Subject = "eve"
	first := subscribe(t, b, sub)
	subscribe(t, b, sub)
	if _, err := b.Subscribe(t.Context(), sub); !errors.Is(err, broker.ErrTooManyStreams) {
		t.Errorf("a third one of a subject: %v", err)
	}
	subscribe(t, b, asking("b"))
	if _, err := b.Subscribe(t.Context(), asking("b")); !errors.Is(err, broker.ErrTooManyStreams) {
		t.Errorf("a fourth one: %v", err)
	}
	infos := b.Streams(broker.Filter{}, 10)
	if len(infos) != 3 || b.Stats().Streams != 3 || infos[0].ID != first.ID() || len(infos[0].Channels) != 2 {
		t.Errorf("listed: %+v", infos)
	}
	first.Close()
	first.Close()
	subscribe(t, b, sub)
}

// TestBroker_sharded_unavailable: a stream that cannot read one of its shards is not
// opened, and leaves nothing behind.
func TestBroker_sharded_unavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, nodes := newShards().on(t, broker.Options{})
		nodes[2].fail(engine.ErrUnavailable)
		if _, err := b.Subscribe(t.Context(), asking("*")); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("subscribe: %v", err)
		}
		if err := b.Ready(); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "shard 3") {
			t.Errorf("ready: %v", err)
		}
		if n := b.Stats().Streams; n != 0 {
			t.Errorf("%d streams", n)
		}
		subscribe(t, b, asking(within("a", 1, 0), within("a", 2, 0)))
		publish(t, b, within("a", 1, 0), "x", "1")
		time.Sleep(time.Minute)
		for i, n := range nodes {
			if slices.Contains(n.interests(), "*") {
				t.Errorf("shard %d is still subscribed to", i+1)
			}
		}
	})
}

// TestBroker_sharded_leaving: a stream that is about to end no longer counts as a
// reader of the channels that it waits for.
func TestBroker_sharded_leaving(t *testing.T) {
	b, _ := newShards().on(t, broker.Options{})
	one := within("a", 1, 0)
	subscribe(t, b, asking(one, within("a", 2, 0)))
	if info, err := b.Channel(t.Context(), schemas.Channel(one)); err != nil || info.Subscribers != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	b.Disconnect(broker.Filter{}, broker.Disconnected())
	if info, err := b.Channel(t.Context(), schemas.Channel(one)); !errors.Is(err, broker.ErrNoChannel) {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestBroker_sharded_drain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newShards().on(t, broker.Options{})
		for i := range 20 {
			r := subscribe(t, b, asking([]string{"*", within("a", 1+i%3, 0)}[i%2]))
			go func() {
				r.during(time.Hour)
				r.Close()
			}()
		}
		b.StopAccepting()
		if _, err := b.Publish(t.Context(), message("a")); !errors.Is(err, broker.ErrDraining) {
			t.Errorf("publish: %v", err)
		}
		if _, err := b.Subscribe(t.Context(), asking(within("a", 1, 0))); !errors.Is(err, broker.ErrDraining) {
			t.Errorf("subscribe: %v", err)
		}
		if err := b.Ready(); !errors.Is(err, broker.ErrDraining) {
			t.Errorf("ready: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Drain(ctx, 10*time.Second); err != nil {
			t.Error(err)
		}
		if n := b.Stats().Streams; n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// TestBroker_sharded_slow: a cursor that is outrun ends the whole stream, which resumes
// without loss. Publishers do not wait for it.
func TestBroker_sharded_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShards()
		b, _ := s.on(t, broker.Options{Memory: 600_000, Replay: engine.Limits{Messages: 1000}})
		one, two, filler := within("a", 1, 0), within("a", 2, 0), within("b", 1, 0)
		slow := subscribe(t, b, asking(one, two))
		wantTold(t, "open", slow.now(), "$open@v-0.0.0[false]")
		for i := range 100 {
			publish(t, b, one, "x", fmt.Sprint(i))
		}
		other := subscribe(t, b, asking(filler))
		other.now()
		time.Sleep(2 * time.Second)
		data := `"` + strings.Repeat("x", 2000) + `"`
		for range 200 { // the other one has been idle for longer
			publish(t, b, filler, "x", data)
		}
		publish(t, b, two, "x", "1")
		got := slow.now()
		last := got[len(got)-1]
		if last.name != "$close" || !strings.Contains(told(got[len(got)-1:]), "4003") {
			t.Fatalf("got %s", told(got))
		}
		again := subscribe(t, b, after(asking(one, two), last.id))
		if all := append(got[:len(got)-1], again.now()[1:]...); len(all) != 101 || strings.Contains(told(all), "$") {
			t.Errorf("%d events: %s", len(all), told(all))
		}
	})
}

// TestBroker_sharded_waits: publishers wait for a stream over several shards while it
// is in Next, like for any reader, but not while it is away.
func TestBroker_sharded_waits(t *testing.T) {
	for _, tt := range []struct {
		name string
		away bool
	}{{"in Next", false}, {"away", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := slowRounds()
				for range 3 { // they start one after the other
					opts.Shards = append(opts.Shards, &sleeper{newKeeper().node()})
				}
				b := start(t, opts)
				one := within("a", 1, 0)
				r := subscribe(t, b, asking(one, within("a", 2, 0)))
				r.now()
				if !tt.away {
					go func() {
						for r.Next(t.Context(), &r.batch) == nil {
							continue // until the test ends
						}
					}()
				} else {
					time.Sleep(time.Second)
				}
				var err error
				for i := 0; i < 200 && err == nil; i++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err = b.Publish(ctx, message(one))
					cancel()
				}
				if waited := errors.Is(err, context.DeadlineExceeded); waited == tt.away {
					t.Errorf("waited: %t, %v", waited, err)
				}
			})
		})
	}
}

// TestBroker_TakeOver_severalShards: no writer loop can serve a stream over several shards.
func TestBroker_TakeOver_severalShards(t *testing.T) {
	b, _ := newShards().on(t, broker.Options{})
	name := within("a", 2, 0)
	publish(t, b, name, "x", "1")
	if !b.HasLoops() {
		t.Skip("no writer loops here")
	}
	s, _, err := wired(b, after(asking(name), "k.2-0"), bare, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var got []event
	for len(got) < 2 {
		sent, err := s.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		events, _, err := read(ring.SSE, slices.Concat(sent...))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
	}
	wantTold(t, "of one shard", got, "$open@2-0[true] x@2-1[2-1]")
	if _, _, err := wired(b, asking("*"), bare, true, nil); err == nil {
		t.Error("a stream over several shards was taken over")
	}
}
