package broker

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
)

// TestNotifier_notifyNewReader: a reader that arrives in the middle of a round, after the
// channel's readers were notified and before the watermark is raised, does not have to wait for
// the next message or heartbeat.
func TestNotifier_notifyNewReader(t *testing.T) {
	for _, last := range []string{"", "k-1"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, Options{Pace: time.Second, Epoch: 20})
			b.say(t, "a")
			synctest.Wait() // a round, and then a second of rest
			b.say(t, "a")
			h := b.shards[0].notifier
			h.dirty = nil
			c := b.shards[0].registry.get("a")
			c.dirty = false
			h.tell(c, 2)

			replay := ring.ReplayAll()
			s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}, {Channel: "b"}}, LastEventID: last, Replay: replay})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var batch Batch
			began := time.Now()
			for found := false; !found; found = bytes.HasPrefix(batch.Events[len(batch.Events)-1], []byte("id: k-2\n")) {
				if err := s.Next(t.Context(), &batch); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("after %q: the message came after %v", last, took)
			}
		})
	}
}

// TestNotifier_pace: readers are notified at once after a silence, then at the pace.
func TestNotifier_pace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{Pace: time.Second})
		s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "*"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var batch Batch
		_ = s.Next(t.Context(), &batch) // $open
		for _, tt := range []struct{ silence, wait time.Duration }{
			{0, 0}, {0, time.Second}, {300 * time.Millisecond, 700 * time.Millisecond}, {5 * time.Second, 0},
		} {
			time.Sleep(tt.silence) // of the bubble
			began := time.Now()
			b.say(t, "a")
			if err := s.Next(t.Context(), &batch); err != nil || batch.Messages != 1 {
				t.Fatalf("%v, %d messages", err, batch.Messages)
			}
			if took := time.Since(began); took != tt.wait {
				t.Errorf("after a silence of %v: told after %v, want %v", tt.silence, took, tt.wait)
			}
		}
	})
}

// TestNotifier_round_waitsForOlder: in a stream that merges channels, a message waits for an
// older one that is not complete yet, and is sent once that is.
func TestNotifier_round_waitsForOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{Pace: -1, Epoch: 20})
		merged, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "*"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer merged.Close()
		var batch Batch
		_ = merged.Next(t.Context(), &batch) // $open
		late := b.shards[0].seq.Take()
		b.say(t, "a")
		synctest.Wait()
		if merged.collect(&batch, maxBatchBytes); batch.Messages != 0 {
			t.Fatalf("it was sent %s before an older one", batch.Events)
		}
		told := make(chan error)
		began := time.Now()
		go func() { told <- merged.Next(t.Context(), &batch) }()
		synctest.Wait() // it waits
		b.shards[0].seq.Complete(late)
		b.shards[0].notifier.signal()
		if err := <-told; err != nil || batch.Messages != 1 || time.Since(began) > 0 {
			t.Errorf("%v, %d messages after %v", err, batch.Messages, time.Since(began))
		}
	})
}

// TestNotifier_tell_joined: frames are still held for a reader that arrives while the floor is being
// measured.
func TestNotifier_tell_joined(t *testing.T) {
	b := newBroker(t, Options{Pace: time.Hour})
	c, _ := b.shards[0].registry.create("a", 0, nil)
	c.dirty = true      // until the measuring begins
	c.readers.mu.Lock() // it cannot end
	done := make(chan struct{})
	go func() {
		b.shards[0].notifier.tell(c, 0)
		close(done)
	}()
	for begun := false; !begun; runtime.Gosched() {
		c.mu.Lock()
		if begun = !c.dirty; begun {
			c.log.Hold()
		}
		c.mu.Unlock()
	}
	c.readers.mu.Unlock()
	<-done
	if c.log.Floor != 0 {
		t.Errorf("the floor is %d", c.log.Floor)
	}
}

// TestNotifier_floor: frames over the limits are held for every kind of reader that is
// a moment behind, from the channel's first message on.
func TestNotifier_floor(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []Selector // opened before the channel is made
		after  []Selector
		want   int
	}{
		{"ring.NoReader", nil, nil, 2},
		{"a reader that waited", []Selector{{Channel: "a:1"}}, nil, 20},
		{"a pattern that waited", []Selector{{Channel: "a:*"}}, nil, 20},
		{"a reader that came", nil, []Selector{{Channel: "a:1"}}, 19},
		{"a pattern that came", nil, []Selector{{Channel: "a:*"}}, 19},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, Options{Pace: time.Hour, Replay: engine.Limits{Messages: 2}})
				for _, sel := range tt.before {
					b.read(t, sel.Channel)
				}
				b.say(t, "a:1")
				synctest.Wait() // the one round of this hour
				for _, sel := range tt.after {
					b.read(t, sel.Channel)
				}
				for range 19 {
					b.say(t, "a:1")
				}
				c := b.shards[0].registry.get("a:1")
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.log.Len() < tt.want || tt.want == 2 && c.log.Len() > 2 {
					t.Errorf("%d messages are held, want %d", c.log.Len(), tt.want)
				}
			})
		})
	}
}

// TestNotifier_gone: if a channel is removed before its readers were notified of its last
// message, they are told that it is lost before their position passes it.
func TestNotifier_gone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{Pace: time.Second, Epoch: 20})
		s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}, {Channel: "b"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var batch Batch
		_ = s.Next(t.Context(), &batch) // $open
		b.say(t, "b")
		_ = s.Next(t.Context(), &batch)
		synctest.Wait() // the notifier rests for a second now
		b.say(t, "a")
		if _, removed := b.shards[0].registry.remove(b.shards[0].registry.get("a"), ring.Expired, nil, nil); !removed {
			t.Fatal("not removed")
		}
		b.say(t, "b")
		if err := s.Next(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Join(batch.Events, nil); !bytes.Contains(got, []byte("event: $gap")) {
			t.Errorf("it was sent %s", got)
		}
	})
}

// waker is a carrier that stands for a goroutine of its own.
type waker struct{ woken func() }

func (w waker) wake(*Stream) bool {
	w.woken()
	return true
}

// TestNotifier_wakeAll: while very many readers are woken, a publisher whose request
// comes has its turn.
func TestNotifier_wakeAll(t *testing.T) {
	b := newBroker(t, Options{})
	n := newNotifier(b.shards[0])
	defer func() { n.yielder.Close() }()
	if n.yield(); n.yielder == nil {
		t.Skip("publishers wait for something else on this system")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	request, client, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer request.Close()
	published := make(chan struct{})
	go func() { // ends with the request
		_, _ = request.Read(make([]byte, 1))
		close(published)
	}()
	runtime.Gosched() // until it waits
	woken, after := 0, 0
	w := waker{func() {
		if woken++; woken == 1 {
			_ = client.Close()
		}
		select {
		case <-published:
		default:
			after = woken
		}
	}}
	const readers = 100 * wakeBatch
	for range readers {
		n.woken = append(n.woken, &cursor{stream: &Stream{carrier: w}, wakeQueued: true})
	}
	n.wakeAll()
	if woken != readers || after == readers {
		t.Errorf("%d readers were woken, %d of them before the publisher had its turn", woken, after)
	}
}
