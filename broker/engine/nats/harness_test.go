//go:build unix

package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

// patience bounds what a test waits for, on any machine.
const patience = 2 * time.Minute

// recorder records what an engine delivers.
type recorder struct {
	mu       sync.Mutex
	messages map[schemas.Channel][]schemas.Message
	dropped  []schemas.Channel
	reached  uint64
	severed  int
	news     chan struct{}
}

func newRecorder() *recorder {
	return &recorder{messages: make(map[schemas.Channel][]schemas.Message), news: make(chan struct{}, 1)}
}

func (r *recorder) Wait(context.Context, schemas.Channel) error { return nil }

func (r *recorder) Deliver(m schemas.Message, _ engine.Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Data = slices.Clone(m.Data)
	r.messages[m.Channel] = append(r.messages[m.Channel], m)
	r.ring()
}

func (r *recorder) DeliverMissed(m schemas.Message, limits engine.Limits) { r.Deliver(m, limits) }

func (r *recorder) Drop(name schemas.Channel) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped = append(r.dropped, name)
	r.ring()
	return false
}

func (r *recorder) Reached(position uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reached = max(r.reached, position)
	r.ring()
}

func (r *recorder) Sever() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.severed++
	r.ring()
}

func (r *recorder) ring() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// of returns the data of the messages that were delivered of a channel.
func (r *recorder) of(name schemas.Channel) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return texts(r.messages[name])
}

func texts(messages []schemas.Message) []string {
	list := make([]string, len(messages))
	for i, m := range messages {
		list[i] = string(m.Data)
	}
	return list
}

// node is an engine and the recorder that it delivers to.
type node struct {
	*nats.Engine
	*recorder
	origin engine.Origin
	opts   nats.Options
}

// open returns an engine that is not started. It is closed when the test ends.
func open(t testing.TB, opts nats.Options) *nats.Engine {
	t.Helper()
	if testing.Verbose() && os.Getenv("ENGINE_LOG") != "" {
		opts.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	e, err := nats.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// start returns an engine that delivers to a recorder.
func start(t testing.TB, opts nats.Options) *node {
	t.Helper()
	return begin(t, open(t, opts), opts)
}

// begin starts an open engine.
func begin(t testing.TB, e *nats.Engine, opts nats.Options) *node {
	t.Helper()
	n := &node{Engine: e, recorder: newRecorder(), opts: opts}
	var err error
	if n.origin, err = n.StartFor(n.recorder); err != nil {
		t.Fatal(err)
	}
	return n
}

// nodes returns n engines of one service.
func nodes(t testing.TB, n int, opts nats.Options) []*node {
	t.Helper()
	list := make([]*node, n)
	for i := range list {
		list[i] = start(t, opts)
	}
	return list
}

// shared returns options for a server of its own, which is never out of reach: it is only
// slow when the machine is.
func shared(t testing.TB) nats.Options {
	t.Helper()
	return nats.Options{URLs: []string{natstest.Start(t, "").URL()}, Timeout: patience}
}

// entry returns an entry of a channel.
func entry(name, data string) engine.Entry {
	return engine.Entry{
		Message: schemas.Message{Channel: schemas.Channel(name), Topic: "status", Kind: schemas.KindData, Data: []byte(data)},
		Limits:  engine.Limits{Messages: 256, Bytes: 1 << 20, Age: 10 * time.Minute},
	}
}

func keyed(name, data, key string) engine.Entry {
	e := entry(name, data)
	e.Key = key
	return e
}

// reach calls the engine once more whenever it says that it is out of reach, as it does
// when the machine is too busy for the engine's canary to come back in time. Nothing was
// stored then. It is for calls that are not what is tested.
func reach(t testing.TB, call func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		err := call()
		if err == nil {
			return
		}
		if !errors.Is(err, engine.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (n *node) put(t testing.TB, e engine.Entry) (r schemas.Receipt) {
	t.Helper()
	reach(t, func() (err error) { r, err = n.Append(t.Context(), e); return err })
	return r
}

func (n *node) follow(t testing.TB, patterns ...schemas.Pattern) {
	t.Helper()
	for _, p := range patterns {
		reach(t, func() error { return n.Subscribe(t.Context(), p) })
	}
}

func (n *node) load(t testing.TB, name schemas.Channel) (kept engine.Snapshot) {
	t.Helper()
	reach(t, func() (err error) { kept, err = n.Load(t.Context(), name); return err })
	return kept
}

// until waits until done reports true.
func (n *node) until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-n.news:
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// delivered waits until exactly the given texts were delivered of a channel.
func (n *node) delivered(t testing.TB, name schemas.Channel, want ...string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		got := n.of(name)
		if slices.Equal(got, want) {
			return
		}
		if len(got) > len(want) {
			t.Fatalf("%s: delivered %v, want %v", name, got, want)
		}
		select {
		case <-n.news:
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s: delivered %v, want %v", name, got, want)
		}
	}
}

func numbers(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// deleteStream deletes a stream under the engine, as no administrator should.
func deleteStream(t testing.TB, opts nats.Options, name string) error {
	t.Helper()
	conn, err := natsio.Connect(opts.URLs[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Request("$JS.API.STREAM.DELETE."+name, nil, 5*time.Second)
	return err
}

// leaderOf returns the server that leads the stream.
func leaderOf(t testing.TB, servers []*natstest.Server) *natstest.Server {
	t.Helper()
	conn, err := natsio.Connect(strings.Join(natstest.URLs(servers), ","))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var info struct{ Cluster struct{ Leader string } }
		if m, err := conn.Request("$JS.API.STREAM.INFO.sluice-0", nil, time.Second); err == nil && json.Unmarshal(m.Data, &info) == nil {
			for _, s := range servers {
				if s.Name() == info.Cluster.Leader {
					return s
				}
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatal("nobody leads the stream")
	return nil
}
