package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/natstest"
)

// enders end runs, one after the other in each channel, on whichever server there is, and note
// which ends were answered.
type enders struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	servers  []*server
	answered []string // guarded by mu; as hookEvent.what has them
}

// endRuns ends runs until stop.
func endRuns(t testing.TB, servers ...*server) *enders {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &enders{stop: cancel, servers: slices.Clone(servers)}
	for i := range 6 {
		e.running.Go(func() { // until ctx ends
			client := newClient(t)
			for n := 0; ctx.Err() == nil; n++ {
				e.end(ctx, client, fmt.Sprint("storm:", i), fmt.Sprint("r", n))
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		e.running.Wait()
	})
	return e
}

// end tries to end a run once, so it may have ended though that is not noted.
func (e *enders) end(ctx context.Context, c *http.Client, channel, run string) {
	e.mu.Lock()
	s := e.servers[rand.N(len(e.servers))]
	e.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url+"/v1/channels/"+channel+"/run", strings.NewReader(`{"status":"completed","run_id":"`+run+`"}`))
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := c.Do(req)
	if err != nil {
		<-time.After(10 * time.Millisecond) // the server is gone
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.answered = append(e.answered, "run.completed "+channel+" "+run)
	}
}

func (e *enders) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.answered)
}

func (e *enders) use(servers ...*server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.servers = slices.Clone(servers)
}

// expect waits until every end that was answered was delivered. Each has one id, however often
// it came, and those of a channel came in order.
func (e *enders) expect(t testing.TB, r *hookReceiver) {
	t.Helper()
	missing := func() (list []string) {
		whats, _ := r.got()
		got := make(map[string]bool)
		for _, what := range whats {
			got[what] = true
		}
		for _, what := range e.answered {
			if !got[what] {
				list = append(list, what)
			}
		}
		return list
	}
	eventually(t, func() bool { return len(missing()) == 0 }, func() string { return fmt.Sprint(missing()) })
	whats, again := r.got()
	t.Logf("%d runs ended, %d of them were answered, %d events came again", len(whats), len(e.answered), again)
	if distinct := slices.Compact(slices.Sorted(slices.Values(whats))); len(distinct) != len(whats) {
		t.Errorf("%d events about %d runs", len(whats), len(distinct))
	}
	last := make(map[string]int)
	for _, what := range whats {
		var channel string
		var n int
		if _, err := fmt.Sscanf(what, "run.completed %s r%d", &channel, &n); err != nil {
			t.Fatal(what, err)
		}
		if before, some := last[channel]; some && n <= before {
			t.Errorf("%s: run %d came after run %d", channel, n, before)
		}
		last[channel] = n
	}
}

// flaky accepts two of three events, some of them late.
func flaky(hookEvent) bool {
	switch rand.N(9) {
	case 0, 1, 2:
		return false
	case 3:
		<-time.After(200 * time.Millisecond)
	}
	return true
}

// TestWebhooks_storm kills the server again and again while runs end and its receiver fails
// every now and then.
func TestWebhooks_storm(t *testing.T) {
	t.Parallel()
	dir, r := t.TempDir(), receiveHooks(t)
	args := r.args(t)
	r.answers(flaky)
	s := onDisk(t, dir, args...)
	e := endRuns(t, s)
	for range 4 {
		before := e.count()
		eventually(t, func() bool { return e.count() > before+40 })
		s.kill()
		s = onDisk(t, dir, args...)
		e.use(s)
	}
	e.stop()
	e.running.Wait()
	r.answers(nil)
	e.expect(t, r)
}

// TestWebhooks_stormOfNodes does the same to the nodes of a cluster, each in its turn.
func TestWebhooks_stormOfNodes(t *testing.T) {
	t.Parallel()
	r, nats := receiveHooks(t), natstest.Start(t, "")
	args := append(r.args(t), "--api-keys="+testKey, "--nats="+nats.URL())
	r.answers(flaky)
	nodes := []*server{serve(t, nil, "sluice", args...), serve(t, nil, "sluice", args...)}
	e := endRuns(t, nodes...)
	for n := range 3 {
		before := e.count()
		eventually(t, func() bool { return e.count() > before+40 })
		nodes[n%2].kill()
		nodes[n%2] = serve(t, nil, "sluice", args...)
		e.use(nodes...)
	}
	e.stop()
	e.running.Wait()
	r.answers(nil)
	e.expect(t, r)
}
