package handlers_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/facts"
)

// cluster keeps the facts of several nodes in one process.
type cluster struct {
	mu    sync.Mutex
	kept  []facts.Fact
	nodes []*node
	told  []facts.Fact // every one that a node told, also those that were refused
	fault error        // what telling ends with, if it is set
	race  func()       // called before a fact is applied anywhere
}

// node is the store of one of them.
type node struct {
	cluster *cluster
	apply   facts.Apply
}

// join is for the start of a server: it becomes a node.
func (c *cluster) join(o *setup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &node{cluster: c}
	c.nodes = append(c.nodes, n)
	o.handlers.Facts = n
}

// keep adds a fact as if it had been told before the first node started.
func (c *cluster) keep(kept ...facts.Fact) { c.kept = append(c.kept, kept...) }

// deliver has the last node apply a fact that it hears of late, or again.
func (c *cluster) deliver(t *testing.T, f facts.Fact) {
	t.Helper()
	if err := c.nodes[len(c.nodes)-1].apply(f); err != nil {
		t.Error(err)
	}
}

// last returns the last fact that was told.
func (c *cluster) last(t *testing.T) facts.Fact {
	t.Helper()
	if len(c.told) == 0 {
		t.Fatal("nothing was told")
	}
	return c.told[len(c.told)-1]
}

// Claim implements [facts.Store].
func (n *node) Claim(context.Context, facts.Fact) (facts.Fact, error) { panic("not for handlers") }

// Watch implements [facts.Store].
func (n *node) Watch(_ context.Context, apply facts.Apply) error {
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

// Tell implements [facts.Store]. It is applied here first.
func (n *node) Tell(_ context.Context, f facts.Fact) error {
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
	c.kept = slices.DeleteFunc(c.kept, func(k facts.Fact) bool { return k.Kind == f.Kind && k.Name == f.Name })
	if !f.Gone {
		c.kept = append(c.kept, f)
	}
	for _, other := range c.nodes {
		if other != n && other.apply != nil {
			_ = other.apply(f)
		}
	}
	return nil
}
