package system_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/system"
)

// wire is a bus that delivers at once.
type wire struct {
	mu    sync.Mutex
	takes map[int]func(payload []byte) // guarded by mu
	next  int                          // guarded by mu
	sent  int                          // guarded by mu
}

func (w *wire) Broadcast(_ string, payload []byte) error {
	w.mu.Lock()
	w.sent++
	var takes []func([]byte)
	for _, take := range w.takes {
		takes = append(takes, take)
	}
	w.mu.Unlock()
	for _, take := range takes {
		take(payload)
	}
	return nil
}

func (w *wire) Listen(_ string, take func(payload []byte)) (stop func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.takes == nil {
		w.takes = make(map[int]func([]byte))
	}
	n := w.next
	w.next++
	w.takes[n] = take
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.takes, n)
	}, nil
}

func (w *wire) letters() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// names returns the names of the nodes in the next list.
func (r *reader) names() (names []string) {
	for _, n := range decode[system.Nodes](r.t, r.next()).Nodes {
		names = append(names, n.Node.Name)
	}
	return names
}

// TestSystem_nodes lists the nodes that answer, and forgets those that do not any more. Without
// a reader, nothing is sent.
func TestSystem_nodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := new(wire)
		one, two := startOn(t, bus, "one"), startOn(t, bus, "two")
		two.publish("a", 3)
		if _ = bus.Broadcast("system", []byte("{")); bus.letters() != 1 {
			t.Error("a letter that cannot be read was answered")
		}
		time.Sleep(time.Minute)
		if sent := bus.letters(); sent != 1 {
			t.Errorf("%d letters though nobody reads", sent-1)
		}
		r, other := one.read("none", "nodes"), two.read("none", "nodes")
		before := time.Now()
		list := decode[system.Nodes](t, r.next()).Nodes
		if took := time.Since(before); len(list) != 2 || list[0].Node.Name != "one" || list[1].Published != 3 || list[1].Channels != 1 || took.Round(100*time.Millisecond) != time.Second {
			t.Errorf("after %v: %+v", took, list)
		}
		if got := other.names(); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("the other node lists %q", got)
		}
		if r.names(); bus.letters() > 10 {
			t.Errorf("%d letters in three seconds", bus.letters())
		}
		other.stream.Close()
		two.close()
		var got []string
		for range 4 {
			got = r.names()
		}
		if !slices.Equal(got, []string{"one"}) {
			t.Errorf("%q, long after the other node has ended", got)
		}
		r.stream.Close()
	})
}

func TestSystem_nodeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t).read("none", "nodes")
		if got := r.names(); !slices.Equal(got, []string{"one"}) {
			t.Errorf("nodes %q", got)
		}
		r.stream.Close()
	})
}
