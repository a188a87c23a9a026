package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// on starts a broker over a node of k.
func on(t testing.TB, k *keeper, opts broker.Options) (*broker.Broker, *node) {
	t.Helper()
	n := k.node()
	opts.Engine = n
	return start(t, opts), n
}

func TestBroker_persistent_resumesAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, _ := on(t, k, broker.Options{})
		publish(t, b, "a:1", "x", "1")
		publish(t, b, "a:2", "x", "2")
		publish(t, b, "a:1", "x", "3")
		publish(t, b, "a:1", "y", "4")
		setRun(t, b, "a:1", schemas.RunChange{Status: schemas.RunRunning})
		if n := b.Stats().Channels; n != 0 {
			t.Errorf("%d channels in memory that nobody reads", n)
		}

		b, _ = on(t, k, broker.Options{})
		for _, tt := range []struct {
			name string
			sub  broker.Subscription
			want string
		}{
			{"resume", resuming(asking("a:1"), 1), "$open@1 x@3 y@4 $run@5"},
			{"resume with a topic", resuming(asking("a:1/y"), 1), "$open@1 y@4 $run@5"},
			{"resume several", resuming(asking("a:1", "a:2"), 1), "$open@1 x@2 x@3 y@4 $run@5"},
			{"resume a pattern", resuming(asking("a:*"), 2), "$open@2 x@3 y@4 $run@5"},
			{"fresh", asking("a:1"), "$open@5 $run@5"},
			{"replay all", replaying(asking("a:*"), "all"), "$open@0 $run@0[5] x@1 x@2 x@3 y@4"},
			{"replay latest", replaying(asking("a:1"), "latest"), "$open@2 $run@2[5] x@3 y@4"},
			{"another life", broker.Subscription{Channels: asking("a:2").Channels, LastEventID: "z-1"}, "$open@1 $gap@1[a:2 restarted>z-1<2] x@2"},
			{"no such channel", resuming(asking("b"), 1), "$open@1"},
		} {
			r := subscribe(t, b, tt.sub)
			want(t, tt.name, r.now(), tt.want)
			r.Close()
		}
		page, err := b.History(t.Context(), "a:1", broker.Query{Limit: 10})
		if err != nil || len(page.Messages) != 4 || page.FirstID.Seq != 1 || page.LastID.Seq != 5 {
			t.Errorf("history %s, %v", page.Messages, err)
		}
		infos, _, err := b.Channels(t.Context(), "a:", "", 10)
		if err != nil || len(infos) != 2 || infos[0].Messages != 4 || infos[0].Run == nil {
			t.Errorf("channels %+v, %v", infos, err)
		}
	})
}

// TestBroker_persistent_onlyWhatIsRead: a channel stays in memory while somebody reads it and a
// moment longer, and misses nothing during that time.
func TestBroker_persistent_onlyWhatIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, n := on(t, k, broker.Options{})
		r := subscribe(t, b, asking("a:1"))
		publish(t, b, "a:1", "x", "1")
		want(t, "live", r.now(), "$open@0 x@1")
		r.Close()
		if b.Stats().Channels != 1 || !n.following("a:1") {
			t.Error("gone at once")
		}
		r = subscribe(t, b, resuming(asking("a:1"), 1)) // back in time
		time.Sleep(time.Hour)
		if !n.following("a:1") {
			t.Error("not subscribed to while it is read")
		}
		r.Close()
		time.Sleep(time.Minute)
		if s := b.Stats(); s.Channels != 0 || s.LogBytes != 0 || n.following("a:1") {
			t.Errorf("after its last reader has left: %d channels, %d bytes", s.Channels, s.LogBytes)
		}
		publish(t, b, "a:1", "x", "2")
		r = subscribe(t, b, resuming(asking("a:1"), 1))
		publish(t, b, "a:1", "x", "3")
		want(t, "after the pause", r.now(), "$open@1 x@2 x@3")
	})
}

// TestBroker_persistent_patternThenOlder: a channel that is in memory for the reader of a pattern
// has no older messages there until somebody needs them.
func TestBroker_persistent_patternThenOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, n := on(t, k, broker.Options{})
		for i := range 5 {
			publish(t, b, "a:1", "x", fmt.Sprint(i))
		}
		r := subscribe(t, b, asking("a:*"))
		publish(t, b, "a:1", "x", "5")
		want(t, "pattern", r.now(), "$open@5 x@6")
		if got := n.loaded(); got != 0 {
			t.Errorf("%d loads for a reader that needs no past", got)
		}
		older := subscribe(t, b, resuming(asking("a:1"), 2))
		publish(t, b, "a:1", "x", "6")
		want(t, "older", older.now(), "$open@2 x@3 x@4 x@5 x@6 x@7")
		want(t, "pattern again", r.now(), "x@7")
		if got := n.loaded(); got != 1 {
			t.Errorf("%d loads", got)
		}
	})
}

// TestBroker_persistent_evicted: messages that do not fit into memory are not lost. A reader that
// is behind is disconnected, and finds everything when it comes back.
func TestBroker_persistent_evicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, _ := on(t, k, broker.Options{Memory: 200_000, Replay: engine.Limits{Messages: 1000}})
		slow := subscribe(t, b, asking("a:1"))
		want(t, "open", slow.now(), "$open@0")
		for i := range 100 {
			publish(t, b, "a:1", "x", fmt.Sprint(i))
		}
		other := subscribe(t, b, asking("b"))
		other.now()
		time.Sleep(2 * time.Second)
		data := `"` + strings.Repeat("x", 2000) + `"`
		for range 200 { // a:1 has been idle for longer
			publish(t, b, "b", "x", data)
		}
		want(t, "behind", slow.now(), "$close@0[4003]")
		again := subscribe(t, b, resuming(asking("a:1"), 0))
		if got := again.now(); len(got) != 101 || got[1].id != "k-1" || got[100].id != "k-100" {
			t.Errorf("%d events: %s", len(got), brief(got))
		}
	})
}

func TestBroker_persistent_engineDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, n := on(t, k, broker.Options{})
		publish(t, b, "a", "x", "1")
		r := subscribe(t, b, asking("a"))
		r.now()
		n.fail(engine.ErrUnavailable)
		if err := b.Ready(); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("ready: %v", err)
		}
		if _, err := b.Publish(t.Context(), broker.Publication{Channel: "a", Topic: "x", Data: []byte("2")}); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("publish: %v", err)
		}
		for _, name := range []string{"b", "b:*"} {
			if _, err := b.Subscribe(t.Context(), asking(name)); !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("subscribe %s: %v", name, err)
			}
		}
		if n := b.Stats().Streams; n != 1 {
			t.Errorf("%d streams", n)
		}
		n.fail(nil)
		publish(t, b, "a", "x", "2")
		want(t, "who stayed", r.now(), "x@2")
		fresh := subscribe(t, b, asking("b:*"))
		publish(t, b, "b:1", "x", "3")
		want(t, "after it", fresh.now(), "$open@2 x@3")
	})
}

// TestBroker_persistent_outOfOrder: a message that the node missed and gets later reaches every
// reader once, including those that are past its position.
func TestBroker_persistent_outOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, n := on(t, k, broker.Options{})
		alone := subscribe(t, b, asking("a"))
		merged := subscribe(t, b, asking("a", "b"))
		pattern := subscribe(t, b, replaying(asking("*/x"), "none"))
		for _, r := range []*reader{alone, merged, pattern} {
			r.now()
		}
		n.deafen("a")
		publish(t, b, "a", "x", "1")
		publish(t, b, "a", "y", "2")
		publish(t, b, "b", "x", "3")
		want(t, "merged before", merged.now(), "x@3")
		want(t, "pattern before", pattern.now(), "x@3")
		hopped := subscribe(t, b, resuming(asking("a", "b"), 3)) // it had them elsewhere
		want(t, "hopped", hopped.now(), "$open@3")
		n.repair()
		publish(t, b, "a", "x", "4")
		want(t, "alone", alone.now(), "x@1 y@2 x@4")
		want(t, "merged", merged.now(), "x@3[1] y@3[2] x@4")
		want(t, "pattern", pattern.now(), "x@3[1] x@4")
		want(t, "hopped after", hopped.now(), "x@4")
		want(t, "from before", subscribe(t, b, resuming(asking("a", "b"), 0)).now(), "$open@0 x@1 y@2 x@3 x@4")
	})
}

// TestBroker_persistent_missed: streams of several channels do not pass a message that comes
// late, however many newer ones of other channels come with it, until the engine says that
// nothing is missing. A stream of one channel does not wait.
func TestBroker_persistent_missed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, n := on(t, k, broker.Options{})
		alone := subscribe(t, b, asking("a:1"))
		merged := subscribe(t, b, asking("a:1", "a:2"))
		pattern := subscribe(t, b, asking("a:*"))
		for _, r := range []*reader{alone, merged, pattern} {
			r.now()
		}
		missed := func(channel schemas.Channel, seq uint64) {
			n.sink.DeliverMissed(schemas.Message{
				ID: schemas.ID{Epoch: 20, Seq: seq}, Channel: channel, Topic: "x", Kind: schemas.KindData, Data: fmt.Append(nil, seq), CreatedAt: schemas.TimeOf(time.Now()),
			}, engine.Limits{})
		}
		missed("a:1", 2)
		missed("a:1", 3)
		want(t, "alone", alone.now(), "x@2 x@3")
		want(t, "merged, before", merged.now(), "")
		want(t, "pattern, before", pattern.now(), "")
		missed("a:2", 1)
		want(t, "merged, still before", merged.now(), "")
		n.sink.Reached(3)
		want(t, "merged", merged.now(), "x@1 x@2 x@3")
		want(t, "pattern", pattern.now(), "x@1 x@2 x@3")
	})
}

// TestBroker_persistent_loadedBeforeDelivered: a message that is delivered after it was loaded
// still reaches the readers that were there before the load.
func TestBroker_persistent_loadedBeforeDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		b, n := on(t, k, broker.Options{})
		merged := subscribe(t, b, asking("a:*"))
		merged.now()
		n.deafen("a:1")
		publish(t, b, "a:1", "x", "1")
		alone := subscribe(t, b, resuming(asking("a:1"), 0))
		want(t, "who made it load", alone.now(), "$open@0 x@1")
		n.repair()
		want(t, "who was there", merged.now(), "x@1")
		publish(t, b, "a:2", "x", "2")
		want(t, "who was there, after that", merged.now(), "x@2")
		publish(t, b, "a:1", "x", "3")
		want(t, "who made it load, again", alone.now(), "x@3")
	})
}

// TestBroker_persistent_knownNotDelivered: a replay of a channel in memory includes a message of
// which only the position has arrived.
func TestBroker_persistent_knownNotDelivered(t *testing.T) {
	for _, replay := range []string{"all", "latest", "1"} {
		synctest.Test(t, func(t *testing.T) {
			k := newKeeper()
			b, n := on(t, k, broker.Options{})
			subscribe(t, b, asking("a")).now()
			n.deafen("a")
			publish(t, b, "a", "x", "1")
			if _, err := b.History(t.Context(), "b", broker.Query{After: "k-1", Limit: 1}); err != nil { // the broker learns of position 1
				t.Fatal(err)
			}
			r := subscribe(t, b, replaying(asking("a"), replay))
			want(t, replay+", before", r.now(), "$open@0")
			n.repair()
			want(t, replay, r.now(), "x@1")
		})
	}
}

// TestBroker_persistent_hop lets readers move from node to node while messages are
// published on all of them, and channels are forgotten and loaded again. Each reader
// gets each message once, and those of a channel in order.
func TestBroker_persistent_hop(t *testing.T) {
	if testing.Short() {
		t.Skip("a storm, left out with -short")
	}
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			k := newKeeper()
			var nodes []*broker.Broker
			for range 3 {
				b, _ := on(t, k, broker.Options{Replay: engine.Limits{Messages: 10_000, Age: 24 * time.Hour}, Memory: 300_000})
				nodes = append(nodes, b)
			}
			wants := [][]string{{"a:1"}, {"a:1", "b"}, {"a:*"}, {"*"}, {"a:2", "a:*"}}
			type hopper struct {
				*reader
				asked    []string
				position string
				got      map[string]bool
				last     map[string]uint64
			}
			var hoppers []*hopper
			for i := range 8 {
				hoppers = append(hoppers, &hopper{asked: wants[i%len(wants)], position: "k-0", got: make(map[string]bool), last: make(map[string]uint64)})
			}
			take := func(h *hopper) {
				for _, e := range h.now() {
					if e.id != "" {
						h.position = e.id
					}
					if strings.HasPrefix(e.name, "$") {
						if e.name == "$gap" {
							t.Fatalf("seed %d: %v is told of a gap: %s", seed, h.asked, e.data)
						}
						continue
					}
					var m schemas.Message
					if err := json.Unmarshal([]byte(e.data), &m); err != nil {
						t.Fatal(err)
					}
					if h.got[m.ID.String()] || m.ID.Seq <= h.last[string(m.Channel)] {
						t.Fatalf("seed %d: %v gets %s of %s after %d", seed, h.asked, m.ID, m.Channel, h.last[string(m.Channel)])
					}
					h.got[m.ID.String()], h.last[string(m.Channel)] = true, m.ID.Seq
				}
			}
			hop := func(h *hopper) {
				if h.reader != nil {
					h.Close()
				}
				sub := asking(h.asked...)
				sub.LastEventID = h.position
				h.reader = subscribe(t, nodes[random.IntN(3)], sub)
			}
			sent := make(map[schemas.Channel]int)
			for range 400 {
				switch h := hoppers[random.IntN(len(hoppers))]; random.IntN(10) {
				case 0:
					hop(h)
				case 1, 2:
					if h.reader != nil {
						take(h)
					}
				case 3:
					time.Sleep(time.Duration(random.IntN(40)) * time.Second)
				default:
					name := schemas.Channel([]string{"a:1", "a:2", "b"}[random.IntN(3)])
					put(t, nodes[random.IntN(3)], broker.Publication{Channel: name, Topic: "x", Data: []byte(`"` + strings.Repeat("x", random.IntN(3000)) + `"`)})
					sent[name]++
				}
			}
			for _, h := range hoppers {
				for range 5 { // one that is sent away comes back
					if h.reader == nil || h.ended {
						hop(h)
					}
					take(h)
				}
				n := 0
				for name, count := range sent {
					for _, pattern := range h.asked {
						if schemas.Pattern(pattern).Matches(name) {
							n += count
							break
						}
					}
				}
				if len(h.got) != n {
					for name, list := range k.messages {
						for _, m := range list {
							for _, pattern := range h.asked {
								if schemas.Pattern(pattern).Matches(name) && !h.got[m.ID.String()] {
									t.Log("missing", m.ID, name)
								}
							}
						}
					}
					t.Fatalf("seed %d: %v got %d of %d messages", seed, h.asked, len(h.got), n)
				}
			}
		})
	}
}

// A list of channels loads none of them, whatever is in memory, and describes each like
// a request for that channel alone.
func TestBroker_Channels_loadsNothing(t *testing.T) {
	k := newKeeper()
	b, n := on(t, k, broker.Options{})
	for i := range 300 {
		name := fmt.Sprintf("a:%03d", i)
		for range 1 + i%3 {
			publish(t, b, name, "x", "1")
		}
		if i%5 == 0 {
			setRun(t, b, name, schemas.RunChange{Status: schemas.RunRunning, RunID: "r"})
		}
	}
	subscribe(t, b, asking("a:007", "waiting", "a:299"))
	before := n.loaded()
	var all []broker.ChannelInfo
	for next, more := schemas.Channel(""), true; more; more = next != "" {
		var page []broker.ChannelInfo
		var err error
		if page, next, err = b.Channels(t.Context(), "", next, 40); err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
	}
	if got := n.loaded() - before; got != 0 {
		t.Errorf("%d channels were loaded", got)
	}
	if len(all) != 301 || all[300].Channel != "waiting" || all[300].Subscribers != 1 || all[7].Subscribers != 1 {
		t.Fatalf("%d channels, the last is %+v, one with a reader %+v", len(all), all[len(all)-1], all[7])
	}
	for _, got := range all {
		want, err := b.Channel(t.Context(), got.Channel)
		if want.Bytes = got.Bytes; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("listed %+v, want %+v, %v", got, want, err)
		}
	}
}
