package disk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

func textName(id string) engine.TextName {
	return engine.TextName{Channel: "a", Topic: "t", StreamID: id}
}

// set sets the record of a text that has the given revision.
func (n *node) set(id string, revision uint64, state engine.TextState) uint64 {
	n.t.Helper()
	next, err := n.SetText(n.t.Context(), textName(id), revision, engine.Text{Attempt: 1, State: state})
	if err != nil {
		n.t.Fatal(err)
	}
	return next
}

// piece appends a piece of a text.
func (n *node) piece(id string, fence uint64) (uint64, error) {
	e := entry("a", "t", `"x"`)
	e.Kind, e.StreamID, e.Fence = schemas.KindChunk, id, fence
	r, err := n.Append(n.t.Context(), e)
	return r.ID.Seq, err
}

// wantText checks the record of a text and that its revision alone is accepted as a fence.
func (n *node) wantText(id string, revision uint64, state engine.TextState, orphaned bool) {
	n.t.Helper()
	got, at, err := n.Text(n.t.Context(), textName(id))
	if err != nil || at != revision || got.State != state || got.Orphaned != orphaned {
		n.t.Errorf("text %s: %+v at %d, %v; want %s at %d, orphaned %t", id, got, at, err, state, revision, orphaned)
	}
	for _, wrong := range []uint64{revision - 1, revision + 1} {
		if _, err := n.piece(id, wrong); wrong > 0 && !errors.Is(err, engine.ErrFenced) {
			n.t.Errorf("text %s: a piece with fence %d of %d: %v", id, wrong, revision, err)
		}
	}
	if seq, err := n.piece(id, revision); err != nil || seq <= revision {
		n.t.Errorf("text %s: a piece is at %d, %v", id, seq, err)
	}
}

// Records of texts survive the end of the process. One that is open has lost its publisher.
func TestOpen_textRecords(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	first := n.set("open", 0, engine.TextOpen)
	if _, err := n.piece("open", first); err != nil {
		t.Fatal(err)
	}
	second := n.set("open", first, engine.TextOpen)
	whole := n.set("whole", 0, engine.TextComplete)
	n.wantText("open", second, engine.TextOpen, false)
	last := n.set("last", 0, engine.TextOpen) // there is no message after it
	killed := image(t, dir)
	n.close()
	for how, dir := range map[string]string{"clean": dir, "killed": killed} {
		t.Run(how, func(t *testing.T) {
			n := open(t, dir, thisBoot())
			if n.origin.Head < last || n.origin.Lost != 0 || n.Stats().Remembered != 3 {
				t.Errorf("origin %+v, %+v", n.origin, n.Stats())
			}
			n.wantText("open", second, engine.TextOpen, true)
			n.wantText("whole", whole, engine.TextComplete, false)
			n.wantText("last", last, engine.TextOpen, true)
			n.wantText("last", n.set("last", last, engine.TextOpen), engine.TextOpen, false)
			if _, err := n.SetText(t.Context(), textName("open"), first, engine.Text{}); !errors.Is(err, engine.ErrFenced) {
				t.Errorf("set at an old revision: %v", err)
			}
		})
	}
}

// Records of texts survive a power failure, whatever part of the unsynced data does.
func TestOpen_textRecords_powerFailure(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 7))
	for round := range 30 {
		p := &power{fs: vfs.NewCrashableMem()}
		revisions := map[string]uint64{}
		for range 3 {
			n := open(t, "d", p.opts(disk.Options{SyncEvery: time.Hour}))
			for id, revision := range revisions {
				if _, got, err := n.Text(t.Context(), textName(id)); got != revision || err != nil {
					t.Fatalf("round %d: text %s is at %d, %v, was at %d", round, id, got, err, revision)
				}
				n.wantText(id, revision, engine.TextOpen, true)
			}
			for range rng.IntN(20) {
				if id := fmt.Sprint(rng.IntN(4)); rng.IntN(3) == 0 {
					revisions[id] = n.set(id, revisions[id], engine.TextOpen)
				} else {
					n.put("b", `"`+strings.Repeat("x", rng.IntN(3000))+`"`)
				}
			}
			p = p.fail(rng.IntN(101), rng)
		}
	}
}

// A record is remembered for RememberFor since it was last set. Then nothing is left of it.
func TestEngine_SetText_rememberFor(t *testing.T) {
	opts := inMemory()
	opts.RememberFor = time.Hour
	bubble(t, opts, func(t *testing.T, n *node) {
		first := n.set("twice", 0, engine.TextOpen)
		once := n.set("once", 0, engine.TextOpen)
		n.once("a", "once", "1")
		time.Sleep(30 * time.Minute)
		second := n.set("twice", first, engine.TextOpen)
		n.wantText("twice", second, engine.TextOpen, false)
		if n.Keys('k') != 3 || n.Stats().Remembered != 3 {
			t.Errorf("%d are kept, %d counted", n.Keys('k'), n.Stats().Remembered)
		}
		time.Sleep(29 * time.Minute)
		n.wantText("once", once, engine.TextOpen, false)
		time.Sleep(2 * time.Minute)
		if _, revision, err := n.Text(t.Context(), textName("once")); revision != 0 || err != nil {
			t.Errorf("not forgotten: %d, %v", revision, err)
		}
		if _, err := n.piece("once", once); !errors.Is(err, engine.ErrFenced) {
			t.Errorf("a piece of a forgotten text: %v", err)
		}
		n.wantText("once", n.set("once", 0, engine.TextOpen), engine.TextOpen, false)
		time.Sleep(28 * time.Minute)
		n.wantText("twice", second, engine.TextOpen, false)
		time.Sleep(33 * time.Minute)
		if n.Keys('k') != 0 || n.Stats().Remembered != 0 {
			t.Errorf("%d are kept, %d counted", n.Keys('k'), n.Stats().Remembered)
		}
		time.Sleep(2 * time.Hour)
		if n.Keys('a') != 0 {
			t.Errorf("%d entries of the expiry index are left", n.Keys('a'))
		}
	})
}

// The fences of texts that are being written are in memory, also after a start.
func TestEngine_Append_fenceInMemory(t *testing.T) {
	opts := inMemory()
	bubble(t, opts, func(t *testing.T, n *node) {
		revision := n.set("s", 0, engine.TextOpen)
		n.close()
		n = open(t, "d", opts)
		defer n.close()
		time.Sleep(time.Minute)
		if _, err := n.piece("s", revision); err != nil { // reads the record, and the channel
			t.Fatal(err)
		}
		reads := n.Reads()
		for range 100 {
			if _, err := n.piece("s", revision); err != nil {
				t.Fatal(err)
			}
		}
		if more := n.Reads() - reads; more > 0 {
			t.Errorf("%d blocks were read for 100 pieces", more)
		}
	})
}

// When the database or the journal fails while a record is set, the publisher learns what
// became of it, and the fences are those that the next start has.
func TestEngine_SetText_faults(t *testing.T) {
	for name, fail := range map[string]func(n *node, f *faulty){
		"applied": func(n *node, _ *faulty) { n.FailApply(syscall.EIO) },
		"written": func(_ *node, f *faulty) { f.write = failing(syscall.EIO, "journal") },
		"synced":  func(_ *node, f *faulty) { f.sync = failing(syscall.EIO, "journal") },
		"synced, and the database is broken": func(n *node, f *faulty) {
			f.sync = func(name string) error {
				if !strings.Contains(name, "journal") {
					return nil
				}
				n.Break() // to repair it reads back the record, which was not applied
				return syscall.EIO
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{FS: vfs.NewMem()}
			opts := disk.Options{}.On(f, "boot")
			n := open(t, "d", opts)
			first := n.set("s", 0, engine.TextOpen)
			f.set(func(f *faulty) { fail(n, f) })
			next, err := n.SetText(t.Context(), textName("s"), first, engine.Text{Attempt: 2, State: engine.TextAborted})
			if err != nil && !errors.Is(err, engine.ErrUncertain) && !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("err = %v", err)
			}
			f.works()
			var got engine.Text
			var at uint64
			eventually(t, "works again", func() (fault error) { // what is written once more comes after the repair
				if _, fault = n.Append(t.Context(), entry("a", "t", "1")); fault == nil {
					got, at, fault = n.Text(t.Context(), textName("s"))
				}
				return fault
			})
			switch {
			case err == nil && at != next, errors.Is(err, engine.ErrUnavailable) && at != first:
				t.Errorf("the record is at %d after %d, %d, %v", at, first, next, err)
			}
			n.wantText("s", at, got.State, false)
			third := n.set("s", at, engine.TextOpen)
			n.wantText("s", third, engine.TextOpen, false)
			n.close()
			open(t, "d", opts).wantText("s", third, engine.TextOpen, true)
		})
	}
}

// holdSyncs makes each sync of the journal wait until it gets a value, or the channel is closed, and
// then call after.
func (f *faulty) holdSyncs(after func(*faulty)) chan struct{} {
	syncs := make(chan struct{})
	f.set(func(f *faulty) {
		f.sync = func(name string) error {
			if strings.Contains(name, ".journal") {
				<-syncs
				after(f)
			}
			return nil
		}
	})
	return syncs
}

// Nobody sees a record before it is on the disk.
func TestEngine_Text_awaitsDisk(t *testing.T) {
	f := &faulty{FS: vfs.NewMem()}
	n := open(t, "d", disk.Options{}.On(f, "boot"))
	n.put("a", "1")
	syncs := f.holdSyncs(func(*faulty) {})
	var publishing sync.WaitGroup
	publishing.Go(func() { n.once("a", "key", "2") })
	eventually(t, "the first group is being synced", func() error { return n.holds("a", 2) })
	// A record alone would only be applied after the sync.
	publishing.Go(func() { n.put("a", "3") })
	publishing.Go(func() { n.set("s", 0, engine.TextOpen) })
	eventually(t, "the second group waits", func() error {
		if n.Queued() < 2 {
			return errors.New("it does not")
		}
		return nil
	})
	syncs <- struct{}{}
	eventually(t, "the second group is being synced", func() error { return n.holds("a", 3) })
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, revision, err := n.Text(ctx, textName("s")); revision != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the record is at %d, %v, while the disk has not got it", revision, err)
	}
	close(syncs)
	publishing.Wait()
	if _, revision, err := n.Text(t.Context(), textName("s")); revision == 0 || err != nil {
		t.Errorf("the record is at %d, %v", revision, err)
	}
}

// holds returns an error if a channel holds fewer messages.
func (n *node) holds(channel string, messages int) error {
	if got := len(n.load(channel).Messages); got < messages {
		return fmt.Errorf("%d of %d messages", got, messages)
	}
	return nil
}

// A record that is refused because of another one in a group that fails was not refused: the
// other one was not set either.
func TestEngine_SetText_groupFails(t *testing.T) {
	f := &faulty{FS: vfs.NewMem()}
	n := open(t, "d", disk.Options{}.On(f, "boot"))
	n.put("a", "1")
	syncs := f.holdSyncs(func(f *faulty) { f.write = failing(syscall.EIO, "journal") })
	var publishing sync.WaitGroup
	publishing.Go(func() { n.once("a", "key", "2") })
	eventually(t, "the first group is being synced", func() error { return n.holds("a", 2) })
	var errs [3]error
	for i := range errs {
		publishing.Go(func() {
			_, errs[i] = n.SetText(t.Context(), textName("s"), 0, engine.Text{Attempt: int64(i), State: engine.TextOpen})
		})
	}
	eventually(t, "the second group waits", func() error {
		if n.Queued() < len(errs) {
			return errors.New("it does not")
		}
		return nil
	})
	close(syncs)
	publishing.Wait()
	for _, err := range errs {
		if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrUncertain) {
			t.Errorf("err = %v", err)
		}
	}
	f.works()
}
