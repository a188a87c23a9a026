package disk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
)

func watch(t *testing.T, n *node) *enginetest.Watcher {
	t.Helper()
	return enginetest.Watch(t, n.ClusterState())
}

func TestClusterState_contract(t *testing.T) {
	enginetest.ClusterState(t, func(t *testing.T) enginetest.Service {
		opts := inMemory()
		n := open(t, "d", opts)
		return enginetest.Service{Nodes: []clusterstate.Store{n.ClusterState()}, Later: func() clusterstate.Store {
			n.close()
			return open(t, "d", opts).ClusterState()
		}}
	})
}

// TestClusterState_Put_durable: what was put outlives a power failure.
func TestClusterState_Put_durable(t *testing.T) {
	p := &power{fs: vfs.NewCrashableMem()}
	n := open(t, "d", p.opts(disk.Options{SyncEvery: time.Hour}))
	w := watch(t, n)
	w.Put(t, clusterstate.Item{Kind: "k", Name: "a", Value: []byte("1")})
	w.Put(t, clusterstate.Item{Kind: "k", Name: "b", Value: []byte("2")})
	w.Put(t, clusterstate.Item{Kind: "k", Name: "a", Value: []byte("3")})
	w.Put(t, clusterstate.Item{Kind: "k", Name: "b", Deleted: true})
	n = open(t, "d", p.fail(0, nil).opts(disk.Options{}))
	if got := watch(t, n).State(); got != "map[k/a:3]" {
		t.Errorf("kept %s", got)
	}
}

func TestClusterState_Put_closed(t *testing.T) {
	n := open(t, "d", inMemory())
	w := watch(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Store.Put(ctx, clusterstate.Item{Kind: "k", Name: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	n.close()
	if err := w.Store.Put(t.Context(), clusterstate.Item{Kind: "k", Name: "a"}); !errors.Is(err, clusterstate.ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
}

// An item is removed when it expires, unless it was stored again.
func TestClusterState_expires(t *testing.T) {
	opts := inMemory()
	bubble(t, opts, func(t *testing.T, n *node) {
		w := watch(t, n)
		now := time.Now()
		w.Put(t, clusterstate.Item{Kind: "k", Name: "a", ExpiresAt: now.Add(time.Hour)})
		w.Put(t, clusterstate.Item{Kind: "k", Name: "b", ExpiresAt: now.Add(time.Hour)})
		w.Put(t, clusterstate.Item{Kind: "k", Name: "b", ExpiresAt: now.Add(3 * time.Hour)})
		w.Put(t, clusterstate.Item{Kind: "k", Name: "c", ExpiresAt: now.Add(time.Hour)})
		w.Put(t, clusterstate.Item{Kind: "k", Name: "c"})
		w.Put(t, clusterstate.Item{Kind: "k", Name: "past", ExpiresAt: now.Add(-time.Hour)})
		if got := watch(t, n).State(); got != "map[k/a: k/b: k/c:]" {
			t.Errorf("kept %s", got)
		}
		time.Sleep(2 * time.Hour)
		if got := watch(t, n).State(); got != "map[k/b: k/c:]" || n.Keys('f') != 2 {
			t.Errorf("kept %s, %d keys", got, n.Keys('f'))
		}
		time.Sleep(2 * time.Hour)
		if n.Keys('f') != 1 || n.Keys('a') != 0 {
			t.Errorf("%d items, %d entries on the expiry index", n.Keys('f'), n.Keys('a'))
		}
	})
}
