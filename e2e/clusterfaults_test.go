package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCluster_faults breaks one part of a cluster after the other, while publishers and
// 200 readers work through the load balancer: no acknowledged message is lost, none
// comes twice to a reader, and all readers see one order.
func TestCluster_faults(t *testing.T) {
	c := startCluster(t, "--nats-cut-off=4s", "--heartbeat=2s", "--replay-messages=100000", "--replay-bytes=256MiB", "--replay-age=1h")
	tr := newTraffic(t, c.url, 10)
	tr.follow(t.Context(), 200)
	eventually(t, tr.opened)
	tr.begin(t.Context(), 8, 30*time.Millisecond)
	// recovers waits until what is published now has reached every reader, and tells how
	// long that was since the fault.
	probes := 0
	recovers := func(fault string, since time.Time) {
		t.Helper()
		probes++
		text := fmt.Sprint("probe-", probes)
		var sending sync.WaitGroup
		for _, channel := range tr.channels {
			sending.Go(func() { tr.publish(t.Context(), channel, text+channel, true) })
		}
		sending.Wait()
		published := time.Since(since)
		eventually(t, func() bool {
			for _, channel := range tr.channels {
				if !tr.reached(channel, text+channel) {
					return false
				}
			}
			return true
		}, func() string {
			instead := fault + c.state(t.Context())
			for _, channel := range tr.channels {
				instead += tr.behind(channel, text+channel)
			}
			return instead
		})
		t.Logf("%s: publishes of all channels were acknowledged after %.1f s, and had reached all readers after %.1f s",
			fault, published.Seconds(), time.Since(since).Seconds())
	}
	recovers("no fault", time.Now())

	began := time.Now()
	c.nodes[0].kill()
	recovers("a node killed", began)
	c.nodes[0].restart(t)

	began = time.Now()
	c.servers[0].Kill()
	recovers("a NATS server killed", began)
	c.servers[0].Restart()

	began = time.Now()
	c.servers[1].Stop()
	recovers("a NATS server stopped", began)
	time.Sleep(time.Until(began.Add(20 * time.Second)))
	began = time.Now()
	c.servers[1].Continue()
	recovers("that server continued after 20 s", began)

	began = time.Now()
	node := c.nodes[1]
	node.cut()
	eventually(t, func() bool { return !node.isReady(t.Context(), tr.http) })
	t.Logf("a node cut off: not ready after %.1f s", time.Since(began).Seconds())
	recovers("a node cut off", began)
	began = time.Now()
	node.mend()
	eventually(t, func() bool { return node.isReady(t.Context(), tr.http) })
	t.Logf("that node back: ready after %.1f s", time.Since(began).Seconds())
	recovers("that node back", began)

	tr.end(c)
	sent := 0
	for _, f := range tr.readers {
		for _, data := range f.closes {
			if strings.Contains(data, `"code":4005`) {
				sent++
			}
		}
	}
	if sent == 0 {
		t.Error("no reader of the node that was cut off was sent elsewhere")
	}
	t.Logf("%d messages acknowledged, %d ordinary publishes without an answer; %d readers were sent elsewhere", len(tr.acked), tr.failed, sent)
}

// TestCluster_rolling starts one node after the other anew, as for a new version, while
// publishers and readers work through the load balancer, which asks nobody whether it is
// ready: nothing acknowledged is lost, nothing comes twice, and readers are sent away
// before their node ends.
func TestCluster_rolling(t *testing.T) {
	c := startCluster(t, "--drain-timeout=4s", "--replay-messages=100000", "--replay-bytes=256MiB", "--replay-age=1h")
	tr := newTraffic(t, c.url, 5)
	tr.follow(t.Context(), 50)
	eventually(t, tr.opened)
	tr.begin(t.Context(), 6, 20*time.Millisecond)
	for i, n := range c.nodes {
		text := fmt.Sprint("before-", i)
		tr.publish(t.Context(), tr.channels[0], text, true)
		ends()["SIGTERM"](t, n.server)
		n.restart(t)
		eventually(t, func() bool { return n.isReady(t.Context(), tr.http) })
	}
	tr.end(c)
	away := 0
	for _, f := range tr.readers {
		away += strings.Count(strings.Join(f.closes, ""), `"code":4002`)
	}
	if away < len(tr.readers) {
		t.Errorf("%d streams were told to go elsewhere, of %d readers on three nodes", away, len(tr.readers))
	}
	t.Logf("%d messages acknowledged, %d ordinary publishes refused or without an answer; %d streams sent elsewhere", len(tr.acked), tr.failed, away)
}

// TestCluster_sameKeyAtOnce publishes under the same key through three nodes at once,
// for 1,000 keys: one message each, and one receipt.
func TestCluster_sameKeyAtOnce(t *testing.T) {
	c := startCluster(t, "--replay-messages=10000")
	var nodes []*traffic
	for _, n := range c.nodes {
		nodes = append(nodes, newTraffic(t, n.url, 1))
	}
	const keys, atOnce = 1000, 16
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for k := range keys {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			ids := make([]string, len(nodes))
			var calls sync.WaitGroup
			for i, n := range nodes {
				calls.Go(func() {
					for try := 0; ids[i] == ""; try++ { // a busy cluster may say no; a retry is what the key is for
						var err error
						if ids[i], err = n.post(t.Context(), "keys:1", fmt.Sprint("key-", k), true); err != nil && try > 20 {
							t.Errorf("key %d: %v", k, err)
							return
						}
					}
				})
			}
			calls.Wait()
			if ids[0] != ids[1] || ids[1] != ids[2] {
				t.Errorf("key %d: ids %v", k, ids)
			}
		})
	}
	running.Wait()
	for _, n := range c.nodes {
		texts := make(map[string]int)
		for after := ""; ; {
			var page struct {
				Messages []struct{ Data string }
				Next     string
			}
			query := n.url + "/v1/channels/keys:1/messages?limit=1000"
			if after != "" {
				query += "&after=" + after
			}
			if status := call(t, newClient(t), testKey, "GET", query, "", &page); status != 200 {
				t.Fatalf("history: %d", status)
			}
			for _, m := range page.Messages {
				texts[m.Data]++
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(texts) != keys {
			t.Errorf("%d texts for %d keys", len(texts), keys)
		}
		for text, times := range texts {
			if times != 1 {
				t.Errorf("%s is there %d times", text, times)
			}
		}
	}
}
