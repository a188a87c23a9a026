package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestText_putTogether lets publishers of texts and of JSON parts and their readers run
// against each engine, for eight seconds each or for SLUICE_SOAK. Buffers hold eight
// messages. Publishers write random texts in random pieces, lose their connections and go
// on. Readers join with each kind of replay, stall, leave, and resume at the newest or at
// any other id that they ever saw. Servers on a disk and nodes of a cluster are killed and
// started again. What a reader has put together must be what was published: nothing twice,
// and nothing missing that no $gap announced. Of what is within the limits nothing may be
// missing at all, and no $gap is told to a reader of topics that are within the limits.
//
// SLUICE_SEED repeats the plans of a failed run, as far as processes do.
func TestText_putTogether(t *testing.T) {
	long := 8 * time.Second
	if text := os.Getenv("SLUICE_SOAK"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	if text := os.Getenv("SLUICE_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	for name, start := range textServices() {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			var seen textTally
			rounds := uint64(0)
			// A slow machine may not get far in the time.
			for until := time.Now().Add(long); (time.Now().Before(until) || !seen.covers() && rounds < 20) && !t.Failed(); rounds++ {
				newTextRound(t, s, &seen, seed, rounds).run()
			}
			t.Logf("SLUICE_SEED=%d: %d rounds, %v", seed, rounds, &seen)
			if !seen.covers() {
				t.Error("the rounds covered too little")
			}
		})
	}
}

// textTally counts what has happened.
type textTally struct {
	received, joined, gaps, resumed, cut, wentOn, killed atomic.Int64
}

// covers reports whether all has happened that a test is for.
func (n *textTally) covers() bool {
	return n.gaps.Load() > 0 && n.joined.Load() > 0 && n.resumed.Load() > 0 && n.wentOn.Load() > 0
}

func (n *textTally) String() string {
	return fmt.Sprintf("%d messages received, %d of them joined of several, %d gaps told, %d streams resumed; %d uploads cut, %d went on; %d servers killed",
		n.received.Load(), n.joined.Load(), n.gaps.Load(), n.resumed.Load(), n.cut.Load(), n.wentOn.Load(), n.killed.Load())
}

// textService is what a test publishes to: one server, or the nodes of a cluster.
type textService struct {
	nodes []*beacon
	// restart kills the i-th node and starts it again; nil if that loses everything.
	restart func(i int)
}

// find returns where one of the nodes is; "" when ctx ends.
func (s *textService) find(ctx context.Context, random *rand.Rand) string {
	return s.nodes[random.IntN(len(s.nodes))].find(ctx)
}

// textServices starts a service with each engine.
func textServices() map[string]func(testing.TB) *textService {
	flags := func(t testing.TB) []string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "channels.yaml")
		replace(t, file, []byte(`channels: [{name: "together:{round}:{n}", topics: {parts: {merge: {append: /delta, key: [/type, /id]}}}}]`))
		return []string{"--replay-messages=8", "--channels=" + file, "--log-level=error"}
	}
	single := func(t testing.TB, args ...string) (*server, *beacon) {
		t.Helper()
		s, b := serve(t, nil, "sluice", append(args, "--api-keys="+testKey)...), newBeacon()
		b.move(s.url)
		return s, b
	}
	return map[string]func(testing.TB) *textService{
		"memory": func(t testing.TB) *textService {
			_, b := single(t, append(flags(t), "--signing-secret="+strings.Repeat("s", 64))...)
			return &textService{nodes: []*beacon{b}}
		},
		"disk": func(t testing.TB) *textService {
			args := append(flags(t), "--api-keys="+testKey, "--data="+t.TempDir())
			s, b := single(t, args...)
			return &textService{nodes: []*beacon{b}, restart: func(int) {
				b.move("")
				s.kill()
				s = serve(t, nil, "sluice", args...)
				b.move(s.url)
			}}
		},
		"cluster": func(t testing.TB) *textService {
			c, s := startCluster(t, flags(t)...), new(textService)
			for _, n := range c.nodes {
				b := newBeacon()
				b.move(n.url)
				s.nodes = append(s.nodes, b)
			}
			s.restart = func(i int) {
				n := c.nodes[i]
				s.nodes[i].move("")
				n.kill()
				n.server = serve(t, nil, "sluice", n.args...)
				s.nodes[i].move(n.url)
			}
			return s
		},
	}
}

// textRound is a few new channels with their publishers and readers.
type textRound struct {
	*testing.T
	*textService
	seen   *textTally
	random *rand.Rand
	repro  string
	plans  []*channelPlan
	calm   chan struct{} // closed when everything is published
	failed sync.Once
	stop   context.CancelFunc
}

func newTextRound(t *testing.T, s *textService, seen *textTally, seed, n uint64) *textRound {
	r := &textRound{
		T: t, textService: s, seen: seen, random: rand.New(rand.NewPCG(seed, n)),
		repro: fmt.Sprintf("SLUICE_SEED=%d, round %d", seed, n), calm: make(chan struct{}),
	}
	r.plans = []*channelPlan{quietChannel(r.random), noisyChannel(r.random), crowdedChannel(r.random)}
	for i, p := range r.plans {
		p.name = fmt.Sprintf("together:%d:%d", n, i)
		p.partIDs, p.noiseAt = make([]uint64, len(p.parts)), make(map[int]uint64)
	}
	return r
}

// fork returns a source of random numbers for one goroutine.
func (r *textRound) fork() *rand.Rand { return rand.New(rand.NewPCG(r.random.Uint64(), 0)) }

func (r *textRound) run() {
	ctx, stop := context.WithTimeout(r.Context(), 4*patience)
	defer stop()
	r.stop = stop
	var publishing, reading sync.WaitGroup
	client := newClient(r)
	for _, plan := range r.plans {
		p := &textPublisher{textRound: r, plan: plan, http: client}
		p.start(ctx, &publishing)
	}
	for range 9 {
		f := newTextReader(r)
		reading.Go(func() { f.read(ctx) })
	}
	published := make(chan struct{})
	go func() { // ends with the publishers
		publishing.Wait()
		close(published)
	}()
	r.killNodes(published)
	for _, plan := range r.plans {
		p := &textPublisher{textRound: r, plan: plan, http: client, random: r.fork()}
		p.put(ctx, "last", "true", "last")
	}
	close(r.calm)
	reading.Wait()
}

// fail reports the first fault of the round, and ends the round.
func (r *textRound) fail(format string, args ...any) {
	r.failed.Do(func() {
		r.Errorf("%s: %s", r.repro, fmt.Sprintf(format, args...))
		r.stop()
	})
}

// killNodes kills a node now and then until everything is published.
func (r *textRound) killNodes(published <-chan struct{}) {
	for {
		pause := time.NewTimer(time.Duration(100+r.random.IntN(1200)) * time.Millisecond)
		select {
		case <-published:
			pause.Stop()
			return
		case <-pause.C:
		}
		if r.restart != nil {
			r.restart(r.random.IntN(len(r.nodes)))
			r.seen.killed.Add(1)
		}
	}
}
