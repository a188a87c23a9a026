//go:build unix

package nats_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/broker/nats"
	"github.com/sluicehq/sluice/internal/natstest"
)

// watcher applies facts to a map.
type watcher struct {
	*nats.Facts
	mu    sync.Mutex
	holds map[string]string
	order []string
	bad   string // a value that cannot hold
}

var errBad = errors.New("cannot hold")

func watch(t testing.TB, e *nats.Engine) *watcher {
	t.Helper()
	w := &watcher{Facts: e.Facts(), holds: make(map[string]string), bad: "bad"}
	if err := w.Watch(t.Context(), w.take); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watcher) take(f facts.Fact) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if string(f.Value) == w.bad {
		return errBad
	}
	if f.Gone {
		delete(w.holds, f.Name)
	} else {
		w.holds[f.Name] = string(f.Value)
	}
	w.order = append(w.order, fmt.Sprint(f.Name, "=", string(f.Value)))
	return nil
}

func (w *watcher) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.holds)
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func fact(name, value string) facts.Fact {
	return facts.Fact{Kind: "test", Name: name, Value: []byte(value)}
}

func tell(t testing.TB, w *watcher, f facts.Fact) {
	t.Helper()
	if err := w.Tell(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func TestFacts_everyNodeAppliesTheSame(t *testing.T) {
	opts := shared(t)
	a, b := watch(t, open(t, opts)), watch(t, open(t, opts))
	tell(t, a, fact("x", "1"))
	if a.state() != "map[x:1]" {
		t.Errorf("told, but there is %s", a.state())
	}
	tell(t, b, fact("y.*> ü", "2"))
	tell(t, b, fact("x", "3"))
	gone := fact("y.*> ü", "")
	gone.Gone = true
	tell(t, a, gone)
	tell(t, a, fact("z", "4"))
	const want = "map[x:3 z:4]"
	late := watch(t, open(t, opts))
	for _, w := range []*watcher{a, b, late} {
		eventually(t, "agreement", func() bool { return w.state() == want })
	}
	if got := fmt.Sprint(late.order); got != "[x=3 z=4]" {
		t.Errorf("a late starter applied %s", got)
	}
}

func TestFacts_Tell_takesBack(t *testing.T) {
	opts := shared(t)
	a, b := watch(t, open(t, opts)), watch(t, open(t, opts))
	tell(t, a, fact("x", "1"))
	for _, name := range []string{"x", "new"} {
		if err := a.Tell(t.Context(), fact(name, "bad")); !errors.Is(err, errBad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tell(t, a, fact("last", "2"))
	const want = "map[last:2 x:1]"
	for _, w := range []*watcher{a, b, watch(t, open(t, opts))} {
		eventually(t, "agreement", func() bool { return w.state() == want })
	}
}

func TestFacts_Claim_one(t *testing.T) {
	opts := shared(t)
	var all sync.WaitGroup
	got := make([]string, 12)
	engines := []*nats.Engine{open(t, opts), open(t, opts), open(t, opts)}
	for i := range got {
		all.Go(func() {
			f, err := engines[i%3].Facts().Claim(t.Context(), fact("key", fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
			}
			got[i] = string(f.Value)
		})
	}
	all.Wait()
	for _, value := range got {
		if value == "" || value != got[0] {
			t.Fatalf("claimed %v", got)
		}
	}
}

// Nodes that start together with their cluster come up, and have one key.
func TestFacts_Claim_freshCluster(t *testing.T) {
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
			f, err := e.Facts().Claim(t.Context(), fact("key", fmt.Sprint(i)))
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

// While a cluster has no majority, what it is sent is not answered, or never will be.
func TestFacts_Claim_noMajorityYet(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	const timeout = 500 * time.Millisecond
	e := open(t, nats.Options{URLs: []string{servers[0].URL()}, Timeout: timeout})
	for _, s := range servers[1:] {
		s.Stop()
	}
	type answer struct {
		fact facts.Fact
		err  error
	}
	claimed := make(chan answer, 1)
	go func() { // ends with the claim, which ends in time
		f, err := e.Facts().Claim(t.Context(), fact("key", "1"))
		claimed <- answer{f, err}
	}()
	<-time.After(3 * timeout)
	for _, s := range servers[1:] {
		s.Continue()
	}
	if a := <-claimed; a.err != nil || string(a.fact.Value) != "1" {
		t.Errorf("claimed %q, %v", a.fact.Value, a.err)
	}
}

func TestFacts_until(t *testing.T) {
	opts := shared(t)
	a := watch(t, open(t, opts))
	f := fact("x", "1")
	f.Until = time.Now().Add(time.Second)
	tell(t, a, f)
	eventually(t, "forgetting", func() bool { return watch(t, open(t, opts)).state() == "map[]" })
}

func TestFacts_Tell_refusals(t *testing.T) {
	e := open(t, shared(t))
	if err := e.Facts().Tell(t.Context(), fact("x", "1")); !errors.Is(err, facts.ErrUnavailable) {
		t.Errorf("before Watch: %v", err)
	}
	w := watch(t, e)
	for _, f := range []facts.Fact{fact("", "1"), {Kind: "A", Name: "x"}, {Name: "x"}, fact(string(make([]byte, facts.MaxName+1)), ""), fact("x", string(make([]byte, facts.MaxValue+1)))} {
		if err := w.Tell(t.Context(), f); err == nil {
			t.Errorf("%s %d bytes, %d bytes: no error", f.Kind, len(f.Name), len(f.Value))
		}
	}
}
