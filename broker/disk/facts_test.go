package disk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/disk"
	"github.com/sluicehq/sluice/broker/facts"
)

// held is what facts that were applied have made hold.
type held struct {
	facts map[string]string
	fail  error
}

func (h *held) apply(f facts.Fact) error {
	if h.fail != nil {
		return h.fail
	}
	if h.facts == nil {
		h.facts = map[string]string{}
	}
	name := string(f.Kind) + "/" + f.Name
	if f.Gone {
		delete(h.facts, name)
		return nil
	}
	h.facts[name] = string(f.Value)
	return nil
}

func watch(t *testing.T, n *node) *held {
	t.Helper()
	h := &held{}
	if err := n.Facts().Watch(t.Context(), h.apply); err != nil {
		t.Fatal(err)
	}
	return h
}

func tell(t *testing.T, n *node, f facts.Fact) {
	t.Helper()
	if err := n.Facts().Tell(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func TestFacts_Tell(t *testing.T) {
	p := &power{fs: vfs.NewCrashableMem()}
	n := open(t, "d", p.opts(disk.Options{SyncEvery: time.Hour}))
	h := watch(t, n)
	tell(t, n, facts.Fact{Kind: "definition", Name: "a", Value: []byte("1")})
	tell(t, n, facts.Fact{Kind: "definition", Name: "b", Value: []byte("2")})
	tell(t, n, facts.Fact{Kind: "definition", Name: "a", Value: []byte("3")})
	tell(t, n, facts.Fact{Kind: "revocation", Name: "a"})
	tell(t, n, facts.Fact{Kind: "definition", Name: "b", Gone: true})
	tell(t, n, facts.Fact{Kind: "definition", Name: "never", Gone: true})
	const want = "map[definition/a:3 revocation/a:]"
	if got := fmt.Sprint(h.facts); got != want {
		t.Errorf("applied %s", got)
	}
	n = open(t, "d", p.fail(0, nil).opts(disk.Options{}))
	if got := fmt.Sprint(watch(t, n).facts); got != want {
		t.Errorf("after a power failure %s", got)
	}
}

func TestFacts_Tell_refused(t *testing.T) {
	opts := inMemory()
	n := open(t, "d", opts)
	h := watch(t, n)
	tell(t, n, facts.Fact{Kind: "k", Name: "a", Value: []byte("1")})
	h.fail = errors.New("it cannot hold")
	for _, name := range []string{"a", "b"} {
		if err := n.Facts().Tell(t.Context(), facts.Fact{Kind: "k", Name: name, Value: []byte("2")}); !errors.Is(err, h.fail) {
			t.Errorf("err = %v", err)
		}
	}
	n.close()
	n = open(t, "d", opts)
	if got := fmt.Sprint(watch(t, n).facts); got != "map[k/a:1]" {
		t.Errorf("kept %s", got)
	}
}

func TestFacts_Tell_bounds(t *testing.T) {
	n := open(t, "d", inMemory())
	watch(t, n)
	for _, f := range []facts.Fact{
		{Name: "a"},
		{Kind: "k"},
		{Kind: "k", Name: strings.Repeat("x", facts.MaxName+1)},
		{Kind: "k", Name: "a", Value: make([]byte, facts.MaxValue+1)},
	} {
		if err := n.Facts().Tell(t.Context(), f); err == nil {
			t.Errorf("%q, %d bytes of name and %d of value were taken", f.Kind, len(f.Name), len(f.Value))
		}
	}
	tell(t, n, facts.Fact{Kind: "k", Name: strings.Repeat("x", facts.MaxName), Value: make([]byte, facts.MaxValue)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Facts().Tell(ctx, facts.Fact{Kind: "k", Name: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	n.close()
	if err := n.Facts().Tell(t.Context(), facts.Fact{Kind: "k", Name: "a"}); !errors.Is(err, facts.ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
}

func TestFacts_Claim(t *testing.T) {
	opts := inMemory()
	n := open(t, "d", opts)
	for _, value := range []string{"first", "second"} {
		got, err := n.Facts().Claim(t.Context(), facts.Fact{Kind: "keys", Name: "signing", Value: []byte(value)})
		if err != nil || string(got.Value) != "first" || got.Kind != "keys" || got.Name != "signing" {
			t.Errorf("%s: %+v, %v", value, got, err)
		}
	}
	n.close()
	n = open(t, "d", opts)
	got, err := n.Facts().Claim(t.Context(), facts.Fact{Kind: "keys", Name: "signing", Value: []byte("third")})
	if err != nil || string(got.Value) != "first" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFacts_until: a fact is forgotten when its time has come, unless it was told
// again.
func TestFacts_until(t *testing.T) {
	opts := inMemory()
	bubble(t, opts, func(t *testing.T, n *node) {
		watch(t, n)
		now := time.Now()
		tell(t, n, facts.Fact{Kind: "k", Name: "a", Until: now.Add(time.Hour)})
		tell(t, n, facts.Fact{Kind: "k", Name: "b", Until: now.Add(time.Hour)})
		tell(t, n, facts.Fact{Kind: "k", Name: "b", Until: now.Add(3 * time.Hour)})
		tell(t, n, facts.Fact{Kind: "k", Name: "c", Until: now.Add(time.Hour)})
		tell(t, n, facts.Fact{Kind: "k", Name: "c"})
		tell(t, n, facts.Fact{Kind: "k", Name: "past", Until: now.Add(-time.Hour)})
		if got := fmt.Sprint(watch(t, n).facts); got != "map[k/a: k/b: k/c:]" {
			t.Errorf("kept %s", got)
		}
		time.Sleep(2 * time.Hour)
		if got := fmt.Sprint(watch(t, n).facts); got != "map[k/b: k/c:]" || n.Keys('f') != 2 {
			t.Errorf("kept %s, %d keys", got, n.Keys('f'))
		}
		time.Sleep(2 * time.Hour)
		if n.Keys('f') != 1 || n.Keys('a') != 0 {
			t.Errorf("%d facts, %d entries on the agenda", n.Keys('f'), n.Keys('a'))
		}
	})
}
