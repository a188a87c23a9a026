package facts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/facts"
)

var _ facts.Store = (*facts.Local)(nil)

// applied notes what it is called with, and refuses the facts that are named bad.
type applied struct{ calls []string }

var errRefused = errors.New("refused")

func (a *applied) apply(f facts.Fact) error {
	call := fmt.Sprintf("%s %s %s", f.Kind, f.Name, f.Value)
	if f.Gone {
		call = "gone " + call
	}
	a.calls = append(a.calls, call)
	if f.Name == "bad" {
		return errRefused
	}
	return nil
}

func (a *applied) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(a.calls, want) {
		t.Errorf("applied %q, want %q", a.calls, want)
	}
	a.calls = nil
}

func claim(t *testing.T, l *facts.Local, name, value, want string) {
	t.Helper()
	got, err := l.Claim(t.Context(), facts.Fact{Kind: "keys", Name: name, Value: []byte(value)})
	if err != nil || string(got.Value) != want {
		t.Errorf("claimed %s as %q, got %q, %v; want %q", name, value, got.Value, err, want)
	}
}

func TestLocal_Claim_firstCounts(t *testing.T) {
	var l facts.Local
	claim(t, &l, "a", "1", "1")
	claim(t, &l, "a", "2", "1")
	claim(t, &l, "b", "2", "2")
	got, err := l.Claim(t.Context(), facts.Fact{Kind: "other", Name: "a", Value: []byte("3")})
	if err != nil || string(got.Value) != "3" {
		t.Errorf("a name of another kind: %q, %v", got.Value, err)
	}
}

// Of all that claim one name at once, one counts.
func TestLocal_Claim_atOnce(t *testing.T) {
	var l facts.Local
	var wait sync.WaitGroup
	values := make([]string, 20)
	for i := range values {
		wait.Go(func() {
			f, _ := l.Claim(t.Context(), facts.Fact{Kind: "keys", Name: "a", Value: fmt.Append(nil, i)})
			values[i] = string(f.Value)
		})
	}
	wait.Wait()
	if len(slices.Compact(values)) != 1 {
		t.Errorf("got %v", values)
	}
}

func TestLocal_Claim_until(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l facts.Local
		if _, err := l.Claim(t.Context(), facts.Fact{Kind: "keys", Name: "a", Value: []byte("1"), Until: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		claim(t, &l, "a", "2", "1")
		time.Sleep(time.Nanosecond)
		var a applied
		if err := l.Watch(t.Context(), a.apply); err != nil {
			t.Error(err)
		}
		a.expect(t)
		claim(t, &l, "a", "2", "2")
	})
}

// What was claimed holds when Watch is called, and one that cannot does not hide
// the others.
func TestLocal_Watch(t *testing.T) {
	var l facts.Local
	var a applied
	claim(t, &l, "bad", "1", "1")
	claim(t, &l, "a", "2", "2")
	if err := l.Watch(t.Context(), a.apply); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	a.expect(t, "keys bad 1", "keys a 2")
}

func TestLocal_Tell(t *testing.T) {
	var l facts.Local
	var a applied
	if err := l.Tell(t.Context(), facts.Fact{Kind: "other", Name: "early"}); !errors.Is(err, facts.ErrUnavailable) {
		t.Errorf("before Watch: %v", err)
	}
	if err := l.Watch(t.Context(), a.apply); err != nil {
		t.Fatal(err)
	}
	if err := l.Tell(t.Context(), facts.Fact{Kind: "other", Name: "a", Value: []byte("1")}); err != nil {
		t.Error(err)
	}
	a.expect(t, "other a 1")
	if err := l.Tell(t.Context(), facts.Fact{Kind: "other", Name: "bad"}); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	a.expect(t, "other bad ")
}

// A fact that was claimed is changed and ended like any other, unless that is
// refused.
func TestLocal_Tell_claimed(t *testing.T) {
	var l facts.Local
	var a applied
	claim(t, &l, "a", "1", "1")
	claim(t, &l, "bad", "1", "1")
	_ = l.Watch(t.Context(), a.apply)
	tell := func(name, value string, gone bool) error {
		return l.Tell(t.Context(), facts.Fact{Kind: "keys", Name: name, Value: []byte(value), Gone: gone})
	}
	if err := tell("a", "2", false); err != nil {
		t.Error(err)
	}
	claim(t, &l, "a", "3", "2")
	if err := tell("a", "", true); err != nil {
		t.Error(err)
	}
	claim(t, &l, "a", "4", "4")
	if err := errors.Join(tell("bad", "2", false), tell("bad", "", true)); strings.Count(fmt.Sprint(err), "refused") != 2 {
		t.Error(err)
	}
	claim(t, &l, "bad", "3", "1")
}
