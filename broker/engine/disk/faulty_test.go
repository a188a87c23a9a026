package disk_test

import (
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faulty is a file system that fails on demand.
type faulty struct {
	vfs.FS
	mu    sync.Mutex
	write func(name string) error // guarded by mu; error of writing to or creating a file; nil: none
	gone  func(name string) error // guarded by mu; error of removing a file
	sync  func(name string) error // guarded by mu; error of a sync
	free  uint64                  // guarded by mu; bytes that are reported as free; 0: plenty
	size  uint64                  // guarded by mu; size of the disk in bytes, including the files on it; 0: plenty
	taken uint64                  // guarded by mu; bytes of the disk that other programs use
	merge error                   // guarded by mu; error of creating a table in a compaction
}

// set changes which operations fail.
func (f *faulty) set(change func(f *faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// works removes all faults.
func (f *faulty) works() {
	f.set(func(f *faulty) { f.write, f.sync, f.gone, f.free = nil, nil, nil, 0 })
}

// failing returns a fault of the files whose name contains part.
func failing(err error, part string) func(string) error {
	return func(name string) error {
		if strings.Contains(name, part) {
			return err
		}
		return nil
	}
}

func (f *faulty) writes(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.write == nil {
		return nil
	}
	return f.write(name)
}

func (f *faulty) syncs(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sync == nil {
		return nil
	}
	return f.sync(name)
}

func (f *faulty) GetDiskUsage(string) (vfs.DiskUsage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	usage := vfs.DiskUsage{AvailBytes: 50 << 30, TotalBytes: 100 << 30}
	if f.size > 0 {
		used := min(f.taken+f.used(""), f.size)
		return vfs.DiskUsage{AvailBytes: f.size - used, TotalBytes: f.size, UsedBytes: used}, nil
	}
	if f.free > 0 {
		usage.AvailBytes = f.free
	}
	return usage, nil
}

// used returns the size of all files below a directory.
func (f *faulty) used(dir string) (bytes uint64) {
	names, _ := f.List(dir)
	for _, name := range names {
		name = f.PathJoin(dir, name)
		if info, err := f.Stat(name); err != nil {
			continue
		} else if info.IsDir() {
			bytes += f.used(name)
		} else {
			bytes += uint64(info.Size())
		}
	}
	return bytes
}

func (f *faulty) merges(category vfs.DiskWriteCategory) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if category != "pebble-compaction" {
		return nil
	}
	return f.merge
}

func (f *faulty) file(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, name: name, fs: f}, nil
}

func (f *faulty) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := errors.Join(f.writes(name), f.merges(c)); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return f.file(name, file, err)
}

func (f *faulty) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.writes(name); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenReadWrite(name, c, opts...)
	return f.file(name, file, err)
}

func (f *faulty) Remove(name string) error {
	f.mu.Lock()
	gone := f.gone
	f.mu.Unlock()
	if gone != nil {
		if err := gone(name); err != nil {
			return err
		}
	}
	return f.FS.Remove(name)
}

func (f *faulty) Lock(name string) (io.Closer, error) {
	if err := f.writes(name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

func (f *faulty) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.file(name, file, err)
}

type faultyFile struct {
	vfs.File
	name string
	fs   *faulty
}

// Write writes half of b and fails, as a full disk may.
func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.fs.writes(f.name); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fs.writes(f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, at)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.syncs(f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) SyncData() error {
	if err := f.fs.syncs(f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *faultyFile) SyncTo(length int64) (bool, error) {
	if err := f.fs.syncs(f.name); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
