package broker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestStream_live: a stream sends $live exactly once, after everything that was there at its
// start.
func TestStream_live(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sub    broker.Subscription
		before string // what comes before $live
		at     string
	}{
		{"nothing asked for", asking("a:1"), "$open@5", "5"},
		{"a channel that does not exist", asking("z"), "$open@5", "5"},
		{"all", replaying(asking("a:1"), "all"), "$open@0 x@1 x@2 x@4", "4"},
		{"the last", replaying(asking("a:1"), "1"), "$open@3 x@4", "4"},
		{"several channels", replaying(asking("a:1", "b"), "all"), "$open@0 x@1 x@2 y@3 x@4 y@5", "5"},
		{"a pattern", replaying(asking("*"), "all"), "$open@0 x@1 x@2 y@3 x@4 y@5", "5"},
		{"resumed", resuming(asking("a:1"), 2), "$open@2 x@4", "4"},
		{"resumed at the end", resuming(asking("a:1"), 5), "$open@5", "5"},
		{"resumed, of topics that nobody uses", resuming(asking("a:1/q", "b/q"), 0), "$open@0", "5"},
		{"another life", func() broker.Subscription {
			sub := asking("a:1")
			sub.LastEventID = "zzz-9"
			return sub
		}(), "$open@0 $gap@0[a:1 restarted>zzz-9<1] x@1 x@2 x@4", "4"},
	} {
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			t.Run(tt.name+"/"+format.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := start(t, broker.Options{})
					publish(t, b, "a:1", "x", "1")
					publish(t, b, "a:1", "x", "2")
					publish(t, b, "b", "y", "3")
					publish(t, b, "a:1", "x", "4")
					publish(t, b, "b", "y", "5")
					time.Sleep(time.Second) // of the bubble: everything is settled
					tt.sub.Format = format
					r := subscribe(t, b, tt.sub)
					var got []event
					for len(r.lives) == 0 {
						got = append(got, r.now()...)
					}
					if format == ring.SSE {
						want(t, "before", got, tt.before)
					}
					if len(r.lives) != 1 || format == ring.SSE && r.lives[0] != "k-"+tt.at {
						t.Errorf("$live at %v, want %s", r.lives, tt.at)
					}
					publish(t, b, "a:1", "x", "6")
					if more := r.during(time.Minute); len(r.lives) != 1 {
						t.Errorf("later: %s, $live %v", brief(more), r.lives)
					}
				})
			})
		}
	}
}

// TestStream_live_big: after a replay of many batches, $live comes after the last one.
func TestStream_live_big(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 5000, Bytes: 64 << 20}})
		for range 3000 {
			publish(t, b, "a", "x", "1")
		}
		r := subscribe(t, b, replaying(asking("a"), "all"))
		messages := 0
		for len(r.lives) == 0 {
			if err := r.Next(t.Context(), &r.batch); err != nil {
				t.Fatal(err)
			}
			messages += r.batch.Messages
			if len(withoutLive(r.batch.Events)) < len(r.batch.Events) {
				break
			}
		}
		if messages != 3000 {
			t.Errorf("live after %d messages", messages)
		}
	})
}

// TestStream_untilEnd: a stream with UntilEnd gets everything before the run's final status, then
// the status and $close 4000, over both ways of writing.
func TestStream_untilEnd(t *testing.T) {
	completed := schemas.RunChange{Status: schemas.RunCompleted}
	for _, tt := range []struct {
		name string
		sub  broker.Subscription
		done bool // the run has ended before
		want string
	}{
		{"it ends meanwhile", asking("a"), false, "$open@2 x@3 $run@4 $close@4[4000]"},
		{"it has ended, all", replaying(asking("a"), "all"), true, "$open@0 $run@0[4] x@1 x@3 $close@4[4000]"},
		{"it has ended, resumed in the middle", resuming(asking("a"), 1), true, "$open@1 x@3 $run@4 $close@4[4000]"},
		{"only a topic", asking("a/q"), false, "$open@2 $run@4 $close@4[4000]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{})
				publish(t, b, "a", "x", "1")
				setRun(t, b, "a", schemas.RunChange{Status: schemas.RunRunning})
				end := func() {
					publish(t, b, "a", "x", "2")
					setRun(t, b, "a", completed)
				}
				if tt.done {
					end()
				}
				tt.sub.UntilEnd = true
				r := subscribe(t, b, tt.sub)
				got := r.now()
				if !tt.done {
					end()
					publish(t, b, "a", "x", "3") // it may be sent, or not
					got = append(got, r.now()...)
				}
				kept := got[:0]
				for _, e := range got { // the status that is running, and what comes after the final one
					if !strings.Contains(e.data, "running") && (e.id != "k-5" || e.name == "$close") {
						kept = append(kept, e)
					}
				}
				if text := strings.ReplaceAll(brief(kept), "$close@5", "$close@4"); text != tt.want || !r.ended {
					t.Errorf("got %s, ended %t\nwant %s", text, r.ended, tt.want)
				}
			})
		})
	}
}

// TestStream_untilEnd_anotherRun: if a new run has started, the stream does not end.
func TestStream_untilEnd_anotherRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		setRun(t, b, "a", schemas.RunChange{Status: schemas.RunFailed, RunID: "1"})
		setRun(t, b, "a", schemas.RunChange{Status: schemas.RunRunning, RunID: "2"})
		sub := replaying(asking("a"), "all")
		sub.UntilEnd = true
		if ended, err := b.Ended(t.Context(), sub); ended || err != nil {
			t.Errorf("ended: %t, %v", ended, err)
		}
		r := subscribe(t, b, sub)
		if r.now(); r.ended {
			t.Error("it ended")
		}
	})
}

func TestBroker_Ended(t *testing.T) {
	b := start(t, broker.Options{})
	publish(t, b, "a", "x", "1")
	setRun(t, b, "a", schemas.RunChange{Status: schemas.RunCompleted})
	publish(t, b, "a", "x", "2")
	foreign := asking("a")
	foreign.LastEventID = "zzz-9"
	for _, tt := range []struct {
		name string
		sub  broker.Subscription
		want bool
	}{
		{"nothing to replay", asking("a"), true},
		{"something to replay", replaying(asking("a"), "all"), false},
		{"before the status", resuming(asking("a"), 1), false},
		{"at the status", resuming(asking("a"), 2), true},
		{"after it", resuming(asking("a"), 3), true},
		{"of another life", foreign, false},
		{"no run", asking("b"), false},
	} {
		if got, err := b.Ended(t.Context(), tt.sub); got != tt.want || err != nil {
			t.Errorf("%s: got %t, %v", tt.name, got, err)
		}
	}
}
