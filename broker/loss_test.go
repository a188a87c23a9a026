package broker_test

import (
	"encoding/json"
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

// lastID returns the id that a client has after the events: that of the last event with
// one.
func lastID(events []event) string {
	for _, e := range slices.Backward(events) {
		if e.id != "" {
			return e.id
		}
	}
	return ""
}

// gapsIn returns the reasons of the gaps among the events, and how many messages are.
func gapsIn(events []event) (reasons []string, messages int) {
	for _, e := range events {
		switch {
		case e.name == "$gap":
			_, rest, _ := strings.Cut(e.data, `"reason":"`)
			reason, _, _ := strings.Cut(rest, `"`)
			reasons = append(reasons, reason)
		case !strings.HasPrefix(e.name, "$"):
			messages++
		}
	}
	return reasons, messages
}

// TestStream_reportsPowerFailureOnce: after a power failure, a resuming reader is sent
// everything that is kept, and is told once that something may be missing, whatever it
// reads. With the id that it has then, it is not told again, even if nothing new has
// come.
func TestStream_reportsPowerFailureOnce(t *testing.T) {
	for _, tt := range []struct {
		name     string
		sub      broker.Subscription
		messages int
		gaps     int // one for each channel or pattern that was asked for
	}{
		{"one channel", asking("a"), 2999, 1},
		{"a topic of it", asking("a/x"), 1499, 1},
		{"several", asking("a", "b"), 5999, 2},
		{"a pattern", asking("*"), 5999, 1},
		{"a pattern of nothing", asking("c:*"), 0, 1},
		{"one that never was", asking("c"), 0, 1},
		{"several with one that never was", asking("b", "c"), 3000, 2},
	} {
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			t.Run(fmt.Sprint(tt.name, " ", format), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := broker.Options{Replay: engine.Limits{Messages: 5000}}
					k := newKeeper()
					b, _ := on(t, k, opts)
					for i := range 6000 {
						publish(t, b, string("ab"[i%2]), string("xy"[i/2%2]), "1")
					}
					k.losePower()
					b, _ = on(t, k, opts)
					sub := after(tt.sub, "k-1")
					sub.Format = format
					events := subscribe(t, b, sub).during(time.Second)
					reasons, messages := gapsIn(events)
					if messages != tt.messages || len(reasons) != tt.gaps || slices.ContainsFunc(reasons, func(r string) bool { return r != "restarted" }) {
						t.Fatalf("%d messages, gaps %v; want %d and %d times restarted", messages, reasons, tt.messages, tt.gaps)
					}
					sub.LastEventID = lastID(events)
					if again, n := gapsIn(subscribe(t, b, sub).during(time.Second)); len(again) > 0 || n > 0 {
						t.Errorf("after %s: gaps %v and %d messages", sub.LastEventID, again, n)
					}
					publish(t, b, "c", "x", "1")
					publish(t, b, "c:1", "x", "1")
					late, n := gapsIn(subscribe(t, b, after(tt.sub, lastMessage(events))).during(time.Second))
					if want := sub.Channels[0].Channel.Matches("c:1") || sub.Channels[0].Channel == "c"; len(late) > tt.gaps || want && n == 0 {
						t.Errorf("from its last message on: gaps %v, %d messages", late, n)
					}
				})
			})
		}
	}
}

// lastMessage returns the id of the last message among the events, or the first
// position.
func lastMessage(events []event) string {
	for _, e := range slices.Backward(events) {
		if !strings.HasPrefix(e.name, "$") && e.id != "" {
			return e.id
		}
	}
	return "k-1"
}

// TestStream_reportsLossOnce: a reader that was told of a loss, breaks off and comes
// back is not told again, even if nothing new has come. It gets what comes then.
func TestStream_reportsLossOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sub    broker.Subscription
		lose   func(*testing.T, *broker.Broker)
		reason string
	}{
		{"expired, one channel", asking("a:1"), expire, "expired"},
		{"expired, several", asking("a:1", "a:2"), expire, "expired"},
		{"expired, a pattern", asking("a:*"), expire, "expired"},
		{"deleted", asking("a:1"), remove, "expired"},
		{"deleted, a pattern", asking("*"), remove, "expired"},
		{"overrun", asking("a:1"), overrun, "overrun"},
		{"overrun, a pattern", asking("a:*"), overrun, "overrun"},
		{"overrun, another topic is left", asking("a:1/log", "b"), overrunTopic, "overrun"},
		{"another life", after(asking("a:1"), "z-9"), expire, "restarted"},
		{"another life, a pattern", after(asking("a:*"), "z-9"), expire, "restarted"},
	} {
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			t.Run(fmt.Sprint(tt.name, " ", format), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := start(t, broker.Options{Replay: engine.Limits{Messages: 2, Age: time.Minute}})
					publish(t, b, "a:1", "log", "1")
					publish(t, b, "a:1", "log", "2")
					publish(t, b, "a:1", "log", "3")
					tt.lose(t, b)
					sub := tt.sub
					sub.Format = format
					if sub.LastEventID == "" {
						sub.LastEventID = "k-1"
					}
					r := subscribe(t, b, sub)
					events := r.now()
					r.Close()
					if reasons, _ := gapsIn(events); len(reasons) != 1 || reasons[0] != tt.reason {
						t.Fatalf("told of %v: %s", reasons, brief(events))
					}
					sub.LastEventID = lastID(events)
					for range 3 {
						r := subscribe(t, b, sub)
						again := r.now()
						r.Close()
						if reasons, _ := gapsIn(again); len(reasons) > 0 {
							t.Fatalf("told again of %v: %s, then %s", reasons, brief(events), brief(again))
						}
						sub.LastEventID = lastID(again)
					}
					publish(t, b, "a:1", "log", "3")
					if _, n := gapsIn(subscribe(t, b, sub).now()); n != 1 {
						t.Errorf("what is new is not there")
					}
				})
			})
		}
	}
}

func overrun(t *testing.T, b *broker.Broker) {
	t.Helper()
	for range 3 {
		publish(t, b, "a:1", "log", "3")
	}
}

func overrunTopic(t *testing.T, b *broker.Broker) {
	t.Helper()
	for range 3 {
		publish(t, b, "a:1", "other", "3")
	}
}

// TestBroker_History_reportsLossOnce pages through what is held and asks again from where it
// arrived. Exactly one of these pages says that something is lost.
func TestBroker_History_reportsLossOnce(t *testing.T) {
	powerless := func(t *testing.T) *broker.Broker {
		k := newKeeper()
		b, _ := on(t, k, broker.Options{})
		for range 10 {
			publish(t, b, "a:1", "log", "1")
		}
		k.losePower()
		b, _ = on(t, k, broker.Options{})
		return b
	}
	begin := func(lose func(*testing.T, *broker.Broker)) func(*testing.T) *broker.Broker {
		return func(t *testing.T) *broker.Broker {
			b := start(t, broker.Options{Replay: engine.Limits{Messages: 5, Age: time.Minute}})
			for range 10 {
				publish(t, b, "a:1", "log", "1")
			}
			lose(t, b)
			return b
		}
	}
	for _, tt := range []struct {
		name   string
		begin  func(*testing.T) *broker.Broker
		after  string
		newest bool
	}{
		{"power", powerless, "k-2", false},
		{"power, newest first", powerless, "k-2", true},
		{"overrun", begin(overrun), "k-2", false},
		{"overrun, newest first", begin(overrun), "k-2", true},
		{"expired", begin(expire), "k-2", false},
		{"expired, newest first", begin(expire), "k-2", true},
		{"deleted", begin(remove), "k-2", false},
		{"another life", begin(overrun), "z-2", false},
		{"another life, newest first", begin(overrun), "z-2", true},
		{"another life, nothing left", begin(expire), "z-2", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := tt.begin(t)
				q := broker.Query{After: tt.after, Limit: 2, Newest: tt.newest}
				gaps := 0
				for pages := 0; ; pages++ {
					h, err := b.History(t.Context(), "a:1", q)
					if err != nil || pages > 10 {
						t.Fatalf("page %d: %v", pages, err)
					}
					if h.Gap {
						gaps++
					}
					if h.Next == nil && (tt.newest || pages > 6) {
						break
					}
					switch {
					case h.Next == nil: // it looks again
					case tt.newest:
						q.Before = h.Next.String()
					default:
						q.After = h.Next.String()
					}
					if h.Next == nil && len(h.Messages) > 0 {
						var m schemas.Message
						if err := json.Unmarshal(h.Messages[len(h.Messages)-1], &m); err != nil {
							t.Fatal(err)
						}
						q.After = m.ID.String()
					}
				}
				if gaps != 1 {
					t.Errorf("%d pages say that something is lost", gaps)
				}
			})
		})
	}
}
