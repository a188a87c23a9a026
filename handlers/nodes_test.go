package handlers_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
)

// cluster keeps the cluster state of several nodes in one process.
type cluster struct {
	mu    sync.Mutex
	kept  []clusterstate.Item
	nodes []*node
	told  []clusterstate.Item // every one that a node told, also those that were refused
	fault error               // what telling ends with, if it is set
	race  func()              // called before an item is applied anywhere
}

// node is the store of one node.
type node struct {
	cluster *cluster
	apply   clusterstate.Apply
}

// join is a setup that makes the server a node of the cluster.
func (c *cluster) join(o *setup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &node{cluster: c}
	c.nodes = append(c.nodes, n)
	o.handlers.ClusterState = n
}

// keep adds items as if they had been stored before the first node started.
func (c *cluster) keep(kept ...clusterstate.Item) { c.kept = append(c.kept, kept...) }

// deliver makes the last node apply an item late, or again.
func (c *cluster) deliver(t *testing.T, f clusterstate.Item) {
	t.Helper()
	if err := c.nodes[len(c.nodes)-1].apply(f); err != nil {
		t.Error(err)
	}
}

// last returns the item that was stored last.
func (c *cluster) last(t *testing.T) clusterstate.Item {
	t.Helper()
	if len(c.told) == 0 {
		t.Fatal("nothing was told")
	}
	return c.told[len(c.told)-1]
}

// Claim implements [clusterstate.Store].
func (n *node) Claim(context.Context, clusterstate.Item) (clusterstate.Item, error) {
	panic("not for handlers")
}

// Watch implements [clusterstate.Store].
func (n *node) Watch(_ context.Context, apply clusterstate.Apply) error {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.apply = apply
	for _, f := range n.cluster.kept {
		if err := apply(f); err != nil {
			return err
		}
	}
	return nil
}

// Put implements [clusterstate.Store]. It applies the item on this node first.
func (n *node) Put(_ context.Context, f clusterstate.Item) error {
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, f)
	if c.fault != nil {
		return c.fault
	}
	if c.race != nil {
		c.race()
	}
	if err := n.apply(f); err != nil {
		return err
	}
	c.kept = slices.DeleteFunc(c.kept, func(k clusterstate.Item) bool { return k.Kind == f.Kind && k.Name == f.Name })
	if !f.Deleted {
		c.kept = append(c.kept, f)
	}
	for _, other := range c.nodes {
		if other != n && other.apply != nil {
			_ = other.apply(f)
		}
	}
	return nil
}
