package broker_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
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

// roamer is a reader that lives through many connections. It loses its connection at
// any place in what was sent to it, and comes back, on any node, with the last id that
// tells its position.
type roamer struct {
	stream   *reader
	sub      broker.Subscription
	position string
	at       schemas.Position
	began    schemas.Position // where its first connection started
	got      []schemas.Message
	sure     int // so many of got were before the position; the rest is sent again
	fault    string
}

// receive holds one event against the promises.
func (r *roamer) receive(e event) {
	var m schemas.Message
	switch e.name {
	case "$gap", "$close":
		r.fault = fmt.Sprintf("%s: %s", e.name, e.data)
		return
	case "$open":
		if r.position != "" && e.id != r.position {
			r.fault = fmt.Sprintf("opened at %s, asked for %s", e.id, r.position)
		}
	case "$position":
	default:
		if err := json.Unmarshal([]byte(e.data), &m); err != nil {
			r.fault = err.Error()
		}
		r.got = append(r.got, m)
		if r.stream.Merges() && r.sub.Format == ring.NDJSON {
			return // the id is of one shard alone: what follows tells the rest
		}
	}
	p, err := schemas.ParsePosition(e.id)
	if err != nil {
		r.fault = fmt.Sprintf("%s: %v", e.id, err)
		return
	}
	for i := range min(len(p.Seqs), len(r.at.Seqs)) {
		if p.Seqs[i] < r.at.Seqs[i] {
			r.fault = fmt.Sprintf("went back from %s to %s", r.position, e.id)
		}
	}
	if r.position == "" {
		r.began = p
	}
	r.position, r.at, r.sure = e.id, p, len(r.got)
}

// check returns what is wrong with what r has received, when it was all that is
// published.
func (r *roamer) check(published []schemas.Message) string {
	var want []schemas.Message
	for _, m := range published {
		from, ok := r.began.In(m.ID.Shard, 3)
		wanted := slices.ContainsFunc(r.sub.Channels, func(sel broker.Selector) bool {
			return sel.Channel.Matches(m.Channel) && sel.Topics.Has(m.Topic)
		})
		if ok && wanted && m.ID.Seq > from {
			want = append(want, m)
		}
	}
	for shard := 1; shard <= 3; shard++ { // of each shard all, once, in order
		of := func(list []schemas.Message) (ids []schemas.ID) {
			for _, m := range list {
				if m.ID.Shard == shard {
					ids = append(ids, m.ID)
				}
			}
			return ids
		}
		if got, want := of(r.got), of(want); !slices.Equal(got, want) {
			return fmt.Sprintf("of shard %d got %d messages, want %d, alike up to the %d.", shard, len(got), len(want), alike(got, want))
		}
	}
	return ""
}

// alike returns how many ids both begin with.
func alike(a, b []schemas.ID) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// TestBroker_sharded_everythingOnce lets readers of one and of several shards move from
// node to node while messages are published on all of them, and channels are forgotten
// and loaded again. Over all its connections, each reader gets each message once, and
// those of a shard in order.
func TestBroker_sharded_everythingOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("a storm, left out with -short")
	}
	received, resumed := 0, 0
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			s := newShards()
			var nodes []*broker.Broker
			for range 2 {
				b, _ := s.on(t, broker.Options{Replay: engine.Limits{Messages: 10_000, Age: 24 * time.Hour}, Memory: 900_000, Heartbeat: 5 * time.Second})
				nodes = append(nodes, b)
			}
			var names []string
			for i := range 30 {
				names = append(names, fmt.Sprint([]string{"a:", "b:", "a:b:"}[i%3], i))
			}
			roamers := newRoamers(random, names)
			var published []schemas.Message
			for range 400 {
				switch random.IntN(8) {
				case 0:
					r := roamers[random.IntN(len(roamers))]
					r.leave()
				case 1:
					time.Sleep(time.Duration(random.IntN(20)) * time.Second)
				case 2, 3, 4:
					r := roamers[random.IntN(len(roamers))]
					if r.stream == nil {
						r.stream = subscribe(t, nodes[random.IntN(2)], r.sub)
						if r.position != "" {
							resumed++
						}
					}
					r.take(random.IntN(6))
				default:
					for range random.IntN(12) {
						p := message(names[random.IntN(len(names))])
						p.Topic = []schemas.Topic{"x", "y"}[random.IntN(2)]
						id := put(t, nodes[random.IntN(2)], p).ID
						published = append(published, schemas.Message{ID: id, Channel: p.Channel, Topic: p.Topic})
					}
				}
			}
			for _, r := range roamers {
				r.leave()
				r.stream = subscribe(t, nodes[random.IntN(2)], r.sub)
				r.take(-1)
				fault := r.fault
				if fault == "" {
					fault = r.check(published)
				}
				if fault != "" {
					t.Fatalf("seed %d: %v as %s: %s", seed, r.stream.Info().Channels, r.sub.Format, fault)
				}
				received += len(r.got)
			}
		})
	}
	t.Logf("%d messages received, %d connections resumed", received, resumed)
	if received == 0 || resumed == 0 {
		t.Error("the rounds covered too little")
	}
}

// TestBroker_sharded_concurrent is the same with publishers and readers at the same time,
// for the race detector.
func TestBroker_sharded_concurrent(t *testing.T) {
	const publishers, each = 4, 300
	b, _ := newShards().on(t, broker.Options{Replay: engine.Limits{Messages: 10_000}, Pace: -1})
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprint([]string{"a:", "b:", "a:b:"}[i%3], i))
	}
	var mu sync.Mutex
	var published []schemas.Message
	var running, reading sync.WaitGroup
	for n := range publishers {
		random := rand.New(rand.NewPCG(uint64(n), 8))
		running.Go(func() {
			for range each {
				p := message(names[random.IntN(len(names))])
				p.Topic = []schemas.Topic{"x", "y"}[random.IntN(2)]
				id := put(t, b, p).ID
				mu.Lock()
				published = append(published, schemas.Message{ID: id, Channel: p.Channel, Topic: p.Topic})
				mu.Unlock()
			}
		})
	}
	over := make(chan struct{})
	for i, r := range newRoamers(rand.New(rand.NewPCG(9, 9)), names) {
		random := rand.New(rand.NewPCG(uint64(i), 10))
		r.stream = subscribe(t, b, r.sub)
		reading.Go(func() {
			for done := false; !done; b.Streams(broker.Filter{}, 100) {
				select {
				case <-over:
					done = true
				default:
				}
				if r.stream == nil {
					r.stream = subscribe(t, b, r.sub)
				}
				if !done {
					r.take(random.IntN(20))
				}
			}
			fault := "?"
			for began := time.Now(); fault != "" && r.fault == "" && time.Since(began) < 20*time.Second; {
				r.take(-1) // no more than comes in a moment
				fault = r.check(published)
			}
			if fault = cmp.Or(r.fault, fault); fault != "" {
				t.Errorf("%v as %s: %s", r.stream.Info().Channels, r.sub.Format, fault)
			}
		})
	}
	running.Wait()
	slices.SortFunc(published, func(a, b schemas.Message) int { return cmp.Compare(a.ID.Seq, b.ID.Seq) })
	close(over)
	reading.Wait()
}

func newRoamers(random *rand.Rand, names []string) []*roamer {
	var roamers []*roamer
	for i := range 10 {
		asked := [][]string{{"*"}, {"a:*"}, {"a:b:*", "b:1"}, {"a:*/x", "b:*/y"}, {names[random.IntN(len(names))]}, {}}[i%6]
		for len(asked) == 0 || i%6 == 5 && len(asked) < 6 {
			if name := names[random.IntN(len(names))]; !slices.Contains(asked, name) {
				asked = append(asked, name)
			}
		}
		r := &roamer{sub: asking(asked...)}
		r.sub.Format = ring.Format(random.IntN(2))
		roamers = append(roamers, r)
	}
	return roamers
}

// take receives what is there; unless cut is negative, only the first events of it,
// now and then, and then the connection is gone.
func (r *roamer) take(cut int) {
	got := r.stream.now()
	gone := cut >= 0 && cut < 3 && len(got) > cut
	if gone {
		got = got[:cut]
	}
	for _, e := range got {
		if r.fault == "" {
			r.receive(e)
		}
	}
	if gone {
		r.leave()
	}
}

// leave gives up the connection. What came after the position comes again.
func (r *roamer) leave() {
	if r.stream == nil {
		return
	}
	r.stream.Close()
	r.stream, r.got = nil, r.got[:r.sure]
	r.sub.LastEventID = r.position
}

// TestBroker_sharded_resumeAnywhere reads thirty channels at once and then resumes with
// every id that was on the wire. Each time, exactly what had followed that id follows
// again.
func TestBroker_sharded_resumeAnywhere(t *testing.T) {
	for _, asked := range [][]string{{"*"}, {"c:1", "c:2", "c:3", "c:4", "c:17"}, {"c:*/x"}} {
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			t.Run(fmt.Sprint(asked, format), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newShards()
					b, _ := s.on(t, broker.Options{})
					sub := asking(asked...)
					sub.Format = format
					r := subscribe(t, b, sub)
					first := r.now()
					for i := range 90 {
						p := message(fmt.Sprint("c:", i%30))
						p.Topic = []schemas.Topic{"x", "y"}[i/7%2]
						put(t, b, p)
						if i%5 == 0 {
							first = append(first, r.now()...)
						}
					}
					first = append(first, r.now()...)
					fresh, _ := s.on(t, broker.Options{})
					for i, e := range first {
						if format == ring.NDJSON && e.name[0] != '$' {
							continue
						}
						for _, b := range []*broker.Broker{b, fresh} {
							again := subscribe(t, b, after(sub, e.id))
							got := again.now()
							if told(got[:1]) != "$open@"+strings.TrimPrefix(e.id, "k.")+"[true]" {
								t.Fatalf("%s: begins with %s", e.id, told(got[:1]))
							}
							if got, want := dataOf(got), dataOf(first[i+1:]); !slices.Equal(got, want) {
								t.Fatalf("after %s: got %d messages, want %d:\n%s\n%s", e.id, len(got), len(want), got, want)
							}
							again.Close()
						}
					}
				})
			})
		}
	}
}

// texts returns the messages among the events, in the order of their text.
func dataOf(events []event) (list []string) {
	for _, e := range events {
		if e.name[0] != '$' {
			list = append(list, e.data)
		}
	}
	slices.Sort(list)
	return list
}
