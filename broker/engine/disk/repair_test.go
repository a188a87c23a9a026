package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
)

// A database that fails while a group is applied is replaced before the publisher gets its
// answer, and the answer is correct.
func TestEngine_Append_applyFails(t *testing.T) {
	fs := vfs.NewMem()
	opts := disk.Options{}.On(fs, "boot")
	n := open(t, "d", opts)
	n.put("a", "1")
	n.FailApply(syscall.EIO)
	n.put("a", "2")
	n.FailApply(syscall.EIO)
	first := n.once("a", "k", "3")
	n.FailApply(syscall.EIO)
	if found, err := n.Delete(t.Context(), "b"); err != nil || found {
		t.Errorf("delete: %t, %v", found, err)
	}
	n.want("a", "lost 0: 1=1 2=2 3=3")
	if again := n.once("a", "k", "4"); !again.Duplicate || again.ID != first.ID {
		t.Errorf("again %+v, first %+v", again, first)
	}
	if len(n.delivered) != 3 || n.Stats().Remembered != 1 {
		t.Errorf("%d delivered, stats %+v", len(n.delivered), n.Stats())
	}
	n.close()
	open(t, "d", opts).want("a", "lost 0: 1=1 2=2 3=3")
}

// If the engine is closed before the database is repaired, the publisher gets ErrUncertain,
// and the next start has the message.
func TestEngine_Append_applyFailsAtEnd(t *testing.T) {
	for _, key := range []string{"", "k"} {
		f := &faulty{FS: vfs.NewMem()}
		opts := disk.Options{}.On(f, "boot")
		n := open(t, "d", opts)
		n.put("a", "1")
		n.FailApply(syscall.EIO)
		f.set(func(f *faulty) { f.write = failing(syscall.EIO, "tables") }) // no new database can be opened
		answer := make(chan error)
		go func() { // ends with its answer
			e := entry("a", "t", "2")
			e.Key = key
			_, err := n.Append(t.Context(), e)
			answer <- err
		}()
		eventually(t, "not ready", func() error {
			if n.Ready() == nil {
				return errors.New("it is")
			}
			return nil
		})
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := <-answer; !errors.Is(err, engine.ErrUncertain) {
			t.Errorf("key %q: err = %v", key, err)
		}
		f.works()
		n = open(t, "d", opts)
		n.want("a", "lost 0: 1=1 2=2")
		n.close()
	}
}

// A database that fails during the last flush does not count as complete.
func TestEngine_Close_fails(t *testing.T) {
	f := &faulty{FS: vfs.NewMem()}
	opts := disk.Options{}.On(f, "boot")
	n := open(t, "d", opts)
	n.put("a", "1")
	n.once("a", "k", "2")
	f.set(func(f *faulty) {
		f.write, f.sync = failing(syscall.EIO, "MANIFEST"), failing(syscall.EIO, "MANIFEST")
	})
	_ = n.Close()
	f.works()
	open(t, "d", opts).want("a", "lost 0: 1=1 2=2")
}

// Creating a directory, or beginning a new epoch in it, can fail at each file. Once the disk
// works again, so does the next start, and no step has been skipped.
func TestOpen_stepFails(t *testing.T) {
	parts := []string{"FORMAT", "journal", "MANIFEST", ".sst", "marker", "OPTIONS", "tables", "d"}
	for _, part := range parts {
		for how, fail := range map[string]func(f *faulty){
			"write": func(f *faulty) { f.write = failing(syscall.EIO, part) },
			"sync":  func(f *faulty) { f.sync = failing(syscall.EIO, part) },
		} {
			t.Run(how+" "+part, func(t *testing.T) {
				t.Parallel()
				f := &faulty{FS: vfs.NewMem()}
				opts := disk.Options{}.On(f, "boot")
				f.set(fail)
				tryOpen(opts)
				f.works()
				n := open(t, "d", opts)
				n.put("a", "1")
				n.close()
				renew, err := f.Create("d/NEW-EPOCH", vfs.WriteCategoryUnspecified)
				if err != nil {
					t.Fatal(err)
				}
				renew.Close()
				f.set(fail)
				tryOpen(opts)
				f.works()
				killed := f.FS.(*vfs.MemFS) // has everything that was written
				m := open(t, "d", disk.Options{}.On(killed, "boot"))
				m.want("a", "lost 0: 1=1")
				if m.origin.Epoch == n.origin.Epoch {
					t.Error("the epoch of before goes on")
				}
				m.close()
			})
		}
	}
}

func tryOpen(opts disk.Options) {
	if e, err := disk.Open("d", opts); err == nil {
		e.Close()
	}
}

// Open returns ErrInUse only for a directory that is in use.
func TestOpen_lock(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		inUse bool
		want  string
	}{
		{"no permission", &fs.PathError{Op: "open", Path: "d/LOCK", Err: syscall.EACCES}, false, "permission denied"},
		{"read-only", &fs.PathError{Op: "open", Path: "d/LOCK", Err: syscall.EROFS}, false, "read-only"},
		{"full", &fs.PathError{Op: "open", Path: "d/LOCK", Err: syscall.ENOSPC}, false, "no space"},
		{"no locks there", syscall.ENOLCK, false, "d/LOCK cannot be locked"},
		{"locked by another process", syscall.EAGAIN, true, "in use"},
		{"locked by this one", errors.New("lock held by current process"), true, "in use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &faulty{FS: vfs.NewMem()}
			f.set(func(f *faulty) { f.write = failing(tt.err, "LOCK") })
			_, err := disk.Open("d", disk.Options{}.On(f, "boot"))
			if err == nil || errors.Is(err, disk.ErrInUse) != tt.inUse || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// An error of the system about a directory is reported unchanged.
func TestOpen_refused(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{file: "not a directory", file + "/below": "not a directory"} {
		if _, err := disk.Open(dir, disk.Options{}); err == nil || errors.Is(err, disk.ErrInUse) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v", dir, err)
		}
	}
}

// If the journal cannot be synced and its repair fails, too, the engine works again as soon as
// the disk does, and has lost nothing that was acknowledged.
func TestEngine_repair(t *testing.T) {
	journal := failing(syscall.EIO, ".journal")
	for _, tt := range []struct {
		name string
		also func(f *faulty)
		then func(n *node)
	}{
		{"no new segment", func(f *faulty) { f.write = journal }, func(*node) {}},
		{"the old segment stays", func(f *faulty) { f.gone = journal }, func(*node) {}},
		{"tables cannot be written", func(f *faulty) { f.write = failing(syscall.EIO, ".sst") }, func(*node) {}},
		{"the manifest cannot be written", func(f *faulty) {
			f.write = failing(syscall.EIO, "MANIFEST")
		}, func(*node) {}},
		{"the database fails", func(*faulty) {}, func(n *node) { n.Break() }},
		{"no other database", func(f *faulty) { f.write = failing(syscall.EIO, "tables") }, func(n *node) { n.Break() }},
	} {
		for _, ending := range []string{"repaired", "closed before"} {
			t.Run(tt.name+", "+ending, func(t *testing.T) {
				t.Parallel()
				f := &faulty{FS: vfs.NewMem()}
				opts := disk.Options{SyncEvery: time.Hour}.On(f, "boot")
				n := open(t, "d", opts)
				first := n.once("a", "k", "1")
				n.put("a", "2")
				f.set(func(f *faulty) {
					f.sync = journal
					tt.also(f)
				})
				e := entry("b", "t", "3")
				e.Key = "l"
				if _, err := n.Append(t.Context(), e); !errors.Is(err, engine.ErrUncertain) && !errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("err = %v", err)
				}
				tt.then(n)
				eventually(t, "tried again", func() error {
					_, err := n.Append(t.Context(), e)
					if err == nil && ending != "repaired" {
						return nil
					}
					if n.Ready() == nil {
						return errors.New("ready")
					}
					return nil
				})
				if ending == "repaired" {
					f.works()
				} else {
					_ = n.Close()
					f.works()
					n = open(t, "d", opts)
				}
				eventually(t, "works again", func() error {
					_, err := n.Append(t.Context(), e)
					return err
				})
				n.want("a", "lost 0: 1=1 2=2")
				if again := n.once("a", "k", "x"); !again.Duplicate || again.ID != first.ID {
					t.Errorf("again %+v, first %+v", again, first)
				}
				if kept := n.load("b"); len(kept.Messages) != 1 {
					t.Errorf("b: %s", brief(kept))
				}
				n.close()
				n = open(t, "d", opts)
				n.want("a", "lost 0: 1=1 2=2")
			})
		}
	}
}

// No message is lost when the segment is full and the next one cannot be created, or the older
// ones cannot be removed.
func TestEngine_rotationFails(t *testing.T) {
	for name, fail := range map[string]func(f *faulty){
		"not begun":   func(f *faulty) { f.write = failing(syscall.EIO, "02.journal") },
		"not removed": func(f *faulty) { f.gone = failing(syscall.EIO, ".journal") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{FS: vfs.NewMem()}
			opts := disk.Options{}.On(f, "boot")
			n := open(t, "d", opts)
			n.discards = true
			f.set(fail)
			data := `"` + blob(1) + `"`
			published, refused := 0, 0
			publish := func() {
				e := entry(fmt.Sprint("c", published%10), "t", data)
				e.Limits.Messages, e.Limits.Bytes = 1e6, 1<<30
				if _, err := n.Append(t.Context(), e); err == nil {
					published++
				} else if refused++; !errors.Is(err, engine.ErrUnavailable) {
					t.Fatal(err)
				}
			}
			for published < 800 && refused == 0 {
				publish()
			}
			f.works()
			for want := published + 400; published < want; {
				publish()
				runtime.Gosched()
			}
			t.Logf("%d published, %d refused", published, refused)
			for range 2 {
				all := 0
				for i := range 10 {
					all += len(n.load(fmt.Sprint("c", i)).Messages)
				}
				if all != published {
					t.Errorf("%d messages, %d were published", all, published)
				}
				n.close()
				n = open(t, "d", opts)
			}
		})
	}
}
