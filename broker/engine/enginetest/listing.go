package enginetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Lister is an engine, as far as it tells which channels it keeps.
type Lister interface {
	Store
	List(ctx context.Context, prefix string, after schemas.Channel, limit int) ([]engine.Summary, error)
	Matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (engine.Found, error)
}

// Listing tests which channels an engine says that it keeps.
func Listing(t *testing.T, l Lister) {
	t.Helper()
	positions := make(map[schemas.Channel]uint64)
	for _, name := range []schemas.Channel{"gone", "a", "a:1", "a:2:x", "a:", "b", "ä", "a-1", "a.b:1", "a:1"} {
		positions[name] = put(t, l, entry(name, "1", "")).ID.Seq
	}
	if found, err := l.Delete(t.Context(), "gone"); !found || err != nil {
		t.Fatalf("delete: %t, %v", found, err)
	}
	t.Run("List", func(t *testing.T) { list(t, l) })
	t.Run("Matching", func(t *testing.T) { matching(t, l, positions["a:"]) })
}

func list(t *testing.T, l Lister) {
	for _, tt := range []struct {
		name, prefix string
		after        schemas.Channel
		limit        int
		want         string
	}{
		{"all", "", "", 20, "[a a-1 a.b:1 a: a:1 a:2:x b ä]"},
		{"prefix", "a:", "", 20, "[a: a:1 a:2:x]"},
		{"prefix within a segment", "a:2", "", 20, "[a:2:x]"},
		{"prefix of nothing", "nothing:", "", 20, "[]"},
		{"after", "", "a:1", 20, "[a:2:x b ä]"},
		{"after a name that is not there", "", "a:0", 20, "[a:1 a:2:x b ä]"},
		{"after one below the prefix", "a:", "Z", 20, "[a: a:1 a:2:x]"},
		{"after one above the prefix", "a:", "b", 20, "[]"},
		{"after, with a limit", "a", "a", 2, "[a-1 a.b:1]"},
		{"limit", "", "", 2, "[a a-1]"},
		{"no limit", "", "", 0, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			names, err := Names(l.List(t.Context(), tt.prefix, tt.after, tt.limit))
			if got := fmt.Sprint(names); err != nil || got != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// matching is given a position behind which a.b:1, a-1, ä and b have messages, and a:1
// has got another one.
func matching(t *testing.T, l Lister, middle uint64) {
	for _, tt := range []struct {
		name    string
		pattern schemas.Pattern
		after   uint64
		want    string
	}{
		{"below", "a:*", 0, "[a:1 a:2:x]"},
		{"all", "*", 0, "[a a-1 a.b:1 a: a:1 a:2:x b ä]"},
		{"a name with a point", "a.b:*", 0, "[a.b:1]"},
		{"after", "*", middle, "[a-1 a.b:1 a:1 b ä]"},
		{"below, after", "a:*", middle, "[a:1]"},
		{"nothing", "x:*", 0, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := l.Matching(t.Context(), tt.pattern, tt.after, 20)
			slices.Sort(found.Channels)
			if got := fmt.Sprint(found.Channels); err != nil || got != tt.want || found.More {
				t.Errorf("got %s, more %t, %v, want %s", got, found.More, err, tt.want)
			}
			for limit := range len(found.Channels) {
				few, err := l.Matching(t.Context(), tt.pattern, tt.after, limit)
				if err != nil || len(few.Channels) != limit || !few.More {
					t.Errorf("at most %d: %+v, %v", limit, few, err)
				}
			}
			if n := len(found.Channels); n > 0 {
				if just, err := l.Matching(t.Context(), tt.pattern, tt.after, n); err != nil || len(just.Channels) != n || just.More {
					t.Errorf("at most %d: %+v, %v", n, just, err)
				}
			}
		})
	}
}
