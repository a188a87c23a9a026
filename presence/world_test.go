package presence_test

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
)

// wire connects nodes in a test. It delivers in order and at once, unless it is cut.
type wire struct {
	mu    sync.Mutex
	ports []*port
	lose  func(from, to int) bool // guarded by mu; nil: nothing is lost
	sent  int                     // guarded by mu; letters
}

// port is a node's end of a wire. Each delivers in a goroutine of its own, as NATS does.
type port struct {
	wire  *wire
	index int
	queue chan []byte
	gate  chan struct{} // guarded by the wire's mu; nothing arrives before it is closed; nil: nothing waits
}

// hold keeps back what arrives until the returned function is called.
func (p *port) hold() (arrive func()) {
	gate := make(chan struct{})
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	p.gate = gate
	return func() { close(gate) }
}

func (w *wire) port() *port {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &port{wire: w, index: len(w.ports)}
	w.ports = append(w.ports, p)
	return p
}

// setLoss changes which letters are lost.
func (w *wire) setLoss(lose func(from, to int) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = lose
}

func (w *wire) letters() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

func (p *port) Broadcast(_ string, payload []byte) error {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	p.wire.sent++
	for _, to := range p.wire.ports {
		if to.queue != nil && (p.wire.lose == nil || !p.wire.lose(p.index, to.index)) {
			to.queue <- slices.Clone(payload)
		}
	}
	return nil
}

func (p *port) Listen(_ string, take func([]byte)) (func(), error) {
	queue := make(chan []byte, 100_000)
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		for payload := range queue {
			p.wire.mu.Lock()
			gate := p.gate
			p.wire.mu.Unlock()
			if gate != nil {
				<-gate
			}
			take(payload)
		}
	}()
	p.wire.mu.Lock()
	p.queue = queue
	p.wire.mu.Unlock()
	return func() {
		p.wire.mu.Lock()
		p.queue = nil
		p.wire.mu.Unlock()
		close(queue)
		<-done
	}, nil
}

// world is some nodes with readers.
type world struct {
	t     *testing.T
	wire  *wire
	nodes []*node
}

// node is a registry, and the streams that a broker would have.
type node struct {
	*presence.Registry
	world *world
	port  *port

	mu    sync.Mutex
	seats map[*audience.Seat]time.Time // guarded by mu; since when they are open
}

func newWorld(t *testing.T, nodes int) *world {
	w := &world{t: t, wire: new(wire)}
	for range nodes {
		w.start()
	}
	return w
}

// start starts one more node, which ends with the test unless it is ended before.
func (w *world) start() *node {
	n := &node{world: w, port: w.wire.port(), seats: make(map[*audience.Seat]time.Time)}
	n.Registry = presence.New(presence.Options{Bus: n.port})
	if err := n.Start(n.report); err != nil {
		w.t.Fatal(err)
	}
	w.nodes = append(w.nodes, n)
	return n
}

func (w *world) end() {
	for _, n := range w.nodes {
		n.Close()
	}
}

func (n *node) report() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s, began := range n.seats {
		s.Report(began)
	}
}

// stream opens a stream that reads channels.
func (n *node) stream(sub string, channels ...schemas.Channel) *audience.Seat {
	s := audience.New(n.Registry, sub, channels, nil, nil)
	n.mu.Lock()
	began := time.Now()
	n.seats[s] = began
	n.mu.Unlock()
	s.Report(began)
	return s
}

// leave ends a stream.
func (n *node) leave(s *audience.Seat) {
	n.mu.Lock()
	delete(n.seats, s)
	n.mu.Unlock()
	s.Close()
}

// kill makes the others hear nothing more of the node, nor it of them.
func (w *world) kill(dead *node) {
	before := w.wire.lose
	w.wire.setLoss(func(from, to int) bool {
		return from == dead.port.index || to == dead.port.index || before != nil && before(from, to)
	})
}

// told is an event.
type told struct {
	Channel              string
	State, More, Partial bool
	Joined, Left         []string
	Count                int
}

// view is what a follower knows. It fails its test when it is told something twice.
type view struct {
	t      testing.TB
	seat   *audience.Seat
	mu     sync.Mutex
	names  map[string]bool // guarded by mu
	count  int             // guarded by mu
	events []told          // guarded by mu
	gone   map[string]int  // guarded by mu; how often each was told to have left
}

// follow follows a channel without reading it.
func (n *node) follow(channel schemas.Channel) *view {
	v := &view{t: n.world.t, names: make(map[string]bool), gone: make(map[string]int)}
	ready := make(chan struct{})
	seat := audience.New(n.Registry, "", nil, []schemas.Channel{channel}, func() { <-ready; v.take() })
	v.seat = seat
	close(ready)
	return v
}

func (v *view) take() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		data := v.seat.Next()
		if data == nil {
			return
		}
		var e told
		if err := json.Unmarshal(data, &e); err != nil {
			v.t.Errorf("%s: %v", data, err)
			return
		}
		v.events = append(v.events, e)
		if v.count = e.Count; e.State {
			clear(v.names)
		} else if len(v.events) == 1 {
			v.t.Error("the first event is not the state")
		}
		for _, name := range e.Joined {
			if v.names[name] {
				v.t.Errorf("%s joined twice", name)
			}
			v.names[name] = true
		}
		for _, name := range e.Left {
			if !v.names[name] {
				v.t.Errorf("%s left and was not there", name)
			}
			delete(v.names, name)
			v.gone[name]++
		}
	}
}

func (v *view) is() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Keys(v.names))
}

// want fails the test unless the view has the names and the count.
func (v *view) want(what string, count int, names ...string) {
	v.t.Helper()
	synctest.Wait()
	got := v.is()
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.Sort(names); !slices.Equal(got, names) || v.count != count {
		v.t.Errorf("%s: %v, count %d; want %v, count %d", what, got, v.count, names, count)
	}
}

func (v *view) told() []told {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.events)
}

// pause lets time pass.
func pause(d time.Duration) {
	time.Sleep(d) // in a bubble
	synctest.Wait()
}
