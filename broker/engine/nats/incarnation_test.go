//go:build unix

package nats_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/nats"
)

// An engine whose stream is gone, or another one, sends readers to other nodes and is
// never used again.
func TestEngine_givenUp(t *testing.T) {
	t.Parallel()        // it waits
	var checks []func() // each waits for the same five seconds
	for _, begin := range []func(*testing.T) (check func()){createdAnew, createdAnewWithTheSameEpoch, gone, clusterStateGone} {
		checks = append(checks, begin(t))
	}
	for _, check := range checks {
		check()
	}
}

func createdAnew(t *testing.T) (check func()) {
	opts := shared(t)
	n := start(t, opts)
	n.follow(t, "c")
	n.put(t, entry("c", "1"))
	remove(t, opts, "sluice-0")
	n.until(t, "doubt", func() bool { return n.Ready() != nil })
	other := start(t, opts)
	if other.origin.Epoch == n.origin.Epoch {
		t.Error("the new stream has the epoch of the old one")
	}
	return func() {
		n.givenUp(t, "created anew")
		other.put(t, entry("c", "3"))
	}
}

// A shard has the epoch of the first one, and its new stream may already be longer than
// the old one was when somebody looks.
func createdAnewWithTheSameEpoch(t *testing.T) (check func()) {
	opts := shared(t)
	opts.Shard, opts.Epoch = 1, 7
	n := start(t, opts)
	remove(t, opts, "sluice-1")
	other := start(t, opts)
	for i := range 50 {
		other.put(t, entry("d", fmt.Sprint(i)))
	}
	return func() {
		n.givenUp(t, "created anew")
		if err := other.Ready(); err != nil {
			t.Errorf("the node that made it: %v", err)
		}
	}
}

// Nobody creates the stream anew. The cut-off is too far away to end readers' streams.
func gone(t *testing.T) (check func()) {
	opts := shared(t)
	opts.CutOff = time.Hour
	n := start(t, opts)
	remove(t, opts, "sluice-0")
	return func() { n.givenUp(t, "is gone") }
}

// Cluster state in another stream would count as stored, and no node would hear of it.
func clusterStateGone(t *testing.T) (check func()) {
	opts := shared(t)
	opts.CutOff = time.Hour
	n := start(t, opts)
	remove(t, opts, "sluice-facts")
	return func() {
		n.givenUp(t, "the stream sluice-facts is gone")
		if err := n.ClusterState().Put(t.Context(), item("n", "v")); !errors.Is(err, clusterstate.ErrUnavailable) {
			t.Errorf("put: %v", err)
		}
	}
}

// TestClusterState_Belongs: the next start notices a stream that was created anew alone.
func TestClusterState_Belongs(t *testing.T) {
	opts := shared(t)
	first := start(t, opts)
	opts.Shard, opts.Epoch = 1, first.Epoch()
	for range 2 {
		if err := first.ClusterState().Belongs(t.Context(), start(t, opts).Engine); err != nil {
			t.Fatal(err)
		}
	}
	remove(t, opts, "sluice-1")
	err := first.ClusterState().Belongs(t.Context(), start(t, opts).Engine)
	if err == nil || !strings.Contains(err.Error(), "sluice-1 was created anew alone") {
		t.Errorf("err = %v", err)
	}
}

// givenUp waits until readers are sent to other nodes, and checks that the engine stays
// unavailable.
func (n *node) givenUp(t testing.TB, why string) {
	t.Helper()
	n.until(t, "severing", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.severed > 0 })
	err := n.Ready()
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "must be restarted") {
		t.Errorf("ready: %v", err)
	}
	if _, err := n.Append(t.Context(), entry("c", "2")); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
}

func remove(t testing.TB, opts nats.Options, stream string) {
	t.Helper()
	if err := deleteStream(t, opts, stream); err != nil {
		t.Fatal(err)
	}
}
