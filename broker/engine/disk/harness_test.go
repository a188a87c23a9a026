package disk_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// sink records what an engine delivers.
type sink struct {
	mu        sync.Mutex
	delivered []schemas.Message
	dropped   []schemas.Channel
	discards  bool // delivered messages are only counted
	count     int
}

func (s *sink) Wait(ctx context.Context, _ schemas.Channel) error { return ctx.Err() }

func (s *sink) Deliver(m schemas.Message, _ engine.Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; !s.discards {
		m.Data = append([]byte(nil), m.Data...)
		s.delivered = append(s.delivered, m)
	}
}

func (s *sink) Drop(name schemas.Channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = append(s.dropped, name)
	return false
}

// node is a running engine and the sink that it delivers to.
type node struct {
	*disk.Engine
	sink
	origin engine.Origin
	t      testing.TB
	path   string
}

func open(t testing.TB, dir string, opts disk.Options) *node {
	t.Helper()
	e, err := disk.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Engine: e, t: t, path: dir}
	if n.origin, err = e.StartWith(&n.sink); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return n
}

// close closes n and fails the test if that fails.
func (n *node) close() {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Fatal(err)
	}
}

func limits() engine.Limits {
	return engine.Limits{Messages: 100, Bytes: 1 << 20, Age: time.Hour}
}

func entry(channel, topic, data string) engine.Entry {
	return engine.Entry{
		Message: schemas.Message{
			Channel: schemas.Channel(channel), Topic: schemas.Topic(topic), Kind: schemas.KindData, Data: []byte(data),
		},
		Limits: limits(),
	}
}

func (n *node) append(e engine.Entry) schemas.Receipt {
	n.t.Helper()
	r, err := n.Append(n.t.Context(), e)
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *node) put(channel, data string) uint64 {
	n.t.Helper()
	return n.append(entry(channel, "t", data)).ID.Seq
}

func (n *node) once(channel, key, data string) schemas.Receipt {
	n.t.Helper()
	e := entry(channel, "t", data)
	e.Key = key
	return n.append(e)
}

func (n *node) load(channel string) engine.Snapshot {
	n.t.Helper()
	kept, err := n.Load(n.t.Context(), schemas.Channel(channel))
	if err != nil {
		n.t.Fatal(err)
	}
	return kept
}

// brief formats a snapshot briefly: what was lost, the messages, the run.
func brief(k engine.Snapshot) string {
	words := []string{fmt.Sprintf("lost %d:", k.Lost.Newest)}
	for _, m := range k.Messages {
		words = append(words, fmt.Sprintf("%d=%s", m.ID.Seq, m.Data))
	}
	if k.Run != nil {
		words = append(words, fmt.Sprintf("run %d", k.Run.ID.Seq))
	}
	return strings.Join(words, " ")
}

func (n *node) want(channel, want string) {
	n.t.Helper()
	if got := brief(n.load(channel)); got != want {
		n.t.Errorf("%s:\n got %s\nwant %s", channel, got, want)
	}
}
