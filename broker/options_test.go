package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
)

// TestOptions_Replay: the broker's own limits, and those that a publish sets.
func TestOptions_Replay(t *testing.T) {
	long := `"` + strings.Repeat("x", 900) + `"`
	tests := []struct {
		name   string
		opts   engine.Limits
		limits engine.Limits // of the publish
		want   int           // of 20 messages of a bit over 1 KB, 0.5 s apart
	}{
		{"defaults", engine.Limits{}, engine.Limits{}, 20},
		{"messages", engine.Limits{Messages: 3}, engine.Limits{}, 3},
		{"bytes", engine.Limits{Bytes: 6000}, engine.Limits{}, 5},
		{"age", engine.Limits{Age: 5 * time.Second}, engine.Limits{}, 10},
		{"messages of the publish", engine.Limits{Messages: 3}, engine.Limits{Messages: 7}, 7},
		{"bytes of the publish", engine.Limits{Bytes: 1 << 20}, engine.Limits{Bytes: 6000}, 5},
		{"age of the publish", engine.Limits{Age: time.Hour}, engine.Limits{Age: 2 * time.Second}, 4},
		{"the default of what the publish leaves out", engine.Limits{Messages: 3}, engine.Limits{Age: time.Hour}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{Replay: tt.opts})
				for i := range 20 {
					if i > 0 {
						time.Sleep(500 * time.Millisecond) // of the bubble
					}
					put(t, b, broker.Publication{Channel: "a", Topic: "b", Data: []byte(long), Limits: tt.limits})
				}
				if got := must(b.Channel(t.Context(), "a")); got.Messages != tt.want || got.LastID.Seq != 20 {
					t.Errorf("holds %d, want %d", got.Messages, tt.want)
				}
			})
		})
	}
}

func TestOptions_Replay_defaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		for range 300 {
			publish(t, b, "a", "b", "1")
		}
		if n := must(b.Channel(t.Context(), "a")).Messages; n != 256 {
			t.Errorf("holds %d messages", n)
		}
		for range 50 {
			publish(t, b, "c", "b", `"`+strings.Repeat("x", 50_000)+`"`)
		}
		if n := must(b.Channel(t.Context(), "c")).Bytes; n > 1<<20 || n < 1<<20-51_000 {
			t.Errorf("holds %d bytes", n)
		}
		time.Sleep(10*time.Minute - time.Millisecond) // of the bubble
		if n := must(b.Channel(t.Context(), "a")).Messages; n != 256 {
			t.Errorf("before ten minutes: %d messages", n)
		}
		time.Sleep(time.Millisecond)
		if info, _ := b.Channel(t.Context(), "a"); info.Messages != 0 { // it may be gone already
			t.Errorf("after ten minutes: %d messages", info.Messages)
		}
	})
}

// TestOptions_Memory: publishing to many channels without readers does not exceed the memory.
func TestOptions_Memory(t *testing.T) {
	b := start(t, broker.Options{Memory: 1 << 20})
	data := `"` + strings.Repeat("x", 1000) + `"`
	for i := range 5000 {
		publish(t, b, fmt.Sprint("c", i%500), "b", data)
		if n := b.Stats().LogBytes; n > 1<<20 {
			t.Fatalf("the logs take %d bytes", n)
		}
	}
	if s := b.Stats(); s.Evicted == 0 || s.LogBytes < 1<<19 {
		t.Errorf("%+v", s)
	}
}

// TestOptions_BacklogBytes: the frames held beyond the limits for a stalled reader are bounded,
// and are dropped once it has read them.
func TestOptions_BacklogBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Bytes: 10_000}, BacklogBytes: 50_000})
		r := subscribe(t, b, asking("a"))
		want(t, "first", r.now(), "$open@0")
		data := `"` + strings.Repeat("x", 1000) + `"`
		for range 40 {
			publish(t, b, "a", "b", data)
		}
		if n := must(b.Channel(t.Context(), "a")).Messages; n != 40 {
			t.Errorf("%d of 40 messages are held for a reader a moment behind", n)
		}
		began := time.Now()
		for range 40 {
			publish(t, b, "a", "b", data)
			if n := must(b.Channel(t.Context(), "a")).Bytes; n > 62_000 {
				t.Errorf("%d bytes are held", n)
			}
		}
		if waited := time.Since(began); waited < 20*time.Millisecond || waited > 40*time.Millisecond {
			t.Errorf("publishers waited %v for a reader that does not read", waited)
		}
		events := r.now()
		if events[0].name != "$gap" || len(events) < 40 {
			t.Errorf("got %s", brief(events))
		}
		if n := must(b.Channel(t.Context(), "a")).Bytes; n > 10_000 {
			t.Errorf("%d bytes are held when all is read", n)
		}
	})
}

func TestOptions_MaxEventBytes(t *testing.T) {
	for _, most := range []int{0, 2000} {
		b := start(t, broker.Options{MaxEventBytes: most})
		if most == 0 {
			most = 60 << 10
		}
		p := broker.Publication{Channel: "a:1", Topic: "status", RunID: `a "quoted" \ id`, StreamID: "s1"}
		longest, refused := 0, 0
		for size := most - 600; size <= most; size++ {
			p.Data = []byte(`"` + strings.Repeat("x", size-2) + `"`)
			_, err := b.Publish(t.Context(), p)
			switch {
			case err == nil && refused > 0:
				t.Fatalf("%d bytes were taken after %d were refused", size, refused)
			case err == nil:
				longest = size
			case !errors.Is(err, engine.ErrTooLarge):
				t.Fatal(err)
			default:
				refused = size
			}
		}
		if longest == 0 || refused != most {
			t.Fatalf("up to %d bytes are taken of %d", longest, most)
		}
		r := subscribe(t, b, replaying(asking("a:1"), "1"))
		if err := r.Next(t.Context(), &r.batch); err != nil {
			t.Fatal(err)
		}
		events := withoutLive(r.batch.Events)
		biggest := len(events[len(events)-1])
		if biggest != most {
			t.Errorf("the longest event has %d bytes of %d", biggest, most)
		}
	}
}

func TestOptions_MaxChannels(t *testing.T) {
	b := start(t, broker.Options{MaxChannels: 3})
	for i := range 20 {
		publish(t, b, fmt.Sprint("c", i), "b", "1")
		if n := b.Stats().Channels; n > 3 {
			t.Fatalf("%d channels", n)
		}
	}
	if s := b.Stats(); s.Evicted != 17 {
		t.Errorf("%d were evicted", s.Evicted)
	}
}
