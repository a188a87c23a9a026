package disk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// smallDisk mounts a file system of the given size.
func smallDisk(t testing.TB, bytes int) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("mounts a file system, which root can on Linux")
	}
	mount := t.TempDir()
	if err := mountTmpfs(mount, bytes); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { unmount(mount) })
	return mount
}

// fillUp opens a new directory and publishes until all messages have expired, which is at
// the time that it returns. If the engine has refused none by then, the disk was not full:
// fillUp starts over and takes so much longer that it should be, at least twice as long.
func fillUp(t *testing.T, dir string, opts disk.Options, data func(i int) string) (n *node, due time.Time) {
	t.Helper()
	for wait := 5 * time.Second; wait < 15*time.Minute; {
		n = open(t, dir, opts)
		due = time.Now().Add(wait)
		before := free(t, filepath.Dir(dir))
		published, refused := n.fill(data, due)
		after := free(t, filepath.Dir(dir))
		if t.Logf("%d messages in %v, %d refused, %d of %d bytes left", published, wait, refused, after, before); refused > 0 {
			return n, due
		}
		times := 1 + before/max(before-min(after, before), before/32)
		wait *= time.Duration(max(2, times))
		n.close()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("no publish was refused")
	return nil, due
}

// fill publishes messages that expire at a time, until then, whatever is refused.
func (n *node) fill(data func(i int) string, due time.Time) (published, refused int64) {
	var count, failed atomic.Int64
	spread(64, 64, func(int) error {
		for time.Now().Before(due) {
			i := int(count.Add(1))
			e := entry(fmt.Sprint("c", i%500), "t", data(i))
			e.Limits = engine.Limits{Age: max(time.Millisecond, time.Until(due))}
			if i%10 == 0 {
				e.Key = fmt.Sprint("key", i)
			}
			if _, err := n.Append(n.t.Context(), e); err != nil {
				count.Add(-1)
				failed.Add(1)
				runtime.Gosched()
			}
		}
		return nil
	})
	return count.Load(), failed.Load()
}

// free returns how many bytes are free on the disk of a directory.
func free(t testing.TB, dir string) uint64 {
	t.Helper()
	usage, err := vfs.Default.GetDiskUsage(dir)
	if err != nil {
		t.Fatal(err)
	}
	return usage.AvailBytes
}

// The engine does not fill a disk to the last byte, and accepts publishes again when messages
// have expired: while it runs, and after a start, even if another program has filled the disk
// to the last byte.
func TestEngine_fullDisk_expiryFreesSpace(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills disks, left out with -short")
	}
	blobs := blob(1)
	small := func(i int) string { return fmt.Sprintf(`"%d %s"`, i, blobs[i%40_000:][:80]) }
	large := func(i int) string { return fmt.Sprintf(`"%d %s"`, i, blob(uint64(i))[:20_000]) }
	for _, tt := range []struct {
		name string
		size int
		data func(i int) string
		end  string
	}{
		{"small messages, running", 100 << 20, small, ""},
		{"large messages, running", 100 << 20, large, ""},
		{"large messages, restarted", 200 << 20, large, "restarted"},
		{"large messages, filled by something else and started", 100 << 20, large, "filled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mount := smallDisk(t, tt.size)
			dir := filepath.Join(mount, "data")
			opts := disk.Options{RememberFor: time.Second}
			n, due := fillUp(t, dir, opts, tt.data)
			left := free(t, mount)
			t.Logf("%d MiB left: %v", left>>20, n.Ready())
			if left == 0 { // merges of the database may use nearly all that publishes have to leave
				t.Error("nothing is left")
			}
			switch tt.end {
			case "restarted":
				n.close()
				n = open(t, dir, opts)
			case "filled":
				n.close()
				n = onFullDisk(t, dir, tt.size, opts)
			}
			for deadline := time.Now().Add(patience); ; runtime.Gosched() {
				_, err := n.Append(t.Context(), entry("a", "t", "1"))
				if err == nil {
					break
				}
				if !errors.Is(err, engine.ErrUnavailable) || time.Now().After(deadline) {
					t.Fatalf("%d bytes are left: %v", free(t, mount), err)
				}
			}
			t.Logf("took %v after it was due, %d MiB left", time.Since(due), free(t, mount)>>20)
		})
	}
}

// onFullDisk opens a directory on a disk of the given size, on which another file takes up all
// the space that the engine had left free. It then frees a part of it, because with less than
// the reserve the disk counts as full whatever is deleted.
func onFullDisk(t *testing.T, dir string, size int, opts disk.Options) *node {
	t.Helper()
	ballast := filepath.Join(filepath.Dir(dir), "ballast")
	os.WriteFile(ballast, make([]byte, size), 0o600) // as much as fits
	if left := free(t, dir); left > 0 {
		t.Fatalf("%d bytes are left", left)
	}
	n := open(t, dir, opts)
	t.Logf("opened with %d bytes left", free(t, dir))
	if err := os.Truncate(ballast, int64(size)/16); err != nil {
		t.Fatal(err)
	}
	return n
}

// Channels can be deleted while the disk is too full to publish.
func TestEngine_Delete_full(t *testing.T) {
	f := &faulty{FS: vfs.NewMem()}
	n := open(t, "d", disk.Options{}.On(f, "boot"))
	for i := range 100 {
		n.put("a", fmt.Sprint(i))
	}
	f.set(func(f *faulty) { f.free = 1 << 20 })
	eventually(t, "refused", func() error {
		if _, err := n.Append(t.Context(), entry("b", "t", "1")); err == nil {
			return errors.New("it was published")
		}
		return nil
	})
	if found, err := n.Delete(t.Context(), "a"); !found || err != nil {
		t.Errorf("delete: %t, %v", found, err)
	}
	if n.Ready() == nil {
		t.Error("it is ready on a full disk")
	}
	if kept := n.load("a"); len(kept.Messages) != 0 || kept.Lost.Newest != 100 {
		t.Errorf("kept %+v", kept)
	}
	f.works()
	eventually(t, "published", func() error {
		_, err := n.Append(t.Context(), entry("b", "t", "1"))
		return err
	})
	n.close()
	open(t, "d", disk.Options{}.On(f, "boot")).want("a", "lost 100:")
}

// Deletions free space even if Pebble first wants to merge the older tables, for which there is
// no space.
func TestEngine_Delete_crowded(t *testing.T) {
	const channels, rounds, size = 40, 12, 64 << 20
	for _, started := range []bool{false, true} {
		t.Run(fmt.Sprintf("started %t", started), func(t *testing.T) {
			f := &faulty{FS: vfs.NewMem(), merge: errors.New("no compactions yet")}
			opts := disk.Options{}.On(f, "boot")
			n := open(t, "d", opts)
			for round := range rounds {
				for c := range channels {
					n.put(fmt.Sprint("c", c), fmt.Sprintf("%q", blob(uint64(round*channels+c))))
				}
				if err := n.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			n.close() // leaves an empty journal
			if !started {
				n = open(t, "d", opts)
			}
			used := f.used("")
			f.set(func(f *faulty) {
				const left = size/16 + 3<<20 // slightly more than compactions leave free
				f.size, f.taken, f.merge = size, size-left-used, nil
			})
			if started {
				n = open(t, "d", opts)
			}
			eventually(t, "refused", func() error {
				if n.Ready() == nil {
					return errors.New("it is ready")
				}
				return nil
			})
			for c := range channels {
				eventually(t, "deleted", func() error {
					_, err := n.Delete(t.Context(), schemas.Channel(fmt.Sprint("c", c)))
					return err
				})
			}
			eventually(t, "published", func() error {
				_, err := n.Append(t.Context(), entry("b", "t", "1"))
				return err
			})
			n.close()
			if n = open(t, "d", opts); n.load("c1").Lost.Newest == 0 {
				t.Error("the deletion is forgotten")
			}
		})
	}
}
