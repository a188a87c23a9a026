//go:build unix

package nats_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

// calls are the methods of an engine, and of a broker on it, that ask the cluster.
func calls(n *node, b *broker.Broker, f clusterstate.Store) map[string]func(context.Context) error {
	sub := func(b *broker.Broker, s broker.Subscription, patterns ...schemas.Pattern) func(context.Context) error {
		for _, p := range patterns {
			s.Channels = append(s.Channels, broker.Selector{Channel: p})
		}
		return func(ctx context.Context) error { _, err := b.Subscribe(ctx, s); return err }
	}
	all, err := ring.ParseReplay("all")
	if err != nil {
		panic(err)
	}
	return map[string]func(context.Context) error{
		"append":          func(ctx context.Context) error { _, err := n.Append(ctx, entry("c", "1")); return err },
		"append, key":     func(ctx context.Context) error { _, err := n.Append(ctx, keyed("c", "1", "k")); return err },
		"recall":          func(ctx context.Context) error { _, _, err := n.Recall(ctx, "c", "status", "k"); return err },
		"head":            func(ctx context.Context) error { _, err := n.Head(ctx); return err },
		"load":            func(ctx context.Context) error { _, err := n.Load(ctx, "c"); return err },
		"matching":        func(ctx context.Context) error { _, err := n.Matching(ctx, "*", 0, 9); return err },
		"list":            func(ctx context.Context) error { _, err := n.List(ctx, "", "", 9); return err },
		"follow":          func(ctx context.Context) error { return n.Subscribe(ctx, "new") },
		"follow, pattern": func(ctx context.Context) error { return n.Subscribe(ctx, "new:*") },
		"delete":          func(ctx context.Context) error { _, err := n.Delete(ctx, "c"); return err },
		"cluster state":   func(ctx context.Context) error { return f.Put(ctx, item("x", "1")) },
		"another item":    func(ctx context.Context) error { return f.Put(ctx, item("y", "1")) },
		"publish": func(ctx context.Context) error {
			_, err := b.Publish(ctx, broker.Publication{Channel: "p", Topic: "t", Data: []byte("1")})
			return err
		},
		"run": func(ctx context.Context) error {
			_, err := b.SetRun(ctx, broker.RunPublication{Channel: "r", Change: schemas.RunChange{Status: schemas.RunFailed}})
			return err
		},
		"history":           func(ctx context.Context) error { _, err := b.History(ctx, "h", broker.Query{Limit: 9}); return err },
		"channel":           func(ctx context.Context) error { _, err := b.Channel(ctx, "h"); return err },
		"channels":          func(ctx context.Context) error { _, _, err := b.Channels(ctx, "", "", 9); return err },
		"subscribe":         sub(b, broker.Subscription{}, "s1"),
		"subscribe, again":  sub(b, broker.Subscription{}, "s1"),
		"subscribe, replay": sub(b, broker.Subscription{Replay: all}, "s2"),
		"subscribe to more": sub(b, broker.Subscription{}, "s3", "s4:*"),
		"delete channel":    func(ctx context.Context) error { return b.Delete(ctx, "d") },
	}
}

// Every call to a cluster that does not answer ends in time, with an error that says so,
// and not with that of a context that the caller does not know.
func TestEngine_noAnswer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		silence func(*natstest.Server, *natstest.Proxy)
	}{
		{"frozen", func(s *natstest.Server, _ *natstest.Proxy) { s.Stop() }},
		{"cut off", func(_ *natstest.Server, p *natstest.Proxy) { p.Cut() }},
		{"killed", func(s *natstest.Server, _ *natstest.Proxy) { s.Kill() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := natstest.Start(t, "")
			proxy := natstest.NewProxy(t, server)
			opts := nats.Options{URLs: []string{proxy.URL()}, Timeout: time.Second}
			n := start(t, opts)
			b, err := broker.New(broker.Options{Engine: open(t, opts), PublishTimeout: opts.Timeout})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			f := watch(t, n.Engine)
			tt.silence(server, proxy)
			defer server.Continue()
			var all sync.WaitGroup
			for name, call := range calls(n, b, f.Store) {
				all.Go(func() {
					begun := time.Now()
					err := call(t.Context())
					known := errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrUncertain) || errors.Is(err, clusterstate.ErrUnavailable) || errors.Is(err, clusterstate.ErrUncertain)
					if took := time.Since(begun); !known || took > 25*opts.Timeout { // the waits of a start are longer
						t.Errorf("%s: %v after %s", name, err, took)
					}
				})
			}
			all.Wait()
		})
	}
}
