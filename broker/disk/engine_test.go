package disk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/disk"
	"github.com/sluicehq/sluice/schemas"
)

func TestEngine_Append_reopened(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, disk.Options{})
	n.put("a", "1")
	n.put("b", "2")
	e := entry("a", "t", `{"x":"y"}`)
	e.RunID, e.StreamID, e.Kind = "run", "s1", schemas.KindChunk
	r := n.append(e)
	if len(n.delivered) != 3 || n.delivered[2].ID != r.ID || string(n.delivered[2].Data) != `{"x":"y"}` {
		t.Errorf("delivered %v", n.delivered)
	}
	n.close()

	m := open(t, dir, disk.Options{})
	if m.origin.Epoch != n.origin.Epoch || m.origin.Head != 3 || m.origin.Lost != 0 {
		t.Errorf("origin %+v, before %+v", m.origin, n.origin)
	}
	m.want("a", `lost 0: 1=1 3={"x":"y"}`)
	m.want("b", `lost 0: 2=2`)
	m.want("c", `lost 0:`)
	got := m.load("a").Messages[1]
	if got.RunID != "run" || got.StreamID != "s1" || got.Kind != schemas.KindChunk || got.CreatedAt != r.CreatedAt || got.ID != r.ID || got.Channel != "a" || got.Topic != "t" {
		t.Errorf("message %+v", got)
	}
	if seq := m.put("a", "4"); seq != 4 {
		t.Errorf("the next position is %d", seq)
	}
}

func TestEngine_Append_sameKey(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, disk.Options{})
	first := n.once("a", "k", "1")
	if !first.Durable || first.Duplicate {
		t.Errorf("first %+v", first)
	}
	again := first
	again.Duplicate = true
	if got := n.once("a", "k", "2"); got != again {
		t.Errorf("again %+v, first %+v", got, first)
	}
	if got := n.once("b", "k", "3"); got.Duplicate {
		t.Error("a key of another channel is the same one")
	}
	n.close()
	n = open(t, dir, disk.Options{})
	if got := n.once("a", "k", "4"); got != again {
		t.Errorf("after a restart %+v, first %+v", got, first)
	}
	got, found, err := n.Recall(t.Context(), "a", "t", "k")
	if err != nil || !found || got != again {
		t.Errorf("recalled %+v, %v, %v", got, found, err)
	}
	if _, found, _ := n.Recall(t.Context(), "a", "t", "other"); found {
		t.Error("a key that nobody used is recalled")
	}
	n.want("a", "lost 0: 1=1")
	if s := n.Stats(); s.Replayed != 2 || s.Remembered != 2 || s.KeptBytes == 0 {
		t.Errorf("%+v", s)
	}
}

// TestEngine_Append_sameKeyAtOnce: of many at once, one is published.
func TestEngine_Append_sameKeyAtOnce(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	var all sync.WaitGroup
	receipts := make([]schemas.Receipt, 200)
	for i := range receipts {
		all.Go(func() {
			e := entry("a", "t", "1")
			e.Key = fmt.Sprint("k", i%4)
			receipts[i], _ = n.Append(t.Context(), e)
		})
	}
	all.Wait()
	if kept := n.load("a"); len(kept.Messages) != 4 || len(n.delivered) != 4 {
		t.Errorf("%d messages, %d delivered", len(kept.Messages), len(n.delivered))
	}
	fresh := 0
	for i, r := range receipts {
		if !r.Duplicate {
			fresh++
		}
		if r.ID != receipts[i%4].ID {
			t.Errorf("receipts %+v and %+v of one key", r, receipts[i%4])
		}
	}
	if fresh != 4 {
		t.Errorf("%d were published", fresh)
	}
}

// TestEngine_Append_order: messages are delivered in the order of their positions,
// and each one is kept before its publisher knows.
func TestEngine_Append_order(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name := fmt.Sprint("c", i%5)
			for j := range 50 {
				seq := n.put(name, fmt.Sprint(j))
				kept := n.load(name)
				if !slices.ContainsFunc(kept.Messages, func(m schemas.Message) bool { return m.ID.Seq == seq }) && kept.Lost < seq {
					t.Errorf("%d of %s was acknowledged and is not kept", seq, name)
				}
			}
		})
	}
	all.Wait()
	for i, m := range n.delivered {
		if m.ID.Seq != uint64(i+1) {
			t.Fatalf("delivery %d is %d", i, m.ID.Seq)
		}
	}
}

func TestEngine_Append_cancelled(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Append(ctx, entry("a", "t", "1")); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	// A publisher that leaves at any moment learns what has happened.
	published := 0
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := n.Append(ctx, entry("a", "t", fmt.Sprint(i)))
		if err == nil {
			published++
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	n.put("a", "last")
	if len(n.delivered) != published+1 {
		t.Errorf("%d were acknowledged, %d delivered", published, len(n.delivered)-1)
	}
}

func TestEngine_Names(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	for _, name := range []string{"b", "a:2", "a:1:x", "a", "a:", "ä", "a-1"} {
		n.put(name, "1")
	}
	if _, err := n.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, prefix, after string
		limit               int
		want                string
	}{
		{"all", "", "", 10, "[a a-1 a: a:1:x a:2 ä]"},
		{"prefix", "a:", "", 10, "[a: a:1:x a:2]"},
		{"after", "", "a:1:x", 10, "[a:2 ä]"},
		{"after a name that is not there", "", "a:1", 10, "[a:1:x a:2 ä]"},
		{"after one below the prefix", "a:", "Z", 10, "[a: a:1:x a:2]"},
		{"after one above the prefix", "a:", "b", 10, "[]"},
		{"limit", "", "", 2, "[a a-1]"},
		{"no limit", "", "", 0, "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names, err := n.Names(t.Context(), tt.prefix, schemas.Channel(tt.after), tt.limit)
			if got := fmt.Sprint(names); err != nil || got != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestEngine_Matching(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	for _, name := range []string{"a:1", "a:2", "b:1", "a:", "a:1", "a:3:x", "a"} {
		n.put(name, "1")
	}
	tests := []struct {
		name, pattern string
		after         uint64
		limit         int
		want          string
	}{
		{"below", "a:*", 0, 10, "[a:3:x a:1 a:2] false"},
		{"all", "*", 0, 10, "[a a:3:x a:1 a: b:1 a:2] false"},
		{"after", "a:*", 2, 10, "[a:3:x a:1] false"},
		{"limit", "a:*", 0, 2, "[a:3:x a:1] true"},
		{"limit reached", "a:*", 2, 2, "[a:3:x a:1] false"},
		{"nothing", "x:*", 0, 10, "[] false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := n.Matching(t.Context(), schemas.Pattern(tt.pattern), tt.after, tt.limit)
			if got := fmt.Sprint(found.Channels, found.More); err != nil || got != tt.want || found.Lost != 0 {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestEngine_Delete(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, disk.Options{})
	n.put("a", "1")
	n.put("b", "2")
	run := entry("a", "$run", `{"status":"running"}`)
	run.Kind = schemas.KindRun
	n.append(run)
	n.want("a", `lost 0: 1=1 3={"status":"running"} run 3`)
	found, err := n.Delete(t.Context(), "a")
	if !found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if found, _ := n.Delete(t.Context(), "a"); found {
		t.Error("it was found again")
	}
	if found, _ := n.Delete(t.Context(), "never"); found {
		t.Error("a channel that never was is found")
	}
	if fmt.Sprint(n.dropped) != "[a a never]" {
		t.Errorf("dropped %v", n.dropped)
	}
	n.want("a", "lost 3:")
	n.put("a", "4")
	n.want("a", "lost 3: 4=4")
	n.close()
	n = open(t, dir, disk.Options{})
	n.want("a", "lost 3: 4=4")
	n.want("b", "lost 0: 2=2")
}

func TestEngine_Head(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	for want := range uint64(3) {
		if head, err := n.Head(t.Context()); head != want || err != nil {
			t.Errorf("head %d, %v, want %d", head, err, want)
		}
		n.put("a", "1")
	}
}

func TestEngine_Close(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	n.put("a", "1")
	for range 2 {
		n.close()
	}
	_, err := n.Append(t.Context(), entry("a", "t", "1"))
	_, loadErr := n.Load(t.Context(), "a")
	for _, err := range []error{err, loadErr, n.Ready()} {
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("err = %v", err)
		}
	}
}

func TestEngine_Close_notStarted(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		e, err := disk.Open(dir, disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
