//go:build unix

package nats_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
)

func watch(t testing.TB, e *nats.Engine) *enginetest.Watcher {
	t.Helper()
	return enginetest.Watch(t, e.ClusterState())
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func item(name, value string) clusterstate.Item {
	return clusterstate.Item{Kind: "test", Name: name, Value: []byte(value)}
}

func TestClusterState_contract(t *testing.T) {
	enginetest.ClusterState(t, func(t *testing.T) enginetest.Service {
		opts := shared(t)
		node := func() clusterstate.Store { return open(t, opts).ClusterState() }
		return enginetest.Service{Nodes: []clusterstate.Store{node(), node(), node()}, Later: node}
	})
}

// Nodes that start together with their cluster come up, and agree on one key.
func TestClusterState_Claim_freshCluster(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	got := make([]string, 3)
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() {
			e, err := nats.Open(t.Context(), nats.Options{URLs: []string{s.URL()}})
			if err != nil {
				t.Error(err)
				return
			}
			defer e.Close()
			if _, err := e.StartFor(newRecorder()); err != nil {
				t.Error(err)
			}
			f, err := e.ClusterState().Claim(t.Context(), item("key", fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
			}
			got[i] = string(f.Value)
		})
	}
	all.Wait()
	if got[0] == "" || got[0] != got[1] || got[0] != got[2] {
		t.Errorf("claimed %q", got)
	}
}

// A cluster without a majority answers late or never.
func TestClusterState_Claim_noMajorityYet(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	const timeout = 500 * time.Millisecond
	e := open(t, nats.Options{URLs: []string{servers[0].URL()}, Replicas: 3, Timeout: timeout})
	for _, s := range servers[1:] {
		s.Stop()
	}
	type answer struct {
		item clusterstate.Item
		err  error
	}
	claimed := make(chan answer, 1)
	go func() { // ends with the claim, which ends in time
		f, err := e.ClusterState().Claim(t.Context(), item("key", "1"))
		claimed <- answer{f, err}
	}()
	<-time.After(3 * timeout)
	for _, s := range servers[1:] {
		s.Continue()
	}
	if a := <-claimed; a.err != nil || string(a.item.Value) != "1" {
		t.Errorf("claimed %q, %v", a.item.Value, a.err)
	}
}

func TestClusterState_until(t *testing.T) {
	t.Parallel() // it waits
	opts := shared(t)
	a := watch(t, open(t, opts))
	f := item("x", "1")
	f.ExpiresAt = time.Now().Add(time.Second)
	a.Put(t, f)
	eventually(t, "forgetting", func() bool { return watch(t, open(t, opts)).State() == "map[]" })
}
