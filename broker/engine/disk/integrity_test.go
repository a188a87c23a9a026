package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk"
)

// Damage to any byte of the last record that a killed process wrote is noticed, including its
// length.
func TestOpen_damagedLastRecord(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	n.once("a", "k", "1")
	before := journalSize(t, image(t, dir))
	n.once("a", "l", "2")
	killed := image(t, dir)
	whole, err := os.ReadFile(journalFile(t, killed))
	if err != nil {
		t.Fatal(err)
	}
	for at := before; at < int64(len(whole)); at++ {
		if at > before+30 && at%64 != 0 {
			continue
		}
		copied := image(t, killed)
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 1
		file := journalFile(t, copied)
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := disk.Open(copied, thisBoot())
		if err == nil {
			e.Close()
		}
		if err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
			t.Errorf("byte %d of the record: err = %v", at-before, err)
		}
	}
}

// A start on a full disk fails with an error that says so, and works once there is space.
func TestOpen_fullDisk(t *testing.T) {
	f := &faulty{FS: vfs.Default}
	opts := disk.Options{}.On(f, "boot")
	dir := t.TempDir()
	n := open(t, dir, opts)
	n.put("a", "1")
	killed := image(t, dir)
	for _, part := range []string{"tables", "journal"} {
		f.set(func(f *faulty) { f.write = failing(syscall.ENOSPC, part) })
		e, err := disk.Open(killed, opts)
		if err == nil {
			e.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "no space") || !strings.Contains(err.Error(), killed) {
			t.Errorf("%s: err = %v", part, err)
		}
		f.works()
	}
	open(t, killed, opts).want("a", "lost 0: 1=1")
}

// Tables that were restored from an older copy, or that lack the newest part, are noticed.
func TestOpen_olderTables(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, thisBoot())
	n.put("a", "1")
	n.close()
	older := image(t, dir)
	n = open(t, dir, thisBoot())
	n.put("a", "2")
	n.close()
	if err := os.RemoveAll(filepath.Join(dir, "tables")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(older, "tables"), filepath.Join(dir, "tables")); err != nil {
		t.Fatal(err)
	}
	e, err := disk.Open(dir, thisBoot())
	if err == nil {
		e.Close()
	}
	if err == nil || !strings.Contains(err.Error(), ".journal") {
		t.Errorf("err = %v", err)
	}
}

// Nobody sees a position before it is set aside on the disk. Otherwise it could be handed out
// again after a power failure.
func TestEngine_Append_setAside(t *testing.T) {
	f := &faulty{FS: vfs.NewMem()}
	n := open(t, "d", disk.Options{}.On(f, "boot"))
	seen := []uint64{}
	f.set(func(f *faulty) {
		f.sync = func(name string) error {
			if strings.Contains(name, ".journal") {
				head, _ := n.Head(t.Context())
				seen = append(seen, head, uint64(len(n.load("a").Messages)))
			}
			return nil
		}
	})
	n.put("a", "1")
	f.works()
	if len(seen) != 2 || seen[0] != 0 || seen[1] != 0 {
		t.Errorf("seen before it was synced: %v", seen)
	}
}
