package webhooks_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/webhooks"
)

// bus brings what a node says to all of them.
type bus struct {
	mu    sync.Mutex
	takes []func([]byte) // guarded by mu
}

func (b *bus) Broadcast(_ string, payload []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, take := range b.takes {
		take(payload)
	}
	return nil
}

func (b *bus) Listen(_ string, take func([]byte)) (stop func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takes = append(b.takes, take)
	return func() {}, nil
}

// follower is the outbox of a node that never leads.
type follower struct{ *outbox.Local }

func (follower) Lead(ctx context.Context) (context.Context, func(), error) {
	<-ctx.Done()
	return nil, nil, ctx.Err()
}

// Every node tells how it goes on all of them, without what a node has said that is gone.
func TestSender_Status_nodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newReceiver(t, accept), new(bus)
		joined := func(o *webhooks.Options) { o.Bus = b }
		leader := newSender(t, hook(""), r, joined)
		other := newSender(t, hook(""), r, joined, func(o *webhooks.Options) { o.Kept, o.Outboxes = true, []outbox.Store{follower{outbox.NewLocal()}} })
		leader.end("a")
		leader.end("b")
		synctest.Wait()
		r.change(status(500))
		leader.end("c")
		time.Sleep(3 * time.Second)
		for _, s := range []*sent{leader, other} {
			all, sending := s.Status()
			if len(all) != 1 || !sending || all[0].Delivered != 2 || all[0].Pending != 1 || all[0].LastStatus != 500 || all[0].NextAttempt == nil {
				t.Errorf("status %+v, %t", all, sending)
			}
		}
		if leader.Stats().Sending != true || other.Stats().Sending {
			t.Error("who sends?")
		}
		leader.Close()
		time.Sleep(15 * time.Second)
		if all, sending := other.Status(); sending || all[0].Delivered != 0 {
			t.Errorf("after the end of the other node: %+v, %t", all, sending)
		}
		if err := b.Broadcast("", []byte("{")); err != nil {
			t.Error(err)
		}
	})
}
