package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/natstest"
)

// lobby is a channel on three nodes, with readers that come and go, and a follower on each
// node.
type lobby struct {
	t       testing.TB
	nodes   []*clusterNode
	urls    []string // of nodes; they stay when a test starts one of them anew
	http    *http.Client
	ctx     context.Context
	readers []*visitor
	views   []*roster

	mu    sync.Mutex
	alive []int // guarded by mu; nodes that visitors go to

	running sync.WaitGroup
}

const lobbyChannel = "lobby:1"

// visitor is a reader with a subject of its own, which reloads now and then.
type visitor struct {
	sub, token string
	node       int // that it reads from, or read from last
	stop       context.CancelFunc
	cut        context.CancelFunc // ends the connection alone
	mu         sync.Mutex
}

// roster is what a follower knows.
type roster struct {
	mu     sync.Mutex
	state  bool            // guarded by mu; it was told the state
	names  map[string]bool // guarded by mu
	left   map[string]bool // guarded by mu; whoever was told to have left
	faults []string        // guarded by mu
}

func newLobby(t testing.TB, args ...string) *lobby {
	nats := natstest.Start(t, "")
	l := &lobby{t: t, http: newClient(t), ctx: t.Context(), alive: []int{0, 1, 2}}
	for range 3 {
		p := natstest.NewProxy(t, nats)
		n := &clusterNode{proxies: []*natstest.Proxy{p}}
		n.server = serve(t, nil, "sluice", append(args, "--api-keys="+testKey, "--nats="+p.URL(), "--nats-cut-off=5m")...)
		l.nodes, l.urls = append(l.nodes, n), append(l.urls, n.url)
	}
	for i := range l.nodes {
		l.follow(i)
	}
	t.Cleanup(l.running.Wait)
	return l
}

// open opens a stream of the channel on a node and calls emit with each event until it ends.
func (l *lobby) open(ctx context.Context, node int, credential, query string, emit func(event)) {
	l.read(ctx, node, credential, "channel="+lobbyChannel+query, emit)
}

// read opens any stream on a node and calls emit with each event until it ends.
func (l *lobby) read(ctx context.Context, node int, credential, query string, emit func(event)) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.urls[node]+"/v1/subscribe?"+query, nil)
	if err != nil {
		l.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	resp, err := l.http.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		l.t.Errorf("node %d: %s", node, resp.Status)
		return
	}
	for d := newDecoder(resp.Body); ; {
		e, err := d.next()
		if err != nil {
			return
		}
		emit(e)
	}
}

// follow follows the channel on a node, for as long as the node lives.
func (l *lobby) follow(node int) {
	r := &roster{names: make(map[string]bool), left: make(map[string]bool)}
	l.views = append(l.views, r)
	l.running.Go(func() { l.open(l.ctx, node, testKey, "&topic=$presence", r.take) }) // ends with the test
}

func (r *roster) take(e event) {
	if e.Type != "$presence" {
		return
	}
	var told struct {
		State        bool
		Joined, Left []string
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := json.Unmarshal([]byte(e.Data), &told); err != nil {
		r.faults = append(r.faults, err.Error())
	}
	if told.State {
		r.state = true
		clear(r.names)
	}
	for _, name := range told.Joined {
		r.names[name] = true
	}
	for _, name := range told.Left {
		if !r.names[name] {
			r.faults = append(r.faults, name+" left, and was not there")
		}
		delete(r.names, name)
		r.left[name] = true
	}
}

// visit starts a visitor: it reads from a random node, and comes back whenever its
// connection ends.
func (l *lobby) visit(sub, token string) *visitor {
	ctx, stop := context.WithCancel(l.ctx)
	v := &visitor{sub: sub, token: token, stop: stop, cut: func() {}}
	l.readers = append(l.readers, v)
	l.running.Go(func() { // ends with stop
		for ctx.Err() == nil {
			l.mu.Lock()
			node := l.alive[rand.IntN(len(l.alive))]
			l.mu.Unlock()
			connection, cut := context.WithCancel(ctx)
			v.mu.Lock()
			v.node, v.cut = node, cut
			v.mu.Unlock()
			l.open(connection, node, v.token, "", func(event) {})
			cut()
			sleep(ctx, time.Duration(rand.Int64N(int64(time.Second))))
		}
	})
	return v
}

// reload has the visitor come back, on any node.
func (v *visitor) reload() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cut()
}

func (v *visitor) on() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.node
}

// list returns the subjects that a node lists.
func (l *lobby) list(node int) []string {
	var got struct {
		Count    int
		Subjects []struct{ Sub string }
	}
	if status := l.nodes[node].call(l.t, http.MethodGet, "/v1/channels/"+lobbyChannel+"/presence", "", &got); status != http.StatusOK {
		l.t.Errorf("node %d: list: %d", node, status)
	}
	var names []string
	for _, s := range got.Subjects {
		names = append(names, s.Sub)
	}
	if got.Count != len(names) {
		l.t.Errorf("node %d: count %d of %d subjects", node, got.Count, len(names))
	}
	slices.Sort(names)
	return names
}

// wants waits until lists and followers of the nodes have exactly these subjects.
func (l *lobby) wants(what string, want []string, nodes ...int) {
	l.t.Helper()
	began := time.Now()
	right := func() bool {
		for _, node := range nodes {
			v := l.views[node]
			v.mu.Lock()
			told := slices.Equal(slices.Sorted(maps.Keys(v.names)), want) && v.state
			v.mu.Unlock()
			if !told || !slices.Equal(l.list(node), want) {
				return false
			}
		}
		return true
	}
	eventually(l.t, right, func() string { return what + l.differences(want, nodes) })
	l.t.Logf("%s: right after %v", what, time.Since(began).Round(100*time.Millisecond))
}

func (l *lobby) differences(want []string, nodes []int) string {
	var b strings.Builder
	for _, node := range nodes {
		v := l.views[node]
		v.mu.Lock()
		told := slices.Sorted(maps.Keys(v.names))
		v.mu.Unlock()
		fmt.Fprintf(&b, "\nnode %d: the list: %s; the follower: %s", node, difference(l.list(node), want), difference(told, want))
	}
	return b.String()
}

// nobodyLeft fails the test if a follower was told that one of these left, or anything that
// cannot be.
func (l *lobby) nobodyLeft(what string, subs []string, nodes ...int) {
	l.t.Helper()
	for _, node := range nodes {
		v := l.views[node]
		v.mu.Lock()
		for _, sub := range subs {
			if v.left[sub] {
				l.t.Errorf("%s: node %d told that %s left", what, node, sub)
			}
		}
		for _, fault := range v.faults {
			l.t.Errorf("%s: node %d: %s", what, node, fault)
		}
		clear(v.left)
		v.mu.Unlock()
	}
}

func (l *lobby) subs() (names []string) {
	for _, v := range l.readers {
		names = append(names, v.sub)
	}
	slices.Sort(names)
	return names
}

// killThird kills the third node. Of its readers, half end with it, and half come back to the
// other nodes.
func (l *lobby) killThird() {
	l.t.Helper()
	l.mu.Lock()
	l.alive = []int{0, 1}
	l.mu.Unlock()
	var stay []*visitor
	for i, v := range l.readers {
		if v.on() == 2 && i%2 == 0 {
			v.stop() // together with its node, or a moment before
		} else {
			stay = append(stay, v)
		}
	}
	l.nodes[2].kill()
	l.readers = stay
	l.wants("a node was killed", l.subs(), 0, 1)
	l.nobodyLeft("a node was killed", l.subs(), 0, 1)
}

// TestPresence lets 300 readers of three nodes come, reload, move, go and crash, kills a
// node, and parts another one from NATS. Each time, the lists and the followers of all nodes
// have to become right, and nobody who has only reloaded or moved may be told to have left.
func TestPresence(t *testing.T) {
	t.Parallel()
	l := newLobby(t)
	for i := range 300 {
		sub := fmt.Sprintf("r%03d", i)
		l.visit(sub, l.nodes[0].tokenOf(t, sub, lobbyChannel, "*"))
	}
	l.wants("all came", l.subs(), 0, 1, 2)

	for range 900 { // each three times, roughly
		l.readers[rand.IntN(len(l.readers))].reload()
		sleep(t.Context(), 10*time.Millisecond)
	}
	l.wants("after reloads", l.subs(), 0, 1, 2)
	l.nobodyLeft("reloads", l.subs(), 0, 1, 2)

	for _, v := range l.readers[:50] {
		v.stop()
	}
	l.readers = l.readers[50:]
	l.wants("50 went", l.subs(), 0, 1, 2)
	l.nobodyLeft("some went", l.subs(), 0, 1, 2)

	l.killThird()

	l.mu.Lock()
	l.alive = []int{0} // whoever comes back does so there
	l.mu.Unlock()
	l.nodes[1].cut()
	var here, there []string
	for _, v := range l.readers {
		if v.on() == 0 {
			here = append(here, v.sub)
		} else {
			there = append(there, v.sub)
		}
	}
	slices.Sort(here)
	slices.Sort(there)
	l.wants("parted, one side", here, 0)
	l.wants("parted, the other side", there, 1)
	l.nodes[1].mend()
	l.wants("together again", l.subs(), 0, 1)
	l.nobodyLeft("at the end", nil, 0, 1)
}

// TestPresence_shards spreads the channels over three streams. Nodes tell each other of their
// readers all the same, a follower of channels of different shards is told of each of them,
// and a node that is killed takes its readers with it.
func TestPresence_shards(t *testing.T) {
	t.Parallel()
	l := newLobby(t, "--nats-shards=3")
	for i := range 30 {
		sub := fmt.Sprintf("r%02d", i)
		l.visit(sub, l.nodes[0].tokenOf(t, sub, lobbyChannel, "*"))
	}
	l.wants("all came", l.subs(), 0, 1, 2)
	var channels strings.Builder // many enough that each shard has some
	for i := range 12 {
		fmt.Fprintf(&channels, "&channel=room:%d", i)
		name := fmt.Sprintf("room:%d", i)
		l.running.Go(func() { l.read(l.ctx, i%3, testKey, "channel="+name, func(event) {}) }) // ends with the test
	}
	told := make(chan string, 100)
	l.running.Go(func() { // ends with the test
		l.read(l.ctx, 0, testKey, "topic=$presence"+channels.String(), func(e event) {
			var room struct {
				Channel string
				Count   int
			}
			if json.Unmarshal([]byte(e.Data), &room) == nil && e.Type == "$presence" && room.Count == 1 {
				told <- room.Channel
			}
		})
	})
	for rooms := make(map[string]bool); len(rooms) < 12; {
		select {
		case room := <-told:
			rooms[room] = true
		case <-time.After(patience):
			t.Fatalf("told of the readers of %d channels, want 12", len(rooms))
		}
	}
	l.killThird()
}

// TestPresence_restart follows a channel over a restart of a single server, with each engine
// that one has: the follower is told the state anew, and the reader that is back is in it.
func TestPresence_restart(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"memory": nil, "disk": {"--data=" + t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, _ := generateKeys(t)
			args := append(args, "--api-keys="+testKey, "--signing-keys="+keys, "--listen="+freeAddress(t))
			n := &clusterNode{server: serve(t, nil, "sluice", args...)}
			l := &lobby{t: t, http: newClient(t), ctx: t.Context(), alive: []int{0}, nodes: []*clusterNode{n}, urls: []string{n.url}}
			t.Cleanup(l.running.Wait)
			v := l.visit("ann", n.tokenOf(t, "ann", lobbyChannel, "*"))
			l.follow(0)
			l.wants("before", []string{"ann"}, 0)
			n.kill()
			n.server = serve(t, nil, "sluice", args...)
			l.follow(0) // as it would by itself
			l.views = l.views[1:]
			l.wants("after", []string{"ann"}, 0)
			l.nobodyLeft("a restart", []string{"ann"}, 0)
			v.stop()
			l.wants("the reader went", nil, 0)
		})
	}
}

// tokenOf mints a token of a subject to subscribe to a channel.
func (s *server) tokenOf(t testing.TB, sub, channel string, topics ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"sub": sub, "subscribe": []any{map[string]any{"channel": channel, "topics": topics}}})
	if err != nil {
		t.Fatal(err)
	}
	var minted struct{ Token string }
	if status := s.call(t, http.MethodPost, "/v1/tokens", string(body), &minted); status != http.StatusCreated {
		t.Fatalf("token: %d", status)
	}
	return minted.Token
}
