//go:build unix

package nats_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

// insist appends until that is acknowledged, as a publisher with a key does. It may be
// called from any goroutine: the caller looks at t.Failed.
func (n *node) insist(t testing.TB, e engine.Entry) schemas.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r, err := n.Append(ctx, e)
		if err == nil {
			return r
		}
		if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrUncertain) {
			t.Error(err)
			return schemas.Receipt{}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Error(err)
			return schemas.Receipt{}
		}
	}
}

// A connection that breaks again and again loses messages in the middle.
func TestEngine_repair_lostConnections(t *testing.T) {
	const messages = 1000
	server := natstest.Start(t, "")
	proxy := natstest.NewProxy(t, server)
	a := start(t, nats.Options{URLs: []string{server.URL()}, Retain: engine.Limits{Messages: 2 * messages}})
	b := start(t, nats.Options{URLs: []string{proxy.URL()}, Retain: engine.Limits{Messages: 2 * messages}})
	b.follow(t, "c:1", "c:*")
	a.put(t, entry("c:1", "0"))
	b.delivered(t, "c:1", "0")
	for i := 1; i <= messages; i++ {
		if i%250 == 100 {
			proxy.Drop()
		}
		a.put(t, entry("c:1", fmt.Sprint(i)))
		a.put(t, entry("c:2", fmt.Sprint(i)))
	}
	b.delivered(t, "c:1", numbers(0, messages)...)
	b.delivered(t, "c:2", numbers(1, messages)...)
	if b.Stats().Repaired == 0 {
		t.Error("nothing was repaired: the test lost nothing")
	}
}

// The last message before a silence was lost: no later one shows it.
func TestEngine_repair_lastMessage(t *testing.T) {
	server := natstest.Start(t, "")
	proxy := natstest.NewProxy(t, server)
	a := start(t, nats.Options{URLs: []string{server.URL()}})
	b := start(t, nats.Options{URLs: []string{proxy.URL()}})
	b.follow(t, "exact", "p:*")
	proxy.Cut()
	a.put(t, entry("exact", "1"))
	a.put(t, entry("p:new", "1"))
	proxy.Mend()
	b.delivered(t, "exact", "1")
	b.delivered(t, "p:new", "1")
}

func TestEngine_cutOff(t *testing.T) {
	t.Parallel() // it waits
	server := natstest.Start(t, "")
	proxy := natstest.NewProxy(t, server)
	a := start(t, nats.Options{URLs: []string{server.URL()}})
	opts := nats.Options{URLs: []string{proxy.URL()}, CutOff: 4 * time.Second, Timeout: patience}
	b := start(t, opts)
	b.follow(t, "c")
	proxy.Cut()
	b.until(t, "red", func() bool { return errors.Is(b.Ready(), engine.ErrUnavailable) })
	begun := time.Now()
	if _, err := b.Append(t.Context(), entry("c", "0")); !errors.Is(err, engine.ErrUnavailable) || time.Since(begun) > opts.Timeout/4 {
		t.Errorf("append: %v after %s", err, time.Since(begun))
	}
	if err := b.Subscribe(t.Context(), "d"); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("follow: %v", err)
	}
	if _, err := b.Load(t.Context(), "c"); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("load: %v", err)
	}
	a.put(t, entry("c", "1"))
	severed := func() int { b.mu.Lock(); defer b.mu.Unlock(); return b.severed }
	b.until(t, "severing", func() bool { return severed() > 0 })
	proxy.Mend()
	b.until(t, "green", func() bool { return b.Ready() == nil })
	if got := b.of("c"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("green, but delivered %v", got)
	}
	b.put(t, entry("c", "2"))
	b.delivered(t, "c", "1", "2")
	if severed() != 1 {
		t.Errorf("severed %d times", severed())
	}
}

// elections subscribes, at a server other than the leader, to what is said of new ones.
func elections(t *testing.T, servers []*natstest.Server, leader *natstest.Server) *natsio.Subscription {
	t.Helper()
	i := slices.IndexFunc(servers, func(s *natstest.Server) bool { return s != leader })
	conn, err := natsio.Connect(servers[i].URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	sub, err := conn.SubscribeSync(jetstream.LeaderElected + "sluice-0")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

// Whatever happens to one server of three, every node delivers every acknowledged
// message once.
func TestEngine_cluster(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	// Servers that need long to find each other would otherwise get a stream with one
	// replica, which does not outlive its leader.
	opts := nats.Options{URLs: natstest.URLs(servers), Replicas: 3}
	list := make([]*node, 3)
	for i := range list {
		own := opts
		own.URLs = slices.Concat(opts.URLs[i:], opts.URLs[:i])
		list[i] = start(t, own)
		list[i].follow(t, "c", "*")
	}
	f := watch(t, list[1].Engine)
	sent := 0
	phase := func(what string, disturb func()) {
		t.Helper()
		begun := time.Now()
		for i := range 60 {
			if i == 20 {
				disturb()
			}
			key := fmt.Sprint(sent)
			var pair sync.WaitGroup // two nodes insist on the same at once
			var receipts [2]schemas.Receipt
			for k := range receipts {
				pair.Go(func() { receipts[k] = list[(i+k)%3].insist(t, keyed("c", key, key)) })
			}
			pair.Wait()
			if t.Failed() {
				t.FailNow()
			}
			if receipts[0].ID != receipts[1].ID {
				t.Fatalf("%s: receipts %v and %v", what, receipts[0].ID, receipts[1].ID)
			}
			sent++
		}
		for _, n := range list {
			n.delivered(t, "c", numbers(0, sent-1)...)
		}
		t.Logf("%s: %s", what, time.Since(begun).Round(time.Millisecond))
	}
	phase("quiet", func() {})
	leader := leaderOf(t, servers)
	elected := elections(t, servers, leader)
	phase("the leader is killed", leader.Kill)
	if _, err := elected.NextMsg(patience); err != nil {
		t.Errorf("nothing was heard of a new leader: %v", err)
	}
	leader.Restart()
	hung := leaderOf(t, servers)
	phase("the leader hangs", hung.Stop)
	hung.Continue()
	phase("it goes on", func() {})
	phase("all are killed", func() {
		for _, s := range servers {
			s.Kill()
		}
		var all sync.WaitGroup
		for _, s := range servers {
			all.Go(s.Restart)
		}
		all.Wait()
	})
	for i, n := range list {
		kept := n.load(t, "c")
		if got := texts(kept.Messages); !slices.Equal(got, numbers(max(0, sent-256), sent-1)) {
			t.Errorf("node %d keeps %v", i, got)
		}
	}
	f.Put(t, item("x", "1"))
	late := watch(t, open(t, opts))
	if late.State() != "map[test/x:1]" {
		t.Errorf("cluster state: %s", late.State())
	}
}

// A server that hangs may have stored what it was sent.
func TestEngine_Append_uncertain(t *testing.T) {
	server := natstest.Start(t, "")
	n := start(t, nats.Options{URLs: []string{server.URL()}, Timeout: 800 * time.Millisecond})
	n.follow(t, "c")
	n.insist(t, keyed("c", "1", "first")) // the timeout is short for a busy machine
	server.Stop()
	defer server.Continue()
	var all sync.WaitGroup // at once: soon the engine will know that nobody answers
	for _, e := range []engine.Entry{entry("c", "2"), keyed("c", "3", "k")} {
		all.Go(func() {
			if _, err := n.Append(t.Context(), e); !errors.Is(err, engine.ErrUncertain) {
				t.Errorf("%q: %v", e.Key, err)
			}
		})
	}
	all.Wait()
	server.Continue()
	n.until(t, "a receipt", func() bool { r, err := n.Append(t.Context(), keyed("c", "3", "k")); return err == nil && r.Durable })
	n.insist(t, keyed("c", "4", "last"))
	n.until(t, "delivery", func() bool { got := n.of("c"); return len(got) > 0 && got[len(got)-1] == "4" })
	if got := n.of("c"); count(got, "3") != 1 || count(got, "2") > 1 {
		t.Errorf("delivered %v", got)
	}
}

func count(list []string, text string) (n int) {
	for _, s := range list {
		if s == text {
			n++
		}
	}
	return n
}

// Whatever is published after Subscribe has returned arrives live, from any server to
// any other, even if the routes between them are busy.
func TestEngine_Subscribe_reachesTheLeader(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	list := make([]*node, 3)
	for i, s := range servers {
		list[i] = start(t, nats.Options{URLs: []string{s.URL()}})
	}
	stop := flood(t, servers)
	for i := range 200 {
		name := fmt.Sprint("c", i)
		a, b := list[i%3], list[(i+1)%3]
		b.follow(t, schemas.Pattern(name))
		a.put(t, entry(name, "1"))
	}
	stop()
	for i := range 200 {
		list[(i+1)%3].delivered(t, schemas.Channel(fmt.Sprint("c", i)), "1")
	}
	for _, n := range list {
		if repaired := n.Stats().Repaired; repaired > 0 {
			t.Errorf("%d messages did not come live", repaired)
		}
	}
}

// flood keeps the routes between servers busy until stop is called.
func flood(t testing.TB, servers []*natstest.Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i, s := range servers {
		conn, err := natsio.Connect(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Subscribe("flood", func(*natsio.Msg) {}); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer conn.Close()
			for ctx.Err() == nil {
				if i == 0 || conn.Publish("flood", make([]byte, 256<<10)) != nil || conn.FlushTimeout(time.Second) != nil {
					<-time.After(time.Millisecond)
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// A publish whose first answer comes too late is not its own duplicate.
func TestEngine_Append_lateAnswer(t *testing.T) {
	server := natstest.Start(t, "")
	n := start(t, nats.Options{URLs: []string{server.URL()}, Timeout: 4 * time.Second})
	b := newBroker(t, open(t, nats.Options{URLs: []string{server.URL()}, Timeout: 4 * time.Second}))
	n.follow(t, "c", "r")
	server.Stop()
	var all sync.WaitGroup
	all.Go(func() {
		r, err := n.Append(t.Context(), keyed("c", "1", "k"))
		if err != nil || r.Duplicate || !r.Durable {
			t.Errorf("receipt %+v, %v", r, err)
		}
	})
	all.Go(func() {
		r, err := b.SetRun(t.Context(), broker.RunPublication{Channel: "r", Change: schemas.RunChange{Status: schemas.RunCompleted}})
		if err != nil || r.Duplicate {
			t.Errorf("receipt of the run %+v, %v", r, err)
		}
	})
	<-time.After(1500 * time.Millisecond)
	server.Continue()
	all.Wait()
	n.delivered(t, "c", "1")
	n.until(t, "the run", func() bool { return len(n.of("r")) > 0 })
	if got := n.of("r"); len(got) != 1 {
		t.Errorf("run: delivered %v", got)
	}
}
