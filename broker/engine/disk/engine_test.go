package disk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/schemas"
)

func TestEngine_contract(t *testing.T) {
	t.Run("messages", func(t *testing.T) { enginetest.Messages(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("keys", func(t *testing.T) { enginetest.Keys(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("runs", func(t *testing.T) { enginetest.Runs(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("texts", func(t *testing.T) { enginetest.Texts(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("whole texts", func(t *testing.T) { enginetest.WholeTexts(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("fences", func(t *testing.T) { enginetest.Fences(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("latest", func(t *testing.T) { enginetest.Latest(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("merged", func(t *testing.T) { enginetest.Merged(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("quiet topics", func(t *testing.T) { enginetest.QuietTopics(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("losses", func(t *testing.T) { enginetest.Losses(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("placed", func(t *testing.T) { enginetest.Placed(t, open(t, t.TempDir(), disk.Options{})) })
	t.Run("listing", func(t *testing.T) { enginetest.Listing(t, open(t, t.TempDir(), disk.Options{})) })
}

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

// TestEngine_Append_sameKey_reopened: a key is known after a restart.
func TestEngine_Append_sameKey_reopened(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, disk.Options{})
	again := n.once("a", "k", "1")
	again.Duplicate = true
	n.once("b", "k", "2")
	n.close()
	n = open(t, dir, disk.Options{})
	if got := n.once("a", "k", "3"); got != again {
		t.Errorf("after a restart %+v, want %+v", got, again)
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

// Messages are delivered in the order of their positions, and each is stored before its
// publisher gets the receipt.
func TestEngine_Append_order(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name := fmt.Sprint("c", i%5)
			for j := range 50 {
				seq := n.put(name, fmt.Sprint(j))
				kept := n.load(name)
				if !slices.ContainsFunc(kept.Messages, func(m schemas.Message) bool { return m.ID.Seq == seq }) && kept.Lost.Newest < seq {
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
	// A publisher that cancels at any moment gets the correct outcome.
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

// TestEngine_Matching_newestFirst: with too many channels, those with the newest messages
// are returned.
func TestEngine_Matching_newestFirst(t *testing.T) {
	n := open(t, t.TempDir(), disk.Options{})
	for _, name := range []string{"a:1", "a:2", "b:1", "a:1", "a:3"} {
		n.put(name, "1")
	}
	for limit, want := range []string{"[] true", "[a:3] true", "[a:3 a:1] true", "[a:3 a:1 a:2] false"} {
		found, err := n.Matching(t.Context(), "a:*", 0, limit)
		if got := fmt.Sprint(found.Channels, found.More); err != nil || got != want || found.Lost != 0 {
			t.Errorf("at most %d: got %s, %v, want %s", limit, got, err, want)
		}
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
		if !errors.Is(err, engine.ErrUnavailable) {
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
