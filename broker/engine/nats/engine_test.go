//go:build unix

package nats_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

func TestEngine_everyNodeReadsTheSame(t *testing.T) {
	list := nodes(t, 3, shared(t))
	for _, n := range list {
		n.follow(t, "a:b", "a:*", "*")
		if n.origin.Epoch != list[0].origin.Epoch || n.origin.Epoch == 0 {
			t.Fatalf("epochs %d and %d", n.origin.Epoch, list[0].origin.Epoch)
		}
	}
	var ids []schemas.ID
	for i := range 30 {
		r := list[i%3].put(t, entry("a:b", fmt.Sprint(i)))
		if len(ids) > 0 && r.ID.Seq <= ids[len(ids)-1].Seq {
			t.Fatalf("position %v after %v", r.ID, ids[len(ids)-1])
		}
		ids = append(ids, r.ID)
	}
	for i, n := range list {
		n.delivered(t, "a:b", numbers(0, 29)...)
		for k, m := range n.messages["a:b"] {
			if m.ID != ids[k] {
				t.Fatalf("node %d: message %d has the position %v, its receipt %v", i, k, m.ID, ids[k])
			}
		}
		kept := n.load(t, "a:b")
		if got := texts(kept.Messages); !slices.Equal(got, numbers(0, 29)) || kept.Lost.Newest != 0 {
			t.Errorf("node %d keeps %v, lost up to %d", i, got, kept.Lost.Newest)
		}
		if repaired := n.Stats().Repaired; repaired != 0 {
			t.Errorf("node %d repaired %d messages", i, repaired)
		}
	}
}

func TestEngine_contract(t *testing.T) {
	storesOf := func(t *testing.T, opts nats.Options) (all []enginetest.Store) {
		for _, n := range nodes(t, 3, opts) {
			all = append(all, n)
		}
		return all
	}
	stores := func(t *testing.T) []enginetest.Store { return storesOf(t, shared(t)) }
	t.Run("messages", func(t *testing.T) { enginetest.Messages(t, stores(t)...) })
	t.Run("keys", func(t *testing.T) { enginetest.Keys(t, stores(t)...) })
	t.Run("texts", func(t *testing.T) { enginetest.Texts(t, stores(t)...) })
	t.Run("runs", func(t *testing.T) { enginetest.Runs(t, stores(t)...) })
	t.Run("whole texts", func(t *testing.T) { enginetest.WholeTexts(t, stores(t)...) })
	t.Run("latest", func(t *testing.T) { enginetest.Latest(t, stores(t)...) })
	t.Run("merged", func(t *testing.T) {
		opts, rules := shared(t), enginetest.MergeRules(t)
		opts.LimitsOf = func(schemas.Channel) engine.Limits { return engine.Limits{Merge: rules} }
		enginetest.Merged(t, storesOf(t, opts)...)
	})
	t.Run("quiet topics", func(t *testing.T) { enginetest.QuietTopics(t, stores(t)...) })
	t.Run("quiet topics of one node", func(t *testing.T) { enginetest.QuietTopics(t, start(t, shared(t))) })
	t.Run("losses", func(t *testing.T) { enginetest.Losses(t, stores(t)...) })
	t.Run("losses of one node", func(t *testing.T) { enginetest.Losses(t, start(t, shared(t))) })
	t.Run("fences", func(t *testing.T) { enginetest.Fences(t, textStores(nodes(t, 3, shared(t)))...) })
	t.Run("fences of one node", func(t *testing.T) { enginetest.Fences(t, start(t, shared(t))) })
	t.Run("placed", func(t *testing.T) { enginetest.Placed(t, nodes(t, 3, shared(t))[0]) })
	t.Run("listing", func(t *testing.T) { enginetest.Listing(t, start(t, shared(t))) })
}

// With replicas, the leader decides before what it decides on is stored, and cannot while
// another message that has to do with the same record is being stored.
func TestEngine_contract_fencesWithReplicas(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	var list []*node
	for _, s := range servers {
		list = append(list, start(t, nats.Options{URLs: []string{s.URL()}, Replicas: 3}))
	}
	enginetest.Fences(t, textStores(list)...)
	fence := list[0].take(t, "together", 0)
	const pieces = 60
	var all sync.WaitGroup
	for i := range pieces {
		all.Go(func() {
			if _, err := list[i%3].Append(t.Context(), fenced("together", i, fence)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := list[0].load(t, "together").Messages; len(got) != pieces {
		t.Errorf("%d of %d pieces are kept", len(got), pieces)
	}
}

func textStores(list []*node) (all []enginetest.TextStore) {
	for _, n := range list {
		all = append(all, n)
	}
	return all
}

// What several nodes publish with the same keys is delivered once.
func TestEngine_Append_keyOnce(t *testing.T) {
	const keys = 100
	list := nodes(t, 3, shared(t))
	list[0].follow(t, "c")
	receipts := make([][keys]schemas.Receipt, len(list))
	var all sync.WaitGroup
	for i, n := range list {
		for k := range keys {
			all.Go(func() {
				var err error
				if receipts[i][k], err = n.Append(t.Context(), keyed("c", fmt.Sprint(i), fmt.Sprint("key", k))); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	list[0].until(t, "delivery", func() bool { return len(list[0].of("c")) == keys })
	seen := make(map[schemas.ID]bool)
	for _, r := range receipts[1] {
		seen[r.ID] = true
	}
	list[0].mu.Lock()
	for _, m := range list[0].messages["c"] {
		if !seen[m.ID] {
			t.Errorf("message %v has no receipt", m.ID)
		}
	}
	list[0].mu.Unlock()
	if r, found, err := list[2].Recall(t.Context(), "c", "status", "key7"); err != nil || !found || r.ID != receipts[0][7].ID || !r.Duplicate {
		t.Errorf("recalled %+v, %t, %v, want %+v", r, found, err, receipts[0][7])
	}
	if _, found, err := list[2].Recall(t.Context(), "c", "other", "key7"); err != nil || found {
		t.Errorf("key of another topic: %t, %v", found, err)
	}
}

// A node that nobody reads through hears how far the stream is.
func TestEngine_Reached(t *testing.T) {
	list := nodes(t, 2, shared(t))
	last := list[0].put(t, entry("c", "1")).ID.Seq
	reached := func() uint64 { list[1].mu.Lock(); defer list[1].mu.Unlock(); return list[1].reached }
	list[1].until(t, "the canary", func() bool { return reached() >= last })
	const rounds, enough = 100, 10
	fast := 0
	for n := 0; n < rounds && fast < enough; n++ {
		last = list[0].put(t, entry("c", "1")).ID.Seq
		begun := time.Now()
		head, err := list[1].Head(t.Context())
		if err != nil || head < last {
			t.Fatalf("head %d, %v, want %d or more", head, err, last)
		}
		list[1].until(t, "the head", func() bool { return reached() >= last })
		if time.Since(begun) < time.Second/2 { // by the canary alone, one after the other takes a second
			fast++
		}
	}
	if fast < enough {
		t.Errorf("%d of %d heads were heard of at once", fast, rounds)
	}
}
