package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk/wal"
)

// config returns the configuration of a journal in fs, in the given boot.
func config(t testing.TB, fs vfs.FS, boot string) wal.Config {
	t.Helper()
	if err := errors.Join(fs.MkdirAll("j", 0o700), wal.SyncDir(fs, ".")); err != nil {
		t.Fatal(err)
	}
	return wal.Config{FS: fs, Dir: "j", End: "END", Boot: boot, SyncEvery: time.Hour, Log: slog.New(slog.DiscardHandler)}
}

// begun returns a new journal that is ready for records.
func begun(t testing.TB, c wal.Config) *wal.Journal {
	t.Helper()
	if err := wal.Create(c); err != nil {
		t.Fatal(err)
	}
	j := wal.New(c, 0, 0)
	t.Cleanup(func() { _ = errors.Join(j.Finish(), j.Close()) })
	if err := j.Start(2); err != nil {
		t.Fatal(err)
	}
	return j
}

func write(t testing.TB, j *wal.Journal, durable bool, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := j.Append([]byte(text), durable); err != nil {
			t.Fatal(err)
		}
		if durable {
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// replayed returns the result of a replay, and the records in one line.
func replayed(c wal.Config, applied uint64) (r wal.Replayed, records string, err error) {
	var all []string
	r, err = wal.Replay(c, applied, func(b []byte) error {
		all = append(all, string(b))
		return nil
	})
	return r, strings.Join(all, " "), err
}

// Replay finds the right records, and the right losses, after every kind of end.
func TestReplay_everyEnd(t *testing.T) {
	fs := vfs.NewCrashableMem()
	c := config(t, fs, "boot 1")
	j := begun(t, c)
	write(t, j, true, "a", "b")
	write(t, j, false, "c", "d")

	killed, records, err := replayed(c, 0)
	if err != nil || records != "a b c d" || killed != (wal.Replayed{Last: 4, Records: 4, Segment: 2, Killed: true}) {
		t.Errorf("killed: %+v, %q, %v", killed, records, err)
	}
	if _, records, err = replayed(c, 3); err != nil || records != "d" {
		t.Errorf("the database has three: %q, %v", records, err)
	}
	power, records, err := replayed(config(t, fs.CrashClone(vfs.CrashCloneCfg{}), "boot 2"), 0)
	if err != nil || records != "a b" || power.Killed || power.Clean || power.Cut || power.Last != 2 {
		t.Errorf("power failure: %+v, %q, %v", power, records, err)
	}
	if err := errors.Join(j.Sync(), j.Next(true), j.Discard(2)); err != nil {
		t.Fatal(err)
	}
	clean, records, err := replayed(c, 4)
	if err != nil || records != "" || clean != (wal.Replayed{Last: 4, Segment: 3, Clean: true, Killed: true}) {
		t.Errorf("clean: %+v, %q, %v", clean, records, err)
	}
	if _, _, err := replayed(c, 3); !errors.Is(err, wal.ErrDamaged) {
		t.Errorf("a record is neither in the database nor in a segment: %v", err)
	}
}

// Records are read across segments. Discarded ones are not needed if the database has them.
func TestReplay_segments(t *testing.T) {
	c := config(t, vfs.NewMem(), "boot")
	j := begun(t, c)
	write(t, j, false, "a", "b")
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	if j.Synced() != 2 || j.Written() != 2 || j.Segment() != 3 {
		t.Errorf("synced %d, written %d, segment %d", j.Synced(), j.Written(), j.Segment())
	}
	write(t, j, false, "c")
	if _, records, err := replayed(c, 0); err != nil || records != "a b c" {
		t.Errorf("%q, %v", records, err)
	}
	if err := j.Discard(2); err != nil {
		t.Fatal(err)
	}
	if _, records, err := replayed(c, 2); err != nil || records != "c" {
		t.Errorf("discarded: %q, %v", records, err)
	}
	if _, _, err := replayed(c, 1); !errors.Is(err, wal.ErrDamaged) {
		t.Errorf("record 2 is missing: %v", err)
	}
}

// failing is a file system whose writes and syncs of segments fail on demand.
type failing struct {
	vfs.FS
	write, sync atomic.Bool
}

func (f *failing) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return &failingFile{file, f}, err
}

type failingFile struct {
	vfs.File
	fs *failing
}

func (f *failingFile) Write(b []byte) (int, error) {
	if f.fs.write.Load() {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	return f.File.Write(b)
}

func (f *failingFile) SyncData() error {
	if f.fs.sync.Load() {
		return syscall.EIO
	}
	return f.File.SyncData()
}

// A partly written record is not read, and nothing follows it in its segment.
func TestJournal_Append_torn(t *testing.T) {
	f := &failing{FS: vfs.NewMem()}
	c := config(t, f, "boot")
	j := begun(t, c)
	write(t, j, false, "a")
	f.write.Store(true)
	if err := j.Append([]byte("failed"), false); !errors.Is(err, syscall.ENOSPC) || !j.Full() {
		t.Errorf("err = %v, full: %t", err, j.Full())
	}
	f.write.Store(false)
	if r, records, err := replayed(c, 0); err != nil || records != "a" || r.Cut {
		t.Errorf("%+v, %q, %v", r, records, err)
	}
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	write(t, j, false, "b")
	if r, records, err := replayed(c, 0); err != nil || records != "a b" || r.Cut {
		t.Errorf("%+v, %q, %v", r, records, err)
	}
}

// After a failed sync, the journal accepts no record and trusts no second sync until another
// segment has begun.
func TestJournal_Fault(t *testing.T) {
	f := &failing{FS: vfs.NewMem()}
	j := begun(t, config(t, f, "boot"))
	write(t, j, false, "a")
	f.sync.Store(true)
	j.StartSync()
	if err := j.EndSync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("err = %v", err)
	}
	f.sync.Store(false)
	if err := j.Append([]byte("b"), false); !errors.Is(err, syscall.EIO) || !errors.Is(j.Fault(), syscall.EIO) {
		t.Errorf("err = %v, fault %v", err, j.Fault())
	}
	if err := j.Next(false); err != nil || j.Fault() != nil {
		t.Errorf("err = %v, fault %v", err, j.Fault())
	}
	write(t, j, true, "b")
}

// An ordinary record is on the disk within SyncEvery, and an idle journal does not sync.
func TestJournal_SyncEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t, vfs.NewMem(), "boot")
		c.SyncEvery = 100 * time.Millisecond
		j := begun(t, c)
		write(t, j, false, "a")
		write(t, j, false, "b")
		time.Sleep(c.SyncEvery + 1)
		synctest.Wait()
		if j.Synced() != 2 || j.Syncs() != 1 || j.SyncTimes().Count() != 1 {
			t.Errorf("%d records synced with %d syncs, %d of them measured", j.Synced(), j.Syncs(), j.SyncTimes().Count())
		}
		time.Sleep(time.Hour)
		if j.Syncs() != 1 {
			t.Errorf("%d syncs", j.Syncs())
		}
	})
}

// FuzzReplay replays arbitrary bytes as the newest segment and the end file. Replay never
// panics, and never invents or reorders a record.
func FuzzReplay(f *testing.F) {
	mem := vfs.NewMem()
	j := begun(f, config(f, mem, "boot"))
	var written []string
	for i := range 4 {
		written = append(written, fmt.Sprint("record ", i+1))
		write(f, j, i == 1, written[i])
	}
	const segment = "j/0000000000000002.journal"
	whole, err := wal.ReadFile(mem, segment)
	end, endErr := wal.ReadFile(mem, "END")
	if err != nil || endErr != nil {
		f.Fatal(err, endErr)
	}
	f.Add(whole, end, uint8(0))
	f.Add(whole[:len(whole)-5], end, uint8(2))
	f.Add(append(bytes.Clone(whole), 1, 2, 3), end[:128], uint8(4))
	f.Fuzz(func(t *testing.T, segmentBytes, endBytes []byte, applied uint8) {
		fs := vfs.NewMem()
		c := config(t, fs, "boot")
		if err := wal.Create(c); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{segment: segmentBytes, "END": endBytes} {
			file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write(data); err != nil {
				t.Fatal(err)
			}
			file.Close()
		}
		var got []string
		r, err := wal.Replay(c, uint64(applied), func(b []byte) error {
			got = append(got, string(b))
			return nil
		})
		if err == nil && (r.Records != len(got) || r.Last != uint64(applied)+uint64(len(got))) {
			t.Errorf("%+v, but %d records on top of %d", r, len(got), applied)
		}
		if bytes.HasPrefix(segmentBytes, whole[:128]) && int(applied) < len(written) &&
			!slices.Equal(got, written[applied:min(len(written), int(applied)+len(got))]) {
			t.Errorf("got %q on top of %d", got, applied)
		}
	})
}
