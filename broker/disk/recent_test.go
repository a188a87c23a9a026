package disk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/disk"
)

// TestEngine_Append_sameKeys: of publishes with one key that come at the same time,
// one is the first, however many other keys came since it was looked for.
func TestEngine_Append_sameKeys(t *testing.T) {
	const workers, keys = 4, 20_000
	n := open(t, t.TempDir(), disk.Options{}.On(vfs.NewMem(), "boot"))
	n.discards = true
	var all sync.WaitGroup
	var firsts atomic.Int64
	for range workers {
		all.Go(func() {
			for i := range keys {
				e := entry("a", "t", "1")
				e.Key = fmt.Sprint(i)
				r, err := n.Append(t.Context(), e)
				if err != nil {
					t.Error(err)
					return
				}
				if !r.Duplicate {
					firsts.Add(1)
				}
			}
		})
	}
	all.Wait()
	if firsts.Load() != keys || n.count != keys {
		t.Errorf("%d firsts, %d delivered, want %d", firsts.Load(), n.count, keys)
	}
}

// TestEngine_Recall_awaitsDisk: a publish is not said to be durable before it is, by
// nobody.
func TestEngine_Recall_awaitsDisk(t *testing.T) {
	f := &faulty{FS: vfs.NewMem()}
	n := open(t, "d", disk.Options{}.On(f, "boot"))
	n.put("a", "1")
	work := make(chan struct{})
	f.set(func(f *faulty) {
		f.sync = func(name string) error {
			if strings.Contains(name, ".journal") {
				<-work
			}
			return nil
		}
	})
	var publishing sync.WaitGroup
	publishing.Go(func() { n.once("a", "key", "2") })
	eventually(t, "it took effect", func() error {
		if len(n.load("a").Messages) < 2 {
			return errors.New("it did not")
		}
		return nil
	})
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, known, err := n.Recall(ctx, "a", "t", "key")
	if known || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("known %t, %v, while the disk has not got it", known, err)
	}
	close(work)
	publishing.Wait()
	r, known, err := n.Recall(t.Context(), "a", "t", "key")
	if !known || err != nil || r.ID.Seq != 2 {
		t.Errorf("known %t, %v, %v", known, r.ID, err)
	}
}
