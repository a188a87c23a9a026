//go:build unix

package nats_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

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
		if got := texts(kept.Messages); !slices.Equal(got, numbers(0, 29)) || kept.Lost != 0 {
			t.Errorf("node %d keeps %v, lost up to %d", i, got, kept.Lost)
		}
		if repaired := n.Stats().Repaired; repaired != 0 {
			t.Errorf("node %d repaired %d messages", i, repaired)
		}
	}
}

func TestEngine_Append_keyOnce(t *testing.T) {
	const keys = 200
	list := nodes(t, 3, shared(t))
	list[0].follow(t, "c")
	receipts := make([][keys]schemas.Receipt, len(list))
	var all sync.WaitGroup
	for i, n := range list {
		for k := range keys {
			all.Go(func() {
				r, err := n.Append(t.Context(), keyed("c", fmt.Sprint(i), fmt.Sprint("key", k)))
				if err != nil {
					t.Error(err)
				}
				receipts[i][k] = r
			})
		}
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	first := 0
	seen := make(map[schemas.ID]bool)
	for k := range keys {
		for i := range list {
			r := receipts[i][k]
			if !r.Duplicate {
				first++
			}
			r.Duplicate = receipts[0][k].Duplicate
			if r != receipts[0][k] || !r.Durable {
				t.Errorf("key %d: receipts %+v and %+v", k, receipts[0][k], r)
			}
		}
		seen[receipts[0][k].ID] = true
	}
	if first != keys || len(seen) != keys {
		t.Errorf("%d first receipts of %d positions, want %d", first, len(seen), keys)
	}
	list[0].until(t, "delivery", func() bool { return len(list[0].of("c")) == keys })
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
	for range 20 { // faster than the canary
		last = list[0].put(t, entry("c", "1")).ID.Seq
		head, err := list[1].Head(t.Context())
		if err != nil || head < last {
			t.Fatalf("head %d, %v, want %d or more", head, err, last)
		}
		list[1].within(t, 200*time.Millisecond, "the head", func() bool { return reached() >= last })
	}
}
