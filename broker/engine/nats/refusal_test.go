//go:build unix

package nats_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

// smallStore is the configuration of a server that is soon full.
const smallStore = `jetstream { store_dir: "{dir}/small", max_file: 1MB }`

// smallAccount is that of a cluster: where a server is full, its others lead, and where
// all of them are, nobody does.
const smallAccount = `accounts { APP { jetstream: { max_file: 3MB }, users: [ { user: app, password: app } ] } }
no_auth_user: app`

// fill publishes until nothing more is stored, however small, and waits until the
// engine says so. Each message has a channel of its own: a channel that is full would
// make room for the next message by dropping an old one, for ever.
func (n *node) fill(t testing.TB) {
	t.Helper()
	const largest = 20 << 10
	size, count := largest, 0
	n.until(t, "full", func() bool {
		count++
		_, err := n.Append(t.Context(), entry(fmt.Sprint("big:", count), `"`+strings.Repeat("x", size)+`"`))
		switch {
		case err == nil:
		case !errors.Is(err, engine.ErrUnavailable):
			t.Fatal(err)
		case size == 0: // begin again: it may have been unavailable for another reason
			size = largest
		default:
			size /= 2
		}
		return errors.Is(n.Ready(), engine.ErrReadOnly)
	})
}

// A stream that stores nothing more is not one that is out of reach.
func TestEngine_refused(t *testing.T) {
	t.Parallel() // it waits
	for _, tt := range []struct {
		name string
		why  string
		urls func(t *testing.T) []string
	}{
		{"one server", "insufficient resources", func(t *testing.T) []string { return []string{natstest.Start(t, smallStore).URL()} }},
		{"a cluster", "resource limits exceeded for account", func(t *testing.T) []string { return natstest.URLs(natstest.StartCluster(t, 3, smallAccount)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, nats.Options{URLs: tt.urls(t), CutOff: 4 * time.Second})
			n.follow(t, "c")
			n.put(t, keyed("c", "1", "k"))
			revision := n.take(t, "text", 0)
			n.fill(t)
			if err := n.Ready(); !strings.Contains(err.Error(), tt.why) {
				t.Errorf("ready: %v", err)
			}
			if _, err := n.takeText(t.Context(), "text", revision); !errors.Is(err, engine.ErrReadOnly) {
				t.Errorf("a text: %v", err)
			}
			if _, at, err := n.Text(t.Context(), textOf("text")); err != nil || at != revision {
				t.Errorf("its revision is %d, %v, want %d", at, err, revision)
			}
			for _, e := range []engine.Entry{entry("c", "2"), keyed("c", "2", "new"), fenced("text", 1, revision)} {
				begun := time.Now()
				if _, err := n.Append(t.Context(), e); !errors.Is(err, engine.ErrReadOnly) || time.Since(begun) > 4*time.Second { // less than the timeout
					t.Errorf("key %q: %v after %s", e.Key, err, time.Since(begun))
				}
			}
			if r, err := n.Append(t.Context(), keyed("c", "1", "k")); err != nil || !r.Duplicate {
				t.Errorf("a key that is known: %+v, %v", r, err)
			}
			for end := time.Now().Add(6 * time.Second); time.Now().Before(end); <-time.After(500 * time.Millisecond) {
				n.readsWhileRefused(t)
			}
			if n.severed > 0 {
				t.Error("readers were sent elsewhere")
			}
			late := start(t, n.opts) // starts, and can be read
			if got := late.load(t, "c"); len(got.Messages) != 1 {
				t.Errorf("a node that started then has %v", texts(got.Messages))
			}
			makeRoom(t, n.opts)
			n.until(t, "green", func() bool { return n.Ready() == nil && late.Ready() == nil })
			late.follow(t, "c")
			n.put(t, entry("c", "2"))
			n.delivered(t, "c", "1", "2")
			late.delivered(t, "c", "2")
		})
	}
}

// readsWhileRefused calls whatever stores nothing.
func (n *node) readsWhileRefused(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	_, known, err := n.Recall(ctx, "c", "status", "k")
	_, head := n.Head(ctx)
	_, load := n.Load(ctx, "c")
	_, matching := n.Matching(ctx, "*", 0, 10)
	_, names := n.List(ctx, "", "", 10)
	fresh := schemas.Pattern(fmt.Sprint("fresh", time.Now().UnixNano()))
	if err = errors.Join(err, head, load, matching, names, n.Subscribe(ctx, fresh)); err != nil || !known {
		t.Errorf("reading: known %t, %v", known, err)
	}
	if err := n.Ready(); !errors.Is(err, engine.ErrReadOnly) {
		t.Errorf("ready: %v", err)
	}
}

// makeRoom removes what fill has stored.
func makeRoom(t testing.TB, opts nats.Options) {
	t.Helper()
	conn, err := natsio.Connect(strings.Join(opts.URLs, ","))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 10 {
		m, err := conn.Request("$JS.API.STREAM.PURGE.sluice-0", []byte(`{"filter":"sluice.0.m.big.>"}`), 3*time.Second)
		if err == nil && bytes.Contains(m.Data, []byte(`"success":true`)) {
			return
		}
	}
	t.Fatal("cannot make room")
}

// A node that was cut off from a stream which stores nothing can read it again.
func TestEngine_refused_cutOff(t *testing.T) {
	t.Parallel() // it waits
	server := natstest.Start(t, smallStore)
	proxy := natstest.NewProxy(t, server)
	n := start(t, nats.Options{URLs: []string{proxy.URL()}, CutOff: 4 * time.Second})
	n.follow(t, "c")
	n.put(t, keyed("c", "1", "k"))
	n.fill(t)
	proxy.Cut()
	n.until(t, "severed", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.severed == 1 })
	if err := n.Ready(); err == nil || errors.Is(err, engine.ErrReadOnly) {
		t.Errorf("cut off: %v", err)
	}
	proxy.Mend()
	n.until(t, "reading", func() bool { return errors.Is(n.Ready(), engine.ErrReadOnly) })
	n.readsWhileRefused(t)
}
