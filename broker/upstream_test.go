package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// mute is an engine that does not answer a Subscribe.
type mute struct{ *node }

func (m mute) Subscribe(ctx context.Context, _ schemas.Pattern) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestBroker_Subscribe_muteEngine: the time that the broker gives an engine is not the
// caller's. The caller must not mistake its end for that of its own context.
func TestBroker_Subscribe_muteEngine(t *testing.T) {
	for name, asked := range map[string]broker.Subscription{"a channel": asking("a"), "a pattern": asking("a:*"), "several": asking("a", "b")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, err := broker.New(broker.Options{Engine: mute{newKeeper().node()}, PublishTimeout: 5 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = b.Close() }()
				var all sync.WaitGroup
				for range 3 { // one asks the engine, the others wait for its answer
					all.Go(func() {
						if _, err := b.Subscribe(t.Context(), asked); !errors.Is(err, engine.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("subscribe: %v", err)
						}
					})
				}
				all.Wait()
			})
		})
	}
}

// TestBroker_Sever_readOnly: readers of an engine that can be read again are served,
// whether or not it stores anything.
func TestBroker_Sever_readOnly(t *testing.T) {
	n := newKeeper().node()
	r := &readOnly{node: n}
	b, err := broker.New(broker.Options{Engine: r})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	n.sink.Sever()
	r.fault = engine.ErrUnavailable
	if _, err := b.Subscribe(t.Context(), asking("a")); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("while it is out of reach: %v", err)
	}
	r.fault = fmt.Errorf("%w: %w", engine.ErrUnavailable, engine.ErrReadOnly)
	s, err := b.Subscribe(t.Context(), asking("a"))
	if err != nil {
		t.Fatalf("while it can be read: %v", err)
	}
	s.Close()
	if err := b.Ready(); !errors.Is(err, engine.ErrReadOnly) {
		t.Errorf("ready: %v", err)
	}
}

// readOnly is an engine that is as ready as fault says.
type readOnly struct {
	*node
	fault error
}

func (r *readOnly) Ready() error { return r.fault }
