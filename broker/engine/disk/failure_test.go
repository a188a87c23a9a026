package disk_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
)

// patience bounds what a test waits for in real time, on any machine.
const patience = 2 * time.Minute

// eventually retries try until it succeeds, or fails the test after a while. It waits in real
// time, because file operations cannot be in a synctest bubble.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err = try(); err == nil {
			return
		}
		runtime.Gosched()
	}
	t.Fatalf("%s: %v", what, err)
}

// listing returns the names and sizes of a directory's tables.
func listing(t testing.TB, dir string) string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "tables"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		if info, err := file.Info(); err == nil {
			fmt.Fprintln(&all, file.Name(), info.Size())
		}
	}
	return all.String()
}

// still copies a directory at a moment when no table is being written.
func (n *node) still(dir string) (copied string, err error) {
	before := listing(n.t, dir)
	copied = image(n.t, dir)
	if !n.Quiet() || listing(n.t, dir) != before || listing(n.t, copied) != before {
		return "", errors.New("tables are written")
	}
	return copied, nil
}

// Whatever way the disk fails, publishers get an error, readers go on, and the engine recovers
// by itself: it has lost nothing, duplicated nothing, and stored nothing that it refused.
func TestEngine_recoversFromFaults(t *testing.T) {
	tests := []struct {
		name  string
		fail  func(f *faulty)
		also  func(n *node) // triggers the fault
		only  bool          // publishes still succeed
		fault string        // in the error
	}{
		{name: "nearly full", fail: func(f *faulty) { f.free = 1 << 20 }, fault: "nearly full"},
		{name: "full, when the journal is written", fail: func(f *faulty) { f.write = failing(syscall.ENOSPC, "journal") }, fault: "no space"},
		{name: "error, when the journal is written", fail: func(f *faulty) { f.write = failing(syscall.EIO, "journal") }, fault: "input/output"},
		{name: "error, when the journal is synced", fail: func(f *faulty) { f.sync = failing(syscall.EIO, "journal") }, fault: "input/output"},
		{
			name: "full, when a table is written", fail: func(f *faulty) { f.write = failing(syscall.ENOSPC, "tables") },
			also: func(n *node) { n.StartFlush() }, fault: "full",
		},
		{
			name: "error, when a table is written", fail: func(f *faulty) { f.write = failing(syscall.EIO, ".sst") },
			also: func(n *node) { n.StartFlush() }, only: true,
		},
		{
			name: "error, when a table is synced", fail: func(f *faulty) { f.sync = failing(syscall.EIO, ".sst") },
			also: func(n *node) { n.StartFlush() }, only: true,
		},
		{
			name: "error, when the manifest is written",
			fail: func(f *faulty) {
				f.write, f.sync = failing(syscall.EIO, "MANIFEST"), failing(syscall.EIO, "MANIFEST")
			},
			also: func(n *node) { n.StartFlush() }, fault: "database",
		},
		{
			name: "error, when the manifest is synced", fail: func(f *faulty) { f.sync = failing(syscall.EIO, "MANIFEST") },
			also: func(n *node) { n.StartFlush() }, only: true,
		},
		{
			name: "error, when the directory is synced", fail: func(f *faulty) { f.sync = failing(syscall.EIO, "/tables") },
			also: func(n *node) { n.StartFlush() }, only: true,
		},
		{name: "error, when a group is applied", fail: func(*faulty) {}, also: func(n *node) { n.FailApply(syscall.EIO) }, only: true},
		{name: "database given up", fail: func(*faulty) {}, also: func(n *node) { n.Break() }, only: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &faulty{FS: vfs.Default}
			opts := disk.Options{SyncEvery: time.Millisecond}.On(f, "boot")
			dir := t.TempDir()
			n := open(t, dir, opts)
			want := "lost 0:"
			uncertain := map[string]bool{} // until a retry resolves it
			publish := func(data string) error {
				e := entry("a", "t", data)
				e.Key = data
				e.Limits.Messages = 1_000_000
				r, err := n.Append(t.Context(), e)
				switch {
				case errors.Is(err, engine.ErrUncertain):
					uncertain[data] = true
				case err == nil && (!r.Duplicate || uncertain[data]):
					want += fmt.Sprintf(" %d=%s", r.ID.Seq, data)
				}
				return err
			}
			for i := range 5 {
				if err := publish(fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			f.set(tt.fail)
			if tt.also != nil {
				tt.also(n)
			}
			refused := 100
			if !tt.only {
				var err error
				eventually(t, "publishes go on", func() error {
					refused++
					if err = publish(fmt.Sprint(refused)); err == nil {
						return errors.New("it was published")
					}
					return nil
				})
				if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrUncertain) {
					t.Errorf("err = %v", err)
				}
				eventually(t, "ready", func() error {
					if err := n.Ready(); err == nil || !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), tt.fault) {
						return fmt.Errorf("%w", errors.Join(errors.New("ready says"), err))
					}
					return nil
				})
			}
			if len(uncertain) == 0 {
				n.want("a", want)
			} else if _, err := n.Load(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			f.works()
			for data := range uncertain {
				eventually(t, "a retry", func() error { return publish(data) })
			}
			eventually(t, "publishing again", func() error { return publish("again") })
			n.want("a", want)
			if len(n.delivered) != len(n.load("a").Messages) {
				t.Errorf("%d delivered, %d kept", len(n.delivered), len(n.load("a").Messages))
			}
			if err := n.Ready(); err != nil {
				t.Error(err)
			}
			var copied string
			eventually(t, "quiet, so that a copy is of one moment", func() error {
				var err error
				copied, err = n.still(dir)
				return err
			})
			killed := open(t, copied, opts)
			killed.want("a", want)
			n.close()
			n = open(t, dir, opts)
			n.want("a", want)
		})
	}
}

// An engine on a full disk closes without losing anything.
func TestEngine_Close_full(t *testing.T) {
	f := &faulty{FS: vfs.Default}
	opts := disk.Options{}.On(f, "boot")
	dir := t.TempDir()
	n := open(t, dir, opts)
	n.put("a", "1")
	f.set(func(f *faulty) { f.write = failing(syscall.ENOSPC, "tables") })
	n.StartFlush()
	n.close()
	f.works()
	n = open(t, dir, opts)
	if n.origin.Lost != 0 {
		t.Errorf("origin %+v", n.origin)
	}
	n.want("a", "lost 0: 1=1")
}

// blob returns 50,000 letters that hardly compress.
func blob(seed uint64) string {
	b := make([]byte, 50_000/4*3)
	rng := rand.NewChaCha8([32]byte(binary.BigEndian.AppendUint64(make([]byte, 24), seed)))
	_, _ = rng.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// takeRest makes a file longer until the disk is full.
func takeRest(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, _ = f.Write(make([]byte, 64<<20)) // as much as fits
}

// This test fills a real file system.
func TestEngine_smallDisk(t *testing.T) {
	mount := smallDisk(t, 64<<20)
	dir := filepath.Join(mount, "data")
	n := open(t, dir, disk.Options{})
	ballast := filepath.Join(mount, "ballast")
	data := func(seq uint64) string { return fmt.Sprintf("%q", blob(seq)) }
	last := uint64(0)
	var err error
	for i := 0; err == nil && i < 4000; i++ {
		e := entry(fmt.Sprint("c", i), "t", data(uint64(i+1)))
		r, appendErr := n.Append(t.Context(), e)
		if err = appendErr; err == nil {
			last = r.ID.Seq
		}
	}
	if !errors.Is(err, engine.ErrUnavailable) {
		t.Fatalf("err = %v", err)
	}
	t.Logf("full after %d messages: %v", last, err)
	takeRest(t, ballast)
	n.want("c0", "lost 0: 1="+data(1))
	n.want(fmt.Sprint("c", last-1), fmt.Sprintf("lost 0: %d=%s", last, data(last)))
	eventually(t, "the disk is full", func() error {
		takeRest(t, ballast) // a flush may have made room
		_, _ = n.Append(t.Context(), entry("other", "t", `1`))
		if err := n.Ready(); !errors.Is(err, engine.ErrUnavailable) {
			return errors.New(fmt.Sprint("ready: ", err))
		}
		return nil
	})
	os.Remove(ballast)
	for i := range last / 2 {
		if _, err := n.Delete(t.Context(), entry(fmt.Sprint("c", i), "t", "").Channel); err != nil && !errors.Is(err, engine.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	n.close()
	n = open(t, dir, disk.Options{})
	n.want(fmt.Sprint("c", last-1), fmt.Sprintf("lost 0: %d=%s", last, data(last)))
}
