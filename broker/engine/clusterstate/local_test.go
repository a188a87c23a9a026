package clusterstate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
)

var _ clusterstate.Store = (*clusterstate.Local)(nil)

// applied records its calls, and refuses the items named bad.
type applied struct{ calls []string }

var errRefused = errors.New("refused")

func (a *applied) apply(f clusterstate.Item) error {
	call := fmt.Sprintf("%s %s %s", f.Kind, f.Name, f.Value)
	if f.Deleted {
		call = "deleted " + call
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

func claim(t *testing.T, l *clusterstate.Local, name, value, want string) {
	t.Helper()
	got, err := l.Claim(t.Context(), clusterstate.Item{Kind: "keys", Name: name, Value: []byte(value)})
	if err != nil || string(got.Value) != want {
		t.Errorf("claimed %s as %q, got %q, %v; want %q", name, value, got.Value, err, want)
	}
}

func TestLocal_Claim_firstCounts(t *testing.T) {
	var l clusterstate.Local
	claim(t, &l, "a", "1", "1")
	claim(t, &l, "a", "2", "1")
	claim(t, &l, "b", "2", "2")
	got, err := l.Claim(t.Context(), clusterstate.Item{Kind: "other", Name: "a", Value: []byte("3")})
	if err != nil || string(got.Value) != "3" {
		t.Errorf("a name of another kind: %q, %v", got.Value, err)
	}
}

// Of several concurrent claims of one name, exactly one wins.
func TestLocal_Claim_atOnce(t *testing.T) {
	var l clusterstate.Local
	var wait sync.WaitGroup
	values := make([]string, 20)
	for i := range values {
		wait.Go(func() {
			f, _ := l.Claim(t.Context(), clusterstate.Item{Kind: "keys", Name: "a", Value: fmt.Append(nil, i)})
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
		var l clusterstate.Local
		if _, err := l.Claim(t.Context(), clusterstate.Item{Kind: "keys", Name: "a", Value: []byte("1"), ExpiresAt: time.Now().Add(time.Minute)}); err != nil {
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

// Watch applies all claimed items, also after one that is refused.
func TestLocal_Watch(t *testing.T) {
	var l clusterstate.Local
	var a applied
	claim(t, &l, "bad", "1", "1")
	claim(t, &l, "a", "2", "2")
	if err := l.Watch(t.Context(), a.apply); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	a.expect(t, "keys bad 1", "keys a 2")
}

func TestLocal_Put(t *testing.T) {
	var l clusterstate.Local
	var a applied
	if err := l.Put(t.Context(), clusterstate.Item{Kind: "other", Name: "early"}); !errors.Is(err, clusterstate.ErrUnavailable) {
		t.Errorf("before Watch: %v", err)
	}
	if err := l.Watch(t.Context(), a.apply); err != nil {
		t.Fatal(err)
	}
	if err := l.Put(t.Context(), clusterstate.Item{Kind: "other", Name: "a", Value: []byte("1")}); err != nil {
		t.Error(err)
	}
	a.expect(t, "other a 1")
	if err := l.Put(t.Context(), clusterstate.Item{Kind: "other", Name: "bad"}); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	a.expect(t, "other bad ")
}

// A claimed item is changed and deleted like any other, unless apply refuses that.
func TestLocal_Put_claimed(t *testing.T) {
	var l clusterstate.Local
	var a applied
	claim(t, &l, "a", "1", "1")
	claim(t, &l, "bad", "1", "1")
	_ = l.Watch(t.Context(), a.apply)
	put := func(name, value string, gone bool) error {
		return l.Put(t.Context(), clusterstate.Item{Kind: "keys", Name: name, Value: []byte(value), Deleted: gone})
	}
	if err := put("a", "2", false); err != nil {
		t.Error(err)
	}
	claim(t, &l, "a", "3", "2")
	if err := put("a", "", true); err != nil {
		t.Error(err)
	}
	claim(t, &l, "a", "4", "4")
	if err := errors.Join(put("bad", "2", false), put("bad", "", true)); strings.Count(fmt.Sprint(err), "refused") != 2 {
		t.Error(err)
	}
	claim(t, &l, "bad", "3", "1")
}

// While an item is being applied, other calls wait, each until its own context ends.
func TestLocal_waitsObeyTheirContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l clusterstate.Local
		_ = l.Watch(t.Context(), func(clusterstate.Item) error {
			time.Sleep(time.Hour)
			return nil
		})
		var first sync.WaitGroup
		first.Go(func() { _ = l.Put(t.Context(), clusterstate.Item{Kind: "other", Name: "a"}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := l.Put(ctx, clusterstate.Item{Kind: "other", Name: "b"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if _, err := l.Claim(ctx, clusterstate.Item{Kind: "other", Name: "b"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		first.Wait()
		claim(t, &l, "b", "1", "1")
	})
}

func TestItem_Check(t *testing.T) {
	long := strings.Repeat("x", clusterstate.MaxName)
	for _, tt := range []struct {
		item clusterstate.Item
		good bool
	}{
		{clusterstate.Item{Kind: "k", Name: "a"}, true},
		{clusterstate.Item{Kind: clusterstate.Kind(long[:32]), Name: long, Value: make([]byte, clusterstate.MaxValue)}, true},
		{clusterstate.Item{Name: "a"}, false},
		{clusterstate.Item{Kind: "K", Name: "a"}, false},
		{clusterstate.Item{Kind: "k1", Name: "a"}, false},
		{clusterstate.Item{Kind: clusterstate.Kind(long[:33]), Name: "a"}, false},
		{clusterstate.Item{Kind: "k"}, false},
		{clusterstate.Item{Kind: "k", Name: long + "x"}, false},
		{clusterstate.Item{Kind: "k", Name: "a", Value: make([]byte, clusterstate.MaxValue+1)}, false},
	} {
		var l clusterstate.Local
		_, claimed := l.Claim(t.Context(), tt.item)
		put := l.Put(t.Context(), tt.item)
		for _, err := range []error{tt.item.Check(), claimed, put} {
			if bad := err != nil && !errors.Is(err, clusterstate.ErrUnavailable); bad == tt.good {
				t.Errorf("kind %q, %d bytes of name, %d of value: %v", tt.item.Kind, len(tt.item.Name), len(tt.item.Value), err)
			}
		}
	}
}
