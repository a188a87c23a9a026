package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSiege attacks a server for SLUICE_SIEGE, four seconds by default, in all the
// ways of siegeattack_test.go at once, while publishers and readers use it. No
// publish may be refused, no message lost, and memory stays bounded. The latencies
// before and under the attack are logged; they are figures, not limits.
//
// With SLUICE_SIEGE set, 3,000 slow clients take part.
func TestSiege(t *testing.T) {
	long, slow := 4*time.Second, 200
	if text := os.Getenv("SLUICE_SIEGE"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		slow = 3000
	}
	s := start(t, "--log-level=error")
	k := newSiege(t, s)
	quiet := k.use(t, min(long/4, 20*time.Second), nil)
	attacked := k.use(t, long, func(ctx context.Context, running *sync.WaitGroup) { k.attack(ctx, running, slow) })
	t.Logf("before: %v", quiet)
	t.Logf("under attack: %v", attacked)
	t.Logf("attacks: %v; resident at most %d MiB", k.counts(), peakMemory(t, s.cmd.Process.Pid)>>20)

	const most = 512 << 20
	if peak := peakMemory(t, s.cmd.Process.Pid); peak > most {
		t.Errorf("the process took up to %d MiB, at most %d MiB are expected", peak>>20, most>>20)
	}
	for name, n := range k.counts() {
		if n == 0 {
			t.Errorf("no attack of this kind happened: %s", name)
		}
	}
	if fault := k.fault.Load(); fault != nil {
		t.Error(*fault)
	}
}

// siegeChannels is how many channels are published to and read.
const siegeChannels = 10

// siege is what users and attackers share.
type siege struct {
	server *server
	token  string // to publish, which is all that an attacker was given
	served [siegeChannels]int
	fault  atomic.Pointer[string] // the first one

	mu       sync.Mutex
	attempts map[string]int // by kind of attack; guarded by mu
}

// newSiege defines the topics that attackers publish to.
func newSiege(t *testing.T, s *server) *siege {
	k := &siege{server: s, attempts: make(map[string]int)}
	const hostile = `{"topics":{
		"union":{"schema":{"anyOf":[{"type":"number"},
			{"type":"object","properties":{"arg":{"$ref":"#"}},"required":["arg"]},
			{"type":"object","properties":{"arg":{"$ref":"#"}},"required":["arg","x"]}]}},
		"flat":{"schema":{"type":"array","items":{"type":"object"}}},
		"any":{}}}`
	if status := s.call(t, http.MethodPut, "/v1/schemas/attacked:%7Bid%7D", hostile, nil); status != http.StatusOK && status != http.StatusCreated {
		t.Fatalf("define: %d", status)
	}
	_ = s.call(t, http.MethodPut, "/v1/schemas/costly:%7Bid%7D", costlyDefinition(), nil) // it may be refused
	var minted struct{ Token string }
	body := `{"publish":[{"channel":"attacked:*","topics":["*"]}],"ttl":"1h"}`
	if status := s.call(t, http.MethodPost, "/v1/tokens", body, &minted); status != http.StatusCreated {
		t.Fatalf("token: %d", status)
	}
	k.token = minted.Token
	return k
}

func (k *siege) failed(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	k.fault.CompareAndSwap(nil, &text)
}

// attempted counts an attack that was carried out.
func (k *siege) attempted(kind string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempts[kind]++
}

func (k *siege) counts() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	counts := make(map[string]int)
	for _, kind := range siegeKinds {
		counts[kind] = k.attempts[kind]
	}
	return counts
}

// latencies of one kind of request.
type latencies []time.Duration

// String gives the median, the 99th percentile and the highest.
func (l latencies) String() string {
	if len(l) == 0 {
		return "none"
	}
	slices.Sort(l)
	at := func(part float64) time.Duration { return l[int(part*float64(len(l)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d: median %v, 99%% %v, highest %v", len(l), at(0.5), at(0.99), at(1))
}

// usage is what users met in some time.
type usage struct{ publish, deliver, health latencies }

func (u *usage) String() string {
	return fmt.Sprintf("publish %v; delivery %v; health %v", u.publish, u.deliver, u.health)
}

// use publishes and reads for a while, and asks for the server's health, beside
// what others start.
func (k *siege) use(t *testing.T, long time.Duration, beside func(context.Context, *sync.WaitGroup)) *usage {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	u := new(usage)
	delivered := make([]latencies, 5*siegeChannels)
	for i := range delivered {
		opened := make(chan struct{}) // closed when the stream is open, or cannot be opened
		running.Go(func() { delivered[i] = k.read(ctx, t, i%siegeChannels, k.served[i%siegeChannels], opened) })
		<-opened
	}
	running.Go(func() { u.publish = k.publish(ctx, t) })
	running.Go(func() { u.health = k.askHealth(ctx, t) })
	if beside != nil {
		beside(ctx, &running)
	}
	wait(ctx, long)
	for end := time.Now().Add(patience); beside != nil && !k.attackedInAllWays() && time.Now().Before(end); {
		wait(ctx, 100*time.Millisecond) // the machine is slow
	}
	stop()
	running.Wait()
	u.deliver = slices.Concat(delivered...)
	return u
}

// attackedInAllWays reports whether there was an attack of every kind.
func (k *siege) attackedInAllWays() bool {
	for _, n := range k.counts() {
		if n == 0 {
			return false
		}
	}
	return true
}

// publish sends, to one channel after the other, a number and the time.
func (k *siege) publish(ctx context.Context, t *testing.T) (took latencies) {
	c := newClient(t)
	for n := 0; ctx.Err() == nil && k.fault.Load() == nil; n++ {
		channel := n % siegeChannels
		began := time.Now()
		body := fmt.Sprintf("[%d,%d]", k.served[channel], began.UnixNano())
		if status := call(t, c, k.server.key, "POST", fmt.Sprintf("%s/v1/publish/siege:%d/t", k.server.url, channel), body, nil); status != http.StatusCreated {
			k.failed("publish: %d", status)
		}
		took = append(took, time.Since(began))
		k.served[channel]++
		wait(ctx, 5*time.Millisecond)
	}
	return took
}

// read holds one stream open, in which the numbers from next on must come one
// after the other.
func (k *siege) read(ctx context.Context, t *testing.T, channel, next int, opened chan struct{}) (took latencies) {
	conn := dial(t, k.server.address())
	_ = conn.SetDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	tell := sync.OnceFunc(func() { close(opened) })
	defer tell()
	k.server.subscribeOn(t, conn, fmt.Sprintf("channel=siege:%d", channel), "")
	events, err := eventsOn(conn)
	for first := true; err == nil; first = false {
		var e event
		if e, err = events.next(); err != nil {
			break
		}
		switch {
		case first:
			tell()
		case e.Type == "$gap" || e.Type == "$close":
			k.failed("channel %d: %s %s", channel, e.Type, e.Data)
		case e.Type == "t":
			_, data, _ := strings.Cut(e.Data, `"data":[`)
			data, _, _ = strings.Cut(data, "]")
			number, at, _ := strings.Cut(data, ",")
			nanos, _ := strconv.ParseInt(at, 10, 64)
			if number != strconv.Itoa(next) {
				k.failed("channel %d: got %s, want %d", channel, e.Data, next)
			}
			next++
			took = append(took, time.Since(time.Unix(0, nanos)))
		}
	}
	if ctx.Err() == nil {
		k.failed("channel %d: %v", channel, err)
	}
	return took
}

// askHealth asks as a load balancer does, over a new connection each time.
func (k *siege) askHealth(ctx context.Context, t *testing.T) (took latencies) {
	for ctx.Err() == nil {
		began := time.Now()
		c := newClient(t)
		if status := call(t, c, k.server.key, "GET", k.server.url+"/healthz", "", nil); status != http.StatusOK {
			k.failed("healthz: %d", status)
		}
		c.CloseIdleConnections()
		took = append(took, time.Since(began))
		wait(ctx, 50*time.Millisecond)
	}
	return took
}
