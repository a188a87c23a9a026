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

	"github.com/sluicehq/sluice/broker/engine/disk"
)

// Of concurrent publishes with one key, exactly one is published, however many other keys the
// filter has taken in since the key was looked up.
func TestEngine_Append_sameKeyAmongMany(t *testing.T) {
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

// Keys from before a start are known, both before and after the filter has been filled.
func TestEngine_Append_oldKeys(t *testing.T) {
	const keys = 10_000 // more than fillAtATime
	fs := vfs.NewMem()
	n := open(t, "d", disk.Options{}.On(fs, "boot"))
	n.discards = true
	for i := range keys {
		n.once("a", fmt.Sprint(i), "1")
	}
	n.close()
	n = open(t, "d", disk.Options{}.On(fs, "boot"))
	n.discards = true
	check := func(when string) {
		for i := range keys {
			if r := n.once("a", fmt.Sprint(i), "2"); !r.Duplicate {
				t.Fatalf("%s: key %d is taken for a new one", when, i)
			}
		}
	}
	check("at once")
	eventually(t, "the filter is whole", func() error {
		if !n.Filtered() {
			return errors.New("it is not")
		}
		return nil
	})
	check("with the filter")
	if r := n.once("a", "new", "3"); r.Duplicate {
		t.Error("a new key is taken for an old one")
	}
}

// The filter keeps a key until the database has forgotten it, but not for ever.
func TestFilter_rotate(t *testing.T) {
	const remembered = 100
	f := disk.NewFilter(1000)
	f.Add(1)
	for now := int64(1001); now < 1100+remembered; now++ {
		if now == 1100 {
			f.Add(2)
		}
		f.Rotate(now, now-remembered)
		if !f.Has(1) || now >= 1100 && !f.Has(2) {
			t.Fatalf("forgotten at %d", now)
		}
	}
	for now := int64(1200); now < 1500; now++ {
		f.Rotate(now, now-remembered)
	}
	if f.Has(1) || f.Has(2) {
		t.Error("never forgotten")
	}
}

// The filter recognizes most new keys as new when it has a million old ones.
func TestFilter_Has(t *testing.T) {
	const keys = 1_000_000
	f := disk.NewFilter(0)
	for i := range keys {
		f.Add(i)
	}
	wrong := 0
	for i := range 10_000 {
		if !f.Has(i * (keys / 10_000)) {
			t.Fatalf("key %d is missing", i)
		}
		if f.Has(keys + i) {
			wrong++
		}
	}
	t.Logf("%d of 10,000 new keys pass", wrong)
	if wrong > 100 {
		t.Errorf("%d of 10,000 new keys pass", wrong)
	}
}

// Nobody reports a publish as durable before it is on the disk.
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
