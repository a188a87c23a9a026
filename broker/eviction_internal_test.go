package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

func newBroker(t *testing.T, opts Options) *Broker {
	t.Helper()
	b, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (b *Broker) say(t *testing.T, channel schemas.Channel) {
	t.Helper()
	if _, err := b.Publish(t.Context(), Publication{Channel: channel, Topic: "a", Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
}

func (b *Broker) finish(t *testing.T, channel schemas.Channel) {
	t.Helper()
	if _, err := b.SetRun(t.Context(), RunPublication{Channel: channel, Change: schemas.RunChange{Status: schemas.RunCompleted}}); err != nil {
		t.Fatal(err)
	}
}

func (b *Broker) read(t *testing.T, name schemas.Pattern) {
	t.Helper()
	s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: name}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
}

// holding lists the channels and the numbers of their messages.
func (b *Broker) holding() string {
	infos, _, _ := b.Channels(context.Background(), "", "", 1000)
	var words []string
	for _, info := range infos {
		words = append(words, fmt.Sprint(info.Channel, info.Messages))
	}
	return strings.Join(words, " ")
}

func TestEvictions_popOldest(t *testing.T) {
	var ev evictions
	places := make([]*eviction, 20)
	for i := range places {
		places[i] = ev.add(nil, int64(i*7%20), i%3 == 0)
	}
	ev.remove(places[5])
	ev.remove(places[5]) // twice is once
	ev.remove(nil)
	if e := ev.popFilled(-1); e != nil {
		t.Errorf("took out %d", e.Key)
	}
	var keys []int64
	for e := ev.popOldest(); e != nil; e = ev.popOldest() {
		keys = append(keys, e.Key)
	}
	if len(keys) != 19 || !slices.IsSorted(keys) || slices.Contains(keys, places[5].Key) {
		t.Errorf("took out %v", keys)
	}
}

// TestBroker_shrink_oldestFirst: the channel that was idle the longest loses its messages first.
// There is room for about four channels of one message.
func TestBroker_shrink_oldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		b.say(t, "a")
		b.shards[0].opts.Memory = 4 * b.shards[0].logBytes.Load()
		for _, name := range []schemas.Channel{"b", "c"} {
			time.Sleep(2 * time.Second) // of the bubble
			b.say(t, name)
		}
		time.Sleep(2 * time.Second)
		b.say(t, "a") // now b is the oldest
		b.say(t, "d")
		if got := b.holding(); got != "a2 c1 d1" && got != "a2 b0 c1 d1" {
			t.Errorf("holds %s", got)
		}
		if s := b.Stats(); s.LogBytes > b.shards[0].opts.Memory || s.Evicted != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestBroker_shrink_busy: a busy channel loses the older half of its messages.
func TestBroker_shrink_busy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{Memory: 5000})
		for range 100 {
			b.say(t, "a")
			if n := b.Stats().LogBytes; n > 5000 {
				t.Fatalf("%d bytes", n)
			}
		}
		info, _ := b.Channel(t.Context(), "a")
		if info.Messages < 4 || info.LastID.Seq != 100 {
			t.Errorf("%+v", info)
		}
	})
}

// TestBroker_shrink_runStatuses: a flood of finished runs neither exceeds the memory for run
// statuses nor uses that of the logs.
func TestBroker_shrink_runStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{Memory: 100_000, Replay: engine.Limits{Age: time.Minute}})
		b.finish(t, "read")
		b.read(t, "read")
		for i := range 500 {
			b.finish(t, schemas.Channel(fmt.Sprint("run", i)))
			time.Sleep(time.Second) // of the bubble: the messages expire, the statuses stay
		}
		for range 20 {
			b.say(t, "live")
		}
		s := b.Stats()
		if s.LogBytes > 100_000 || s.Channels < 50 || s.Channels > 400 {
			t.Errorf("%+v", s)
		}
		if info, _ := b.Channel(t.Context(), "live"); info.Messages != 20 {
			t.Errorf("a live channel holds %d of 20 messages", info.Messages)
		}
		for _, name := range []schemas.Channel{"run499", "read"} {
			if info, err := b.Channel(t.Context(), name); err != nil || info.Run == nil {
				t.Errorf("%s: %+v, %v", name, info, err)
			}
		}
		if _, err := b.Channel(t.Context(), "run0"); !errors.Is(err, ErrNoChannel) {
			t.Errorf("the oldest status is kept: %v", err)
		}
	})
}

func TestBroker_dropExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{Replay: engine.Limits{Age: 10 * time.Second}})
		b.read(t, "read")
		for _, name := range []schemas.Channel{"idle", "read", "busy", "run"} {
			b.say(t, name)
		}
		b.finish(t, "run")
		time.Sleep(9500 * time.Millisecond) // of the bubble
		b.say(t, "busy")
		time.Sleep(2 * time.Second)
		if got := b.holding(); got != "busy1 read0 run0" {
			t.Errorf("holds %s", got)
		}
		time.Sleep(10 * time.Second)
		if got := b.holding(); got != "read0 run0" {
			t.Errorf("holds %s", got)
		}
		if n := b.shards[0].evictions.filled.Len() + b.shards[0].evictions.bare.Len(); n != 1 {
			t.Errorf("%d entries for one channel with a run status", n)
		}
	})
}

// TestBroker_dropExpired_ends: dropping expired messages ends, although messages expire exactly
// at their age and the clock may go back between two messages.
func TestBroker_dropExpired_ends(t *testing.T) {
	type sweep struct {
		after time.Duration
		want  string
	}
	for _, tt := range []struct {
		name      string
		published []time.Duration
		sweeps    []sweep
	}{
		{"at that moment", []time.Duration{0, 0}, []sweep{{99, "a2"}, {100, ""}}},
		{"the clock goes back", []time.Duration{0, 60, 0}, []sweep{{99, "a3"}, {100, "a2"}, {159, "a2"}, {160, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t, Options{Replay: engine.Limits{Age: 100 * time.Millisecond}})
			now := time.Now().Add(time.Hour)
			c, err := b.shards[0].lockOrCreate("a", now)
			if err != nil {
				t.Fatal(err)
			}
			for _, after := range tt.published {
				m := schemas.Message{
					ID: b.shards[0].idOf(b.shards[0].seq.Take()), Channel: "a", Topic: "t", Kind: schemas.KindData, Data: []byte("1"),
					CreatedAt: schemas.TimeOf(now.Add(after * time.Millisecond)),
				}
				b.shards[0].append(c, &m, b.opts.Replay, nil)
				b.shards[0].seq.Complete(m.ID.Seq)
			}
			c.mu.Unlock()
			for _, sweep := range tt.sweeps {
				b.shards[0].dropExpired(now.Add(sweep.after * time.Millisecond))
				if got := b.holding(); got != sweep.want {
					t.Errorf("after %d ms: %q, want %q", sweep.after, got, sweep.want)
				}
			}
		})
	}
}

func TestBroker_makeRoom(t *testing.T) {
	tests := []struct {
		name  string
		setup func(*testing.T, *Broker)
		want  string // channels afterwards
		err   error
	}{
		{"the oldest goes", func(t *testing.T, b *Broker) { b.say(t, "a"); tick(); b.say(t, "b"); tick(); b.say(t, "c") }, "b1 c1 new1", nil},
		{"published to since", func(t *testing.T, b *Broker) {
			b.say(t, "a")
			b.say(t, "b")
			b.say(t, "c")
			tick()
			b.say(t, "a")
			b.say(t, "c")
		}, "a2 c2 new1", nil},
		{"not one with a reader", func(t *testing.T, b *Broker) {
			b.read(t, "a")
			b.say(t, "a")
			tick()
			b.say(t, "b")
			tick()
			b.say(t, "c")
		}, "a1 c1 new1", nil},
		{"a reader by pattern is none", func(t *testing.T, b *Broker) {
			b.read(t, "*")
			b.say(t, "a")
			tick()
			b.say(t, "b")
			tick()
			b.say(t, "c")
		}, "b1 c1 new1", nil},
		{"a bare one first", func(t *testing.T, b *Broker) {
			b.finish(t, "c")
			time.Sleep(2 * time.Minute)
			b.say(t, "a")
			b.say(t, "b")
		}, "a1 b1 new1", nil},
		{"all have readers", func(t *testing.T, b *Broker) {
			for _, name := range []schemas.Channel{"a", "b", "c"} {
				b.read(t, schemas.Pattern(name))
				b.say(t, name)
			}
		}, "a1 b1 c1", ErrTooManyChannels},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, Options{MaxChannels: 3, Replay: engine.Limits{Age: time.Minute}})
				tt.setup(t, b)
				_, err := b.Publish(t.Context(), Publication{Channel: "new", Topic: "a", Data: []byte("1")})
				if !errors.Is(err, tt.err) {
					t.Errorf("got %v", err)
				}
				if got := b.holding(); got != tt.want {
					t.Errorf("holds %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func tick() { time.Sleep(time.Second) } // of the bubble

// TestBroker_makeRoom_behindReaders: many channels with readers at the front of a queue, more
// than are tried at a time, do not hide the others for ever.
func TestBroker_makeRoom_behindReaders(t *testing.T) {
	for _, bare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, Options{MaxChannels: 3*maxTries + 1, Replay: engine.Limits{Age: time.Minute}})
			for i := range 3 * maxTries {
				name := schemas.Channel(fmt.Sprint("c", i))
				b.read(t, schemas.Pattern(name))
				b.finish(t, name)
			}
			b.finish(t, "free")
			if bare {
				time.Sleep(2 * time.Minute) // of the bubble
			}
			refused := 0
			for range 4 {
				if _, err := b.Publish(t.Context(), Publication{Channel: "new", Topic: "a", Data: []byte("1")}); err != nil {
					refused++
				}
			}
			if _, err := b.Channel(t.Context(), "new"); err != nil || refused > 3 {
				t.Errorf("bare %t: %d publishes were refused: %v", bare, refused, err)
			}
		})
	}
}

// TestBroker_logBytes: the counted memory returns to zero, whichever way channels are removed.
func TestBroker_logBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{Replay: engine.Limits{Age: time.Minute, Messages: 3}, Memory: 20_000, MaxChannels: 20, MaxEventBytes: 400})
		for i := range 1000 {
			name := schemas.Channel(fmt.Sprint("c", i*7%31))
			switch i % 5 {
			case 0:
				_, _ = b.SetRun(t.Context(), RunPublication{Channel: name, Change: schemas.RunChange{Status: schemas.RunCompleted}})
			case 1:
				_ = b.Delete(t.Context(), name)
			case 2:
				_, _ = b.Publish(t.Context(), Publication{Channel: name, Topic: "a", Data: make([]byte, 1000)}) // too large
			default:
				b.say(t, name)
			}
			if n := b.shards[0].logBytes.Load(); n < 0 || n > 20_000 {
				t.Fatalf("%d bytes after %d steps", n, i)
			}
			time.Sleep(time.Duration(i%7) * 100 * time.Millisecond) // of the bubble
		}
		time.Sleep(2 * time.Minute)
		infos, _, _ := b.Channels(t.Context(), "", "", 100)
		for _, info := range infos {
			if err := b.Delete(t.Context(), info.Channel); err != nil {
				t.Error(err)
			}
		}
		if b.shards[0].logBytes.Load() != 0 || b.shards[0].registry.count.Load() != 0 || b.shards[0].evictions.filled.Len()+b.shards[0].evictions.bare.Len() != 0 {
			t.Errorf("%d bytes, %d channels, %d entries are left", b.shards[0].logBytes.Load(), b.shards[0].registry.count.Load(), b.shards[0].evictions.filled.Len()+b.shards[0].evictions.bare.Len())
		}
	})
}

// TestBroker_Delete_leavesNoEntry: a deleted channel must not stay in the queues until
// its messages would have expired.
func TestBroker_Delete_leavesNoEntry(t *testing.T) {
	b := newBroker(t, Options{})
	for range 100 {
		b.say(t, "a")
		if err := b.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.shards[0].evictions.filled.Len() + b.shards[0].evictions.bare.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}
