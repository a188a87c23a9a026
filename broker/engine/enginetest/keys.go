package enginetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// Keys tests durable publishes.
func Keys(t *testing.T, stores ...Store) {
	t.Helper()
	t.Run("a key is published once", func(t *testing.T) { keyIsPublishedOnce(t, stores) })
	t.Run("keys do not collide", func(t *testing.T) { keysDoNotCollide(t, stores[0]) })
	t.Run("a key is published once although many ask at once", func(t *testing.T) { keyAtOnce(t, stores) })
	t.Run("a key outlives its channel", func(t *testing.T) { keyOutlivesItsChannel(t, stores) })
}

func keyIsPublishedOnce(t *testing.T, stores []Store) {
	first := put(t, stores[0], entry("once", "1", "k"))
	if !first.Durable || first.Duplicate {
		t.Errorf("first call: %+v", first)
	}
	first.Duplicate = true
	for _, s := range stores {
		if again := put(t, s, entry("once", "2", "k")); again != first { // whatever its data
			t.Errorf("again %+v, want %+v", again, first)
		}
		if got := kept(t, s, "once"); len(got) != 1 || string(got[0].Data) != "1" || got[0].ID != first.ID {
			t.Errorf("kept %+v", got)
		}
	}
}

func keysDoNotCollide(t *testing.T, s Store) {
	for _, p := range []struct {
		channel schemas.Channel
		topic   schemas.Topic
		key     string
	}{
		{"a", "b", "k"},
		{"a", "c", "k"},
		{"b", "b", "k"},
		{"a", "b", "kk"},
		{"ab", "b", "k"},
		{"a", "bb", "k"},
		{"a", "b", "b k"},
		{"a:b", "k", "k"},
		{"a", "b", `\nk`},
	} {
		e := entry(p.channel, "1", p.key)
		e.Topic = p.topic
		if r := put(t, s, e); r.Duplicate {
			t.Errorf("%+v is taken for another one", p)
		}
	}
}

func keyAtOnce(t *testing.T, stores []Store) {
	const keys, calls = 50, 8
	var all sync.WaitGroup
	var receipts [keys][calls]schemas.Receipt
	for k := range keys {
		for i := range calls {
			all.Go(func() {
				var err error
				if receipts[k][i], err = stores[i%len(stores)].Append(t.Context(), entry("at once", fmt.Sprint(i), fmt.Sprint(k))); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	ids := make(map[schemas.ID]bool)
	for k := range keys {
		published := 0
		for _, r := range receipts[k] {
			if !r.Duplicate {
				published++
			}
			if r.Duplicate = receipts[k][0].Duplicate; r != receipts[k][0] || !r.Durable {
				t.Errorf("key %d: one call got %+v, another %+v", k, receipts[k][0], r)
			}
		}
		if published != 1 {
			t.Errorf("key %d: %d calls say that they published", k, published)
		}
		ids[receipts[k][0].ID] = true
	}
	for _, s := range stores {
		got := kept(t, s, "at once")
		for _, m := range got {
			if !ids[m.ID] {
				t.Errorf("%+v has no receipt", m)
			}
		}
		if len(got) != keys || len(ids) != keys {
			t.Errorf("%d messages, %d positions for %d keys", len(got), len(ids), keys)
		}
	}
}

// When the channel of a key was deleted, a call with the key gets the first receipt and
// publishes nothing.
func keyOutlivesItsChannel(t *testing.T, stores []Store) {
	first := put(t, stores[0], entry("deleted", "1", "k"))
	last := stores[len(stores)-1]
	if found, err := last.Delete(t.Context(), "deleted"); !found || err != nil {
		t.Fatalf("delete: %t, %v", found, err)
	}
	first.Duplicate = true
	for _, s := range stores {
		if again := put(t, s, entry("deleted", "1", "k")); again != first {
			t.Errorf("got %+v, want %+v", again, first)
		}
	}
	if got := kept(t, last, "deleted"); len(got) != 0 {
		t.Errorf("it has come back: %+v", got)
	}
	if found, err := last.Delete(t.Context(), "deleted"); found || err != nil {
		t.Errorf("deleted again: %t, %v", found, err)
	}
	if r := put(t, stores[0], entry("deleted", "1", "another")); r.Duplicate || r.ID.Seq <= first.ID.Seq {
		t.Errorf("with another key: %+v", r)
	}
}
