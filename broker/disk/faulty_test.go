package disk_test

import (
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faulty is a file system that fails as it is told to.
type faulty struct {
	vfs.FS
	mu    sync.Mutex
	write func(name string) error // guarded by mu; of a write to, or the making of, a file; nil: none
	sync  func(name string) error // guarded by mu; of a sync
	free  uint64                  // guarded by mu; bytes that are said to be free; 0: plenty
}

// set changes what fails.
func (f *faulty) set(change func(f *faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// works makes f fail no more.
func (f *faulty) works() { f.set(func(f *faulty) { f.write, f.sync, f.free = nil, nil, 0 }) }

// failing returns a fault of the files whose name has a part in it.
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
	if f.free > 0 {
		usage.AvailBytes = f.free
	}
	return usage, nil
}

func (f *faulty) file(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, name: name, fs: f}, nil
}

func (f *faulty) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.writes(name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return f.file(name, file, err)
}

func (f *faulty) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, c, opts...)
	return f.file(name, file, err)
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

// Write leaves half of what was to be written, as a full disk may.
func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.fs.writes(f.name); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
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
