//go:build unix

package nats_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/nats"
)

// brokers returns brokers of one service, each with an engine of its own.
func brokers(t testing.TB, n int, opts nats.Options) []*broker.Broker {
	t.Helper()
	list := make([]*broker.Broker, n)
	for i := range list {
		list[i] = newBroker(t, open(t, opts))
	}
	return list
}

func newBroker(t testing.TB, e *nats.Engine) *broker.Broker {
	t.Helper()
	b, err := broker.New(broker.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Whoever comes first decides, wherever the others ask.
func TestBroker_SetRun_oneFinalStatus(t *testing.T) {
	list := brokers(t, 3, shared(t))
	statuses := []broker.RunStatus{broker.RunCompleted, broker.RunFailed, broker.RunCancelled}
	for round := range 20 {
		name := fmt.Sprint("run:", round)
		if _, err := list[0].SetRun(t.Context(), channel(name), broker.RunChange{Status: broker.RunRunning, RunID: "r"}, broker.Limits{}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			all.Go(func() {
				_, errs[i] = list[i%3].SetRun(t.Context(), channel(name), broker.RunChange{Status: statuses[i%3]}, broker.Limits{})
			})
		}
		all.Wait()
		var won []int
		for i := range 3 {
			if (errs[i] == nil) != (errs[i+3] == nil) {
				t.Errorf("%s: %v for one and %v for another", statuses[i], errs[i], errs[i+3])
			}
			if errs[i] == nil {
				won = append(won, i)
			} else if !errors.Is(errs[i], broker.ErrRunFinished) {
				t.Error(errs[i])
			}
		}
		if len(won) != 1 {
			t.Fatalf("%d final statuses: %v", len(won), errs)
		}
		for _, b := range list {
			info, err := b.Channel(t.Context(), channel(name))
			if err != nil || info.Run == nil || info.Run.Status != statuses[won[0]] || info.Run.RunID != "r" || info.Messages != 2 {
				t.Errorf("got %+v, %v, want %s and 2 messages", info, err, statuses[won[0]])
			}
		}
	}
}
