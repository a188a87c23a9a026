package broker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

func TestBroker_Drain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		if err := b.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
		began := time.Now()
		var mu sync.Mutex
		var ends []time.Duration
		for range 100 {
			r := subscribe(t, b, asking("a:1"))
			go func() {
				events := r.during(time.Hour)
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, time.Since(began))
				want(t, "ended", events, "$open@0 $close@0[4002]")
				r.Close()
			}()
		}
		synctest.Wait()
		if err := b.Drain(t.Context(), 10*time.Second); err != nil {
			t.Error(err)
		}
		slices.Sort(ends)
		if len(ends) != 100 || ends[0] != 0 || ends[99] < 9*time.Second || ends[99] > 10*time.Second {
			t.Fatalf("%d ended, from %v to %v", len(ends), ends[0], ends[len(ends)-1])
		}
		for i := 0; i+5 < 100; i++ {
			if ends[i+5]-ends[i] < 400*time.Millisecond {
				t.Fatalf("six ended within %v", ends[i+5]-ends[i])
			}
		}
		if err := b.Ready(); !errors.Is(err, broker.ErrDraining) {
			t.Errorf("ready: %v", err)
		}
	})
}

func TestBroker_Drain_takesNothingMore(t *testing.T) {
	b := start(t, broker.Options{})
	publish(t, b, "a:1", "status", "1")
	for _, tt := range []struct {
		name string
		stop func() error
		want error
	}{
		{"drained", func() error { return b.Drain(t.Context(), 0) }, broker.ErrDraining},
		{"drained twice", func() error { return b.Drain(t.Context(), 0) }, broker.ErrDraining},
		{"closed", b.Close, broker.ErrClosed},
		{"closed twice", b.Close, broker.ErrClosed},
	} {
		if err := tt.stop(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		_, err := b.Publish(t.Context(), broker.Publication{Channel: "a:1", Topic: "status", Data: []byte("1")})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: publish: %v", tt.name, err)
		}
		if _, err = b.SetRun(t.Context(), broker.RunPublication{Channel: "a:1", Change: schemas.RunChange{Status: schemas.RunRunning}}); !errors.Is(err, tt.want) {
			t.Errorf("%s: run: %v", tt.name, err)
		}
		if _, err = b.Subscribe(t.Context(), asking("a:1")); !errors.Is(err, tt.want) {
			t.Errorf("%s: subscribe: %v", tt.name, err)
		}
	}
	if n := b.Stats().Published; n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestBroker_Drain_deadline: a stream that nobody reads cannot delay Drain beyond the end of
// its context.
func TestBroker_Drain_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		r := subscribe(t, b, asking("a:1"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Drain(ctx, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		want(t, "it is ended all the same", r.now(), "$open@0 $close@0[4002]")
	})
}

func TestBroker_Close_endsStreams(t *testing.T) {
	b := start(t, broker.Options{})
	r := subscribe(t, b, asking("a:1"))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, "ended", r.during(time.Minute), "$open@0 $close@0[4002]")
	if !r.ended {
		t.Error("no end of file")
	}
}

func TestBroker_Publish_contextEnded(t *testing.T) {
	b := start(t, broker.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Publish(ctx, broker.Publication{Channel: "a", Topic: "b", Data: []byte("1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
