//go:build unix

package nats_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

func boxed(n *node) enginetest.OutboxNode { return enginetest.OutboxNode{Store: n, Outbox: n.Outbox()} }

func TestOutbox_contract(t *testing.T) {
	enginetest.Outbox(t, func(t *testing.T) (all []enginetest.OutboxNode, later func() enginetest.OutboxNode) {
		opts := shared(t)
		opts.Outbox = true
		for _, n := range nodes(t, 3, opts) {
			all = append(all, boxed(n))
		}
		return all, func() enginetest.OutboxNode { return boxed(start(t, opts)) }
	})
}

// Runs that end at the same time on several nodes share batches with durable publishes, and
// each is in the outbox once, with the id of its message.
func TestOutbox_together(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	var list []*node
	for _, s := range servers {
		list = append(list, start(t, nats.Options{URLs: []string{s.URL()}, Replicas: 3, Outbox: true}))
	}
	const runs = 60
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := make(map[schemas.ID]bool)
	for i := range runs {
		all.Go(func() {
			change := &schemas.RunChange{Status: schemas.RunCompleted, RunID: fmt.Sprint(i)}
			e := entry(fmt.Sprint("run:", i%7), "")
			e.Topic, e.Kind, e.Data, e.RunID, e.Run = schemas.TopicRun, schemas.KindRun, change.Encode(), change.RunID, change
			r := list[i%3].put(t, e)
			list[i%3].put(t, keyed("keyed", "1", fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			ids[r.ID] = true
		})
	}
	all.Wait()
	events, err := list[0].Outbox().Read(t.Context(), 0, 2*runs)
	if err != nil || len(events) != runs || len(ids) != runs {
		t.Fatalf("%d events, %d ids, %v", len(events), len(ids), err)
	}
	for _, e := range events {
		if !ids[e.Message] {
			t.Errorf("the event at %v has the message %v, which is not of a run", e.ID, e.Message)
		}
	}
}

// A node that is cut off stops to lead before another one begins.
func TestOutbox_Lead_cutOff(t *testing.T) {
	server := natstest.Start(t, "")
	proxy := natstest.NewProxy(t, server)
	first := open(t, nats.Options{URLs: []string{proxy.URL()}, Outbox: true})
	second := open(t, nats.Options{URLs: []string{server.URL()}, Outbox: true})
	leading, resign, err := first.Outbox().Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer resign()
	proxy.Cut()
	next, resignNext, err := second.Outbox().Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer resignNext()
	if leading.Err() == nil || next.Err() != nil {
		t.Errorf("the first one: %v, the second one: %v", leading.Err(), next.Err())
	}
	if _, _, err := first.Outbox().Lead(within(t, time.Second)); !errors.Is(err, context.DeadlineExceeded) && err == nil {
		t.Errorf("it leads though it is cut off: %v", err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
