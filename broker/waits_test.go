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

// While a durable publish waits for the readers of its channel, publishes with other
// keys do not wait, whatever else they have in common with it.
func TestBroker_Publish_durableDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatience(t)
		keyed := broker.Publication{Channel: "a", Topic: "b", Data: []byte("1"), Key: "k"}
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := p.broker.Publish(p.ctx, keyed); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that waits got %v", err)
			}
		})
		synctest.Wait()
		began := time.Now()
		for i := range 4096 {
			other := broker.Publication{Channel: "other", Topic: "b", Data: []byte("1"), Key: fmt.Sprint(i)}
			if r := put(t, p.broker, other); r.Duplicate {
				t.Fatalf("%s is taken for another key", other.Key)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("publishes with other keys took %v", took)
		}
		p.cancel()
		waiting.Wait()
	})
}

// A publish with a key that is being published waits for the end of that, but no longer
// than its own context and timeout allow, and gets the first receipt.
func TestBroker_Publish_durableWaitsForItsKey(t *testing.T) {
	keyed := broker.Publication{Channel: "a", Topic: "b", Data: []byte("1"), Key: "k"}
	for _, tt := range []struct {
		name      string
		limit     time.Duration // of the second one's context; 0: none
		meanwhile func(*patience)
		want      error
		after     time.Duration // up to 10 ms more
	}{
		{"until its context is over", time.Second, func(*patience) {}, context.DeadlineExceeded, time.Second},
		{"in vain", 0, func(*patience) {}, broker.ErrBusy, 3 * time.Second},
		{"until the first is done", 0, func(p *patience) { time.AfterFunc(time.Second, p.leave) }, nil, time.Second},
		{"until the first gives up, and goes on by itself", 0, func(p *patience) {
			time.AfterFunc(time.Second, p.cancel)
			time.AfterFunc(2*time.Second, p.leave)
		}, nil, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPatience(t)
				published := p.broker.Stats().Published
				var all sync.WaitGroup
				var first schemas.Receipt
				all.Go(func() { first, _ = p.broker.Publish(p.ctx, keyed) })
				synctest.Wait()
				ctx := t.Context()
				if tt.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.limit)
					defer cancel()
				}
				tt.meanwhile(p)
				began := time.Now()
				receipts := make([]schemas.Receipt, 50)
				for i := range receipts {
					all.Go(func() {
						var err error
						if receipts[i], err = p.broker.Publish(ctx, keyed); !errors.Is(err, tt.want) {
							t.Errorf("got %v, want %v", err, tt.want)
						}
						if took := time.Since(began); took < tt.after || took > tt.after+time.Second/2 {
							t.Errorf("it took %v, want %v", took, tt.after)
						}
					})
				}
				all.Wait()
				if tt.want != nil {
					return
				}
				if n := p.broker.Stats().Published - published; n != 1 {
					t.Errorf("published %d times", n)
				}
				for _, r := range receipts {
					if r.ID != receipts[0].ID || first.ID.Seq > 0 && r.ID != first.ID {
						t.Errorf("receipts %v and %v", first, r)
					}
				}
			})
		})
	}
}

// A subscribe whose channel the engine does not subscribe to delays no other one, obeys
// its context, and says what is wrong when it gives up by itself.
func TestBroker_Subscribe_obeysItsContext(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit time.Duration
		want  error
		after time.Duration
	}{
		{"context", time.Second, context.DeadlineExceeded, time.Second},
		{"no context", time.Hour, engine.ErrUnavailable, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := on(t, newKeeper(), broker.Options{PublishTimeout: 3 * time.Second})
				n.silence("a")
				began := time.Now()
				var both sync.WaitGroup
				for range 2 { // the first makes the engine follow, the second waits for it
					both.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
						defer cancel()
						_, err := b.Subscribe(ctx, asking("a"))
						if took := time.Since(began); !errors.Is(err, tt.want) || took != tt.after {
							t.Errorf("got %v after %v, want %v after %v", err, took, tt.want, tt.after)
						}
					})
				}
				synctest.Wait()
				subscribe(t, b, asking("b")).Close()
				if took := time.Since(began); took != 0 {
					t.Errorf("another channel took %v", took)
				}
				both.Wait()
				time.Sleep(3 * time.Second) // of the bubble: the engine has given up
				n.silence("")
				subscribe(t, b, asking("a")).Close()
			})
		})
	}
}
