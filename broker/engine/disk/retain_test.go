package disk_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

func inMemory() disk.Options { return disk.Options{}.On(vfs.NewMem(), "boot") }

// bubble runs a test in a synctest bubble, with an engine in memory.
func bubble(t *testing.T, opts disk.Options, test func(t *testing.T, n *node)) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, "d", opts)
		test(t, n)
		n.close()
	})
}

func (n *node) publish(channel string, l engine.Limits, data string) {
	n.t.Helper()
	e := entry(channel, "t", data)
	e.Limits = l
	n.append(e)
}

// Load returns exactly the messages within each limit, and says that the others are lost.
func TestEngine_Load_limits(t *testing.T) {
	tests := []struct {
		name   string
		limits engine.Limits
		want   int // how many of 300 messages, one a second, about 120 bytes each
	}{
		{"messages", engine.Limits{Messages: 7, Bytes: 1 << 20, Age: time.Hour}, 7},
		{"bytes", engine.Limits{Messages: 1000, Bytes: 1200, Age: time.Hour}, 10},
		{"age", engine.Limits{Messages: 1000, Bytes: 1 << 20, Age: 20 * time.Second}, 20},
		{"all", engine.Limits{Messages: 1000, Bytes: 1 << 20, Age: time.Hour}, 300},
		{"at least one", engine.Limits{Messages: 1000, Bytes: 1, Age: time.Hour}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, inMemory(), func(t *testing.T, n *node) {
				for i := range 300 {
					if i > 0 {
						time.Sleep(time.Second)
					}
					n.publish("a", tt.limits, `"`+strings.Repeat("x", 100)+`"`)
					kept := n.load("a")
					if len(kept.Messages) != min(i+1, tt.want) || kept.Lost.Newest != uint64(i+1-len(kept.Messages)) {
						t.Fatalf("after %d: %d kept, lost %d", i+1, len(kept.Messages), kept.Lost.Newest)
					}
				}
				if stored := n.Keys('m'); stored > tt.want+tt.want/4+65 {
					t.Errorf("%d messages are stored for %d", stored, tt.want)
				}
			})
		})
	}
}

// Expired messages are removed, in the end without a trace, and still count as lost.
func TestEngine_expiry(t *testing.T) {
	opts := inMemory()
	opts.RememberFor = time.Hour
	bubble(t, opts, func(t *testing.T, n *node) {
		l := engine.Limits{Messages: 100, Bytes: 1 << 20, Age: time.Minute}
		n.publish("a:1", l, "1")
		n.publish("a:1", l, "2")
		n.publish("b", l, "3")
		time.Sleep(time.Minute)
		n.want("a:1", "lost 2:")
		if names, _ := enginetest.Names(n.List(t.Context(), "", "", 10)); len(names) != 0 {
			t.Errorf("names %v", names)
		}
		time.Sleep(10 * time.Second)
		if n.Keys('m') != 0 || n.Keys('c') != 2 || n.Stats().KeptBytes != 0 {
			t.Errorf("%d messages, %d channels, %d bytes", n.Keys('m'), n.Keys('c'), n.Stats().KeptBytes)
		}
		time.Sleep(time.Hour + time.Minute)
		if n.Keys('c') != 0 || n.Keys('a') != 0 {
			t.Errorf("%d channels, %d entries on the expiry index", n.Keys('c'), n.Keys('a'))
		}
		n.want("a:1", "lost 2:")
		n.want("b", "lost 3:")
		for pattern, lost := range map[string]uint64{"a:*": 2, "*": 3, "c:*": 0} {
			if found, _ := n.Matching(t.Context(), schemas.Pattern(pattern), 0, 10); found.Lost != lost {
				t.Errorf("%s: lost %d, want %d", pattern, found.Lost, lost)
			}
		}
		n.publish("a:1", l, "4")
		n.want("a:1", "lost 2: 4=4")
	})
}

// A durable publish is remembered for RememberFor.
func TestEngine_rememberFor(t *testing.T) {
	opts := inMemory()
	opts.RememberFor = time.Hour
	bubble(t, opts, func(t *testing.T, n *node) {
		n.once("a", "k", "1")
		n.once("a", "l", "2")
		time.Sleep(59 * time.Minute)
		if r := n.once("a", "k", "x"); !r.Duplicate {
			t.Errorf("forgotten early: %+v", r)
		}
		time.Sleep(2 * time.Minute)
		if n.Keys('k') != 0 || n.Stats().Remembered != 0 {
			t.Errorf("%d keys are kept, %d counted", n.Keys('k'), n.Stats().Remembered)
		}
		if r := n.once("a", "k", "x"); r.Duplicate {
			t.Errorf("not forgotten: %+v", r)
		}
	})
}

func TestEngine_runs(t *testing.T) {
	opts := inMemory()
	opts.RunsFor, opts.RememberFor = 5*time.Hour, time.Hour
	bubble(t, opts, func(t *testing.T, n *node) {
		run := entry("a", "$run", `{"status":"running"}`)
		run.Kind = schemas.KindRun
		n.append(run)
		time.Sleep(2 * time.Hour)
		n.want("a", "lost 1: run 1")
		if names, _ := enginetest.Names(n.List(t.Context(), "", "", 10)); fmt.Sprint(names) != "[a]" {
			t.Errorf("names %v", names)
		}
		time.Sleep(2 * time.Hour)
		n.append(run)
		time.Sleep(5*time.Hour - time.Second)
		n.want("a", "lost 2: run 2")
		time.Sleep(2 * time.Second)
		n.want("a", "lost 2:")
		if n.Keys('r') != 0 {
			t.Error("the run status is still there")
		}
		time.Sleep(time.Hour + time.Minute)
		if n.Keys('c') != 0 || n.Keys('a') != 0 {
			t.Errorf("%d channels, %d entries", n.Keys('c'), n.Keys('a'))
		}
	})
}

// When all messages together exceed MaxBytes, the oldest are dropped.
func TestEngine_maxBytes(t *testing.T) {
	opts := inMemory()
	opts.MaxBytes = 100_000
	bubble(t, opts, func(t *testing.T, n *node) {
		data := `"` + strings.Repeat("x", 1000) + `"`
		for i := range 300 {
			n.publish(fmt.Sprint("c", i/30), limits(), data)
			time.Sleep(time.Second)
			if b := n.Stats().KeptBytes; b > 102_000 {
				t.Fatalf("%d bytes are kept", b)
			}
		}
		n.want("c0", "lost 30:")
		if kept := n.load("c9"); len(kept.Messages) != 30 || kept.Lost.Newest != 0 {
			t.Errorf("of the newest channel %d messages are kept, lost %d", len(kept.Messages), kept.Lost.Newest)
		}
		total := 0
		for i := range 10 {
			kept := n.load(fmt.Sprint("c", i))
			total += len(kept.Messages)
			if len(kept.Messages) < 30 && kept.Lost.Newest == 0 {
				t.Errorf("c%d: a loss is hidden", i)
			}
		}
		if dropped := n.Stats().Dropped; dropped != int64(300-total) || total < 80 {
			t.Errorf("%d dropped, %d kept of 300", dropped, total)
		}
	})
}

// The messages of a channel that exceed its limits are bounded, and dropped many at a time.
func TestEngine_busyChannel(t *testing.T) {
	bubble(t, inMemory(), func(t *testing.T, n *node) {
		for i := range 5000 {
			e := entry("a", "t", "1")
			e.Limits.Messages = 10
			n.append(e)
			if i%500 == 499 && n.Keys('m') > 10+64+1 {
				t.Fatalf("%d messages are stored", n.Keys('m'))
			}
		}
	})
}
