package faultfs_test

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk/faultfs"
)

// disk is a file system in memory whose writes fail on demand.
type disk struct {
	vfs.FS
	mu    sync.Mutex
	fault error  // guarded by mu; error of every write, sync and creation
	free  uint64 // guarded by mu
	tries int    // guarded by mu; number of attempted operations
}

func (d *disk) set(fault error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

func (d *disk) try() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries++
	return d.fault
}

func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return vfs.DiskUsage{AvailBytes: d.free, TotalBytes: 1 << 30}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.try(); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name, c)
	return &diskFile{f, d}, err
}

type diskFile struct {
	vfs.File
	disk *disk
}

func (f *diskFile) Write(b []byte) (int, error) {
	if err := f.disk.try(); err != nil {
		n, _ := f.File.Write(b[:len(b)/2]) // as a full disk may
		return n, err
	}
	return f.File.Write(b)
}

func (f *diskFile) Sync() error { return errors.Join(f.disk.try(), f.File.Sync()) }

// opened returns the file system of an open database, its disk, and the reported errors.
func opened() (*faultfs.FS, *disk, *[]error) {
	d := &disk{FS: vfs.NewMem(), free: 1 << 29}
	var reported []error
	f := faultfs.New(d, func(err error) { reported = append(reported, err) })
	f.Opened()
	return f, d, &reported
}

func create(t *testing.T, f vfs.FS, name string, category vfs.DiskWriteCategory) vfs.File {
	t.Helper()
	file, err := f.Create(name, category)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func content(t *testing.T, f vfs.FS, name string) string {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, _ := file.ReadAt(b, 0)
	return string(b[:n])
}

// On a full disk, a write to the manifest waits and then continues where it stopped. A write to
// a table fails after half a second.
func TestFS_fullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d, reported := opened()
		manifest := create(t, f, "MANIFEST-000001", vfs.WriteCategoryUnspecified)
		table := create(t, f, "000002.sst", vfs.WriteCategoryUnspecified)
		d.set(syscall.ENOSPC)
		written := make(chan error)
		go func() { // ends when there is space
			_, err := manifest.Write([]byte("manifest"))
			written <- err
		}()
		began := time.Now()
		if _, err := table.Write([]byte("table")); !faultfs.IsFull(err) || time.Since(began) > time.Second {
			t.Errorf("a table after %v: %v", time.Since(began), err)
		}
		time.Sleep(time.Hour)
		if !f.Waiting() {
			t.Error("the manifest does not wait")
		}
		d.set(nil)
		if err := <-written; err != nil || content(t, f, "MANIFEST-000001") != "manifest" {
			t.Errorf("%v: %q", err, content(t, f, "MANIFEST-000001"))
		}
		if f.Waiting() || len(*reported) > 0 {
			t.Errorf("waiting: %t, reported %v", f.Waiting(), *reported)
		}
	})
}

// An error that Pebble would not survive is reported to the owner and hidden from Pebble.
// Pebble gets all others.
func TestFS_vital(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, vital := range map[string]bool{"MANIFEST-000001": true, "marker.manifest.000001": true, "000002.sst": false, "OPTIONS-000003": false} {
			f, d, reported := opened()
			file := create(t, f, name, vfs.WriteCategoryUnspecified)
			d.set(syscall.EIO)
			n, err := file.Write([]byte("text"))
			if vital != (err == nil && n == 4) || vital != (len(*reported) == 1) {
				t.Errorf("%s: wrote %d, %v, reported %v", name, n, err, *reported)
			}
			if err := file.Sync(); vital != (err == nil) {
				t.Errorf("%s: sync: %v", name, err)
			}
			other, err := f.Create(name+"x", vfs.WriteCategoryUnspecified)
			if vital != (err == nil) || err == nil && errors.Join(other.Sync(), other.Close()) != nil {
				t.Errorf("%s: another file: %v", name, err)
			}
		}
	})
}

// A failed sync is not tried again, because a second one would not write what the first
// dropped.
func TestFS_Sync_full(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d, _ := opened()
		table := create(t, f, "000002.sst", vfs.WriteCategoryUnspecified)
		d.set(syscall.ENOSPC)
		was := d.tries
		if err := table.Sync(); err == nil || faultfs.IsFull(err) || d.tries != was+1 {
			t.Errorf("%v after %d tries", err, d.tries-was)
		}
	})
}

// Opening a database on a full disk fails instead of waiting.
func TestFS_openOnFullDisk(t *testing.T) {
	d := &disk{FS: vfs.NewMem(), fault: syscall.ENOSPC}
	var reported error
	f := faultfs.New(d, func(err error) { reported = err })
	file, err := f.Create("OPTIONS-000003", vfs.WriteCategoryUnspecified)
	if err != nil || !faultfs.IsFull(reported) {
		t.Errorf("%v, reported %v", err, reported)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		t.Error(err)
	}
}

// A fenced database changes nothing, and writes that waited for space end.
func TestFS_Fence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d, reported := opened()
		manifest := create(t, f, "MANIFEST-000001", vfs.WriteCategoryUnspecified)
		d.set(syscall.ENOSPC)
		written := make(chan error)
		go func() { // ends with the fence
			_, err := manifest.Write([]byte("manifest"))
			written <- err
		}()
		synctest.Wait()
		f.Fence()
		if err := <-written; err != nil || len(*reported) != 1 {
			t.Errorf("%v, reported %v", err, *reported)
		}
		d.set(nil)
		if _, err := f.Create("000002.sst", vfs.WriteCategoryUnspecified); err == nil {
			t.Error("a fenced database creates a table")
		}
		if _, err := d.Stat("000002.sst"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if err := f.Remove("MANIFEST-000001"); err != nil || len(content(t, d, "MANIFEST-000001")) == 0 {
			t.Errorf("a fenced database removed its manifest: %v", err)
		}
	})
}

// A compaction leaves free the space that flushes need.
func TestFS_LeaveFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d, _ := opened()
		f.LeaveFree(1 << 20)
		merged := create(t, f, "000002.sst", "pebble-compaction")
		flushed := create(t, f, "000003.sst", "pebble-memtable-flush")
		if _, err := merged.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if f.Denied() {
			t.Error("denied while there is space")
		}
		d.free = 1<<20 + 1000
		if _, err := merged.Write(make([]byte, 1<<20)); !faultfs.IsFull(err) {
			t.Errorf("a compaction: %v", err)
		}
		if !f.Denied() {
			t.Error("a compaction was denied, and nobody is told")
		}
		if _, err := flushed.Write(make([]byte, 1<<20)); err != nil {
			t.Errorf("a flush: %v", err)
		}
	})
}
