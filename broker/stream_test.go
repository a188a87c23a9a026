package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestStream_Next_expires: a stream ends on time even if its channel is never quiet.
func TestStream_Next_expires(t *testing.T) {
	for _, traffic := range []string{"status", "tokens", ""} {
		t.Run("traffic "+traffic, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{MaxStreamAge: time.Hour})
				sub := asking("a:1/status")
				sub.Owner.ExpiresAt = time.Now().Add(7 * time.Second)
				r := subscribe(t, b, sub)
				began := time.Now()
				if traffic != "" {
					go keepPublishing(t, b, "a:1", traffic, 8*time.Second)
				}
				events := r.during(20 * time.Second)
				if took := time.Since(began); took != 7*time.Second {
					t.Errorf("ended after %v", took)
				}
				if got := brief(events); !strings.HasSuffix(got, "[4001]") || !strings.HasPrefix(got, "$open") {
					t.Errorf("got %s", got)
				}
				if !strings.Contains(events[0].data, `"expires_at":"2000-01-01T00:00:07.000Z"`) {
					t.Errorf("$open says %s", events[0].data)
				}
				if err := r.Next(t.Context(), &r.batch); !errors.Is(err, io.EOF) {
					t.Errorf("after its end: %v", err)
				}
				time.Sleep(2 * time.Second) // of the bubble: until the publisher is done
			})
		})
	}
}

func keepPublishing(t *testing.T, b *broker.Broker, channel, topic string, long time.Duration) {
	for until := time.Now().Add(long); time.Now().Before(until); time.Sleep(30 * time.Millisecond) {
		_, err := b.Publish(context.Background(), broker.Publication{
			Channel: schemas.Channel(channel), Topic: schemas.Topic(topic), Data: []byte("1"),
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestStream_Next_maxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{MaxStreamAge: 100 * time.Second, Heartbeat: time.Hour})
		ages := map[time.Duration]bool{}
		for range 20 {
			r, began := subscribe(t, b, asking("a:1")), time.Now()
			want(t, "ended", r.during(time.Hour), "$open@0 $close@0[4004]")
			age := time.Since(began)
			if age < 80*time.Second || age > 100*time.Second {
				t.Errorf("ended after %v", age)
			}
			ages[age] = true
			r.Close()
		}
		if len(ages) < 10 {
			t.Errorf("20 streams ended at %d ages", len(ages))
		}
		sub := asking("a:1")
		sub.Owner.ExpiresAt = time.Now().Add(79 * time.Second)
		want(t, "the token expires first", subscribe(t, b, sub).during(time.Hour), "$open@0 $close@0[4001]")
	})
}

// TestStream_Next_heartbeat: messages that the client does not want do not postpone a heartbeat.
func TestStream_Next_heartbeat(t *testing.T) {
	tests := []struct {
		name     string
		sub      broker.Subscription
		traffic  string
		beats    bool
		position bool
	}{
		{"quiet", asking("a:1"), "", true, false},
		{"quiet, with topics", asking("a:1/status"), "", true, false},
		{"quiet, pattern", asking("a:*"), "", true, false},
		{"busy", asking("a:1"), "tokens", false, false},
		{"busy with other topics", asking("a:1/status"), "tokens", false, true},
		{"busy with other topics, several channels", asking("a:1/status", "a:2"), "tokens", false, true},
		{"another channel is busy", asking("a:2"), "tokens", true, false},
		{"another channel is busy, of several", asking("a:2", "a:3"), "tokens", true, false},
	}
	for _, tt := range tests {
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			t.Run(fmt.Sprint(tt.name, " ", format), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := start(t, broker.Options{Heartbeat: 10 * time.Second})
					tt.sub.Format = format
					r := subscribe(t, b, tt.sub)
					if tt.traffic != "" {
						go keepPublishing(t, b, "a:1", tt.traffic, 100*time.Second)
					}
					positions := 0
					for _, e := range r.during(100 * time.Second) {
						if e.name == "$position" {
							positions++
						}
					}
					// One in 8 to 10 s.
					if n := r.beats; tt.beats && (n < 9 || n > 12) || !tt.beats && n > 0 {
						t.Errorf("%d heartbeats", n)
					}
					if tt.position && (positions < 9 || positions > 12) || !tt.position && positions > 0 {
						t.Errorf("%d times $position", positions)
					}
					time.Sleep(time.Second) // of the bubble: until the publisher is done
				})
			})
		}
	}
}

// TestStream_Next_positionThenHeartbeat: a position is sent only once.
func TestStream_Next_positionThenHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		r := subscribe(t, b, asking("a:1/status"))
		want(t, "first", r.now(), "$open@0")
		publish(t, b, "a:1", "tokens", "1")
		want(t, "position", r.during(16*time.Second), "$position@1")
		r.beats = 0
		want(t, "then", r.during(16*time.Second), "")
		if r.beats == 0 {
			t.Error("no heartbeat")
		}
		s := subscribe(t, b, resuming(asking("a:1/status"), 1))
		publish(t, b, "a:1", "status", "1")
		want(t, "resumed at it", s.now(), "$open@1 status@2")
	})
}

func TestStream_Next_jitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Heartbeat: 10 * time.Second})
		moments := map[time.Duration]bool{}
		for range 20 {
			r := subscribe(t, b, asking("a:1"))
			_ = r.Next(t.Context(), &r.batch) // $open
			began := time.Now()
			_ = r.Next(t.Context(), &r.batch)
			moments[time.Since(began)] = true
			r.Close()
		}
		if len(moments) < 10 {
			t.Errorf("20 heartbeats at %d moments", len(moments))
		}
	})
}

func TestStream_Next_context(t *testing.T) {
	b := start(t, broker.Options{})
	r := subscribe(t, b, asking("a:1"))
	r.now()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Next(ctx, &r.batch); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	publish(t, b, "a:1", "status", "1")
	want(t, "it can be used again", r.now(), "status@1")
	if n := r.Messages(); n != 1 {
		t.Errorf("%d messages are counted", n)
	}
}

// TestStream_Next_batch: a long backlog is sent in batches of bounded length.
func TestStream_Next_batch(t *testing.T) {
	b := start(t, broker.Options{Replay: engine.Limits{Messages: 1 << 20, Bytes: 1 << 30}})
	long := `"` + strings.Repeat("x", 50_000) + `"`
	for range 3000 {
		publish(t, b, "a:1", "status", "1")
	}
	for range 40 {
		publish(t, b, "a:2", "status", long)
	}
	for _, channel := range []string{"a:1", "a:2", "a:*"} {
		r := subscribe(t, b, replaying(asking(channel), "all"))
		for total := 0; total < 3000 && (channel != "a:2" || total < 40); {
			if err := r.Next(t.Context(), &r.batch); err != nil {
				t.Fatal(err)
			}
			bytes := 0
			for _, e := range r.batch.Events {
				bytes += len(e)
			}
			if r.batch.Messages > 1024 || bytes > 256<<10+60<<10+200 {
				t.Fatalf("%s: a batch of %d messages, %d bytes", channel, r.batch.Messages, bytes)
			}
			total += r.batch.Messages
		}
	}
}

// TestStream_slowReaderDelaysNobody: a reader that never reads does not delay the others, and is
// told what it has missed.
func TestStream_slowReaderDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 2, Bytes: 1}, BacklogBytes: 1})
		slow, quick := subscribe(t, b, asking("a:1")), subscribe(t, b, asking("a:1"))
		want(t, "slow", slow.now(), "$open@0")
		want(t, "quick", quick.now(), "$open@0")
		for i := range 10 {
			began := time.Now()
			publish(t, b, "a:1", "status", "1")
			if took := time.Since(began); took != 0 {
				t.Fatalf("the publisher waited for %v", took)
			}
			want(t, "quick", quick.now(), fmt.Sprint("status@", i+1))
		}
		want(t, "slow", slow.now(), "$gap@8[a:1 overrun>0<9] status@9 status@10")
		if n := b.Stats().Gaps["overrun"]; n != 1 {
			t.Errorf("%d gaps are counted", n)
		}
	})
}

// TestStream_sameTwice: a stream that selects the same channel twice gets each message once.
func TestStream_sameTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		r := subscribe(t, b, asking("a:*/status", "a:*/tokens", "a:1", "a:1"))
		publish(t, b, "a:1", "log", "1")
		publish(t, b, "a:2", "log", "1")
		publish(t, b, "a:2", "tokens", "1")
		want(t, "once", r.now(), "$open@0 log@1 tokens@3")
		r.Close()
		r.Close()
		publish(t, b, "a:3", "status", "1")
		if n := b.Stats().Streams; n != 0 {
			t.Errorf("%d streams", n)
		}
	})
}

// TestStream_waitsForChannel: reading creates no channel, and a stream is notified when
// one is created.
func TestStream_waitsForChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		readers := []*reader{subscribe(t, b, asking("a:1")), subscribe(t, b, asking("a:*")), subscribe(t, b, asking("b", "a:1"))}
		if n := b.Stats().Channels; n != 0 {
			t.Errorf("%d channels", n)
		}
		publish(t, b, "a:1", "status", "1")
		for _, r := range readers {
			want(t, "told", r.now(), "$open@0 status@1")
		}
	})
}

// Every stream says how long it may be silent, whatever it reads and in whichever
// format.
func TestStream_Next_openSaysTheHeartbeat(t *testing.T) {
	opts := broker.Options{Heartbeat: 20 * time.Second}
	for name, begin := range map[string]func(testing.TB) *broker.Broker{
		"one log": func(t testing.TB) *broker.Broker { return start(t, opts) },
		"shards": func(t testing.TB) *broker.Broker {
			b, _ := newShards().on(t, opts)
			return b
		},
	} {
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			for _, sub := range []broker.Subscription{asking("a"), asking("a", "b:*"), asking("*")} {
				t.Run(fmt.Sprint(name, " ", format, " ", len(sub.Channels)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						sub.Format = format
						var open struct {
							Heartbeat int64 `json:"heartbeat_ms"`
						}
						if err := json.Unmarshal([]byte(subscribe(t, begin(t), sub).now()[0].data), &open); err != nil {
							t.Fatal(err)
						}
						if open.Heartbeat != 20_000 {
							t.Errorf("heartbeat_ms is %d", open.Heartbeat)
						}
					})
				})
			}
		}
	}
}
