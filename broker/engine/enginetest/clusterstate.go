package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
)

// Service is a cluster state that is new and empty.
type Service struct {
	Nodes []clusterstate.Store      // one, or one for each node
	Later func() clusterstate.Store // starts another node, before which the first ones may end
}

// ClusterState tests a cluster state. start is called for each of the tests.
func ClusterState(t *testing.T, start func(t *testing.T) Service) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Service){
		"what is put stays":         putStays,
		"what is refused goes":      refusedGoes,
		"bounds":                    bounds,
		"one claim of many counts":  claimCounts,
		"waits obey their contexts": waitsObeyTheirContexts,
	} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// Watcher applies items, and refuses those with the value "bad".
type Watcher struct {
	clusterstate.Store
	mu      sync.Mutex
	items   map[string]string // guarded by mu; values by kind and name
	applied int               // guarded by mu; items so far
}

var errBad = errors.New("cannot hold")

// Watch returns what a store has, and will have.
func Watch(t testing.TB, s clusterstate.Store) *Watcher {
	t.Helper()
	w := &Watcher{Store: s, items: make(map[string]string)}
	if err := s.Watch(t.Context(), w.apply); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *Watcher) apply(i clusterstate.Item) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied++
	if string(i.Value) == "bad" {
		return errBad
	}
	name := fmt.Sprint(i.Kind, "/", i.Name)
	if w.items[name] = string(i.Value); i.Deleted {
		delete(w.items, name)
	}
	return nil
}

// State returns the items as a text: kinds, names and values in their order.
func (w *Watcher) State() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.items)
}

// Put must succeed.
func (w *Watcher) Put(t testing.TB, i clusterstate.Item) {
	t.Helper()
	if err := w.Store.Put(t.Context(), i); err != nil {
		t.Fatal(err)
	}
}

func item(name, value string) clusterstate.Item {
	return clusterstate.Item{Kind: "test", Name: name, Value: []byte(value)}
}

// watchAll returns watchers of all nodes.
func watchAll(t *testing.T, s Service) []*Watcher {
	t.Helper()
	watchers := make([]*Watcher, len(s.Nodes))
	for i, node := range s.Nodes {
		watchers[i] = Watch(t, node)
	}
	return watchers
}

// Becomes waits until w has the state. Other nodes than the one that put it may be a
// little behind.
func (w *Watcher) Becomes(t testing.TB, want string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); w.State() != want; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %s, want %s", w.State(), want)
		}
	}
}

func putStays(t *testing.T, s Service) {
	all := watchAll(t, s)
	first, last := all[0], all[len(all)-1]
	first.Put(t, item("a", "1"))
	if got := first.State(); got != "map[test/a:1]" {
		t.Errorf("it was put, but there is %s", got)
	}
	last.Put(t, item("y.*> ü", "2"))
	last.Put(t, item("a", "3"))
	first.Put(t, clusterstate.Item{Kind: "test", Name: "y.*> ü", Deleted: true})
	first.Put(t, clusterstate.Item{Kind: "test", Name: "never", Deleted: true})
	first.Put(t, clusterstate.Item{Kind: "other", Name: "a", Value: []byte("4")})
	first.Put(t, item("empty", ""))
	const want = "map[other/a:4 test/a:3 test/empty:]"
	for _, w := range all {
		w.Becomes(t, want)
	}
	late := Watch(t, s.Later())
	if got := late.State(); got != want || late.applied != 3 {
		t.Errorf("a node that starts later has applied %d items and has %s, want %s", late.applied, got, want)
	}
}

func refusedGoes(t *testing.T, s Service) {
	all := watchAll(t, s)
	all[0].Put(t, item("a", "1"))
	for _, name := range []string{"a", "new"} {
		if err := all[0].Store.Put(t.Context(), item(name, "bad")); !errors.Is(err, errBad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all[0].Put(t, item("last", "2"))
	const want = "map[test/a:1 test/last:2]"
	for _, w := range all {
		w.Becomes(t, want)
	}
	Watch(t, s.Later()).Becomes(t, want)
}

func bounds(t *testing.T, service Service) {
	s := service.Nodes[0]
	if err := s.Put(t.Context(), item("x", "1")); !errors.Is(err, clusterstate.ErrUnavailable) {
		t.Errorf("before Watch: %v", err)
	}
	w := Watch(t, s)
	for _, i := range []clusterstate.Item{
		item("", "1"),
		{Name: "x"},
		{Kind: "A", Name: "x"},
		item(strings.Repeat("x", clusterstate.MaxName+1), ""),
		item("x", string(make([]byte, clusterstate.MaxValue+1))),
	} {
		if err := s.Put(t.Context(), i); err == nil {
			t.Errorf("%q, %d bytes of name and %d of value were taken", i.Kind, len(i.Name), len(i.Value))
		}
	}
	w.Put(t, item(strings.Repeat("x", clusterstate.MaxName), string(make([]byte, clusterstate.MaxValue))))
}

func claimCounts(t *testing.T, s Service) {
	var all sync.WaitGroup
	got := make([]string, 12)
	for i := range got {
		all.Go(func() {
			claimed, err := s.Nodes[i%len(s.Nodes)].Claim(t.Context(), item("key", fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
			}
			got[i] = string(claimed.Value)
		})
	}
	all.Wait()
	later, err := s.Later().Claim(t.Context(), item("key", "later"))
	if err != nil || later.Kind != "test" || later.Name != "key" {
		t.Errorf("claimed %+v, %v", later, err)
	}
	if got = append(got, string(later.Value)); got[0] == "" || len(slices.Compact(got)) != 1 {
		t.Errorf("claimed %q", got)
	}
}

// While an item is being applied, others wait for their turn, each until its own
// context ends.
func waitsObeyTheirContexts(t *testing.T, service Service) {
	s := service.Nodes[0]
	applying, done := make(chan struct{}), make(chan struct{})
	if err := s.Watch(t.Context(), func(clusterstate.Item) error {
		close(applying)
		<-done
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() { first <- s.Put(t.Context(), item("a", "1")) }() // ends with done
	select {
	case <-applying:
	case err := <-first:
		t.Fatalf("not applied: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := s.Put(ctx, item("b", "1")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(done)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
