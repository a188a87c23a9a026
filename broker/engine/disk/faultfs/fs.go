// Package faultfs is the file system that Pebble sees. It stands between Pebble and the
// real files, and hides from Pebble the faults that Pebble cannot survive.
//
// Pebble ends the process when it cannot write its manifest, and spins when it cannot write
// a table. Here neither happens:
//
//   - On a full disk, a write to the manifest waits until there is space. A write to a table
//     is tried for half a second and then fails, so that Pebble starts the table anew and no
//     half-written table occupies the last bytes. A compaction fails sooner: it leaves free
//     what flushes need, because without a flush nothing is ever deleted. See [FS.LeaveFree].
//   - Any other error of the manifest is reported to the owner and not to Pebble. The owner
//     fences the database off with [FS.Fence]: from then on it changes nothing on the disk,
//     whatever its goroutines still try. It can be read until another one replaces it.
//
// The package does not know why space runs out, nor who refuses publishes meanwhile.
package faultfs

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errFenced is what a database that was given up gets for every write.
var errFenced = errors.New("disk: this database was given up")

// pauseOnError holds back the error of a write: Pebble tries again at once and for ever.
const pauseOnError = 50 * time.Millisecond

// triesWhenFull is how often a write to a table is tried on a full disk before it fails.
const triesWhenFull = 10

// FS implements [vfs.FS] for one Pebble database. Its methods may be called concurrently.
type FS struct {
	vfs.FS
	report  func(error)
	open    atomic.Bool  // until then, nothing waits for space
	fenced  atomic.Bool  // every write fails
	waiting atomic.Int32 // writes that wait for space
	floor   atomic.Int64 // bytes that compactions leave free
	denied  atomic.Bool  // a compaction failed because of floor
}

// New returns a file system for a database that is about to be opened in fs. report is
// called with an error that Pebble would not survive, from one of Pebble's goroutines and
// possibly under its locks: it must not call Pebble, and usually calls Fence.
func New(fs vfs.FS, report func(error)) *FS { return &FS{FS: fs, report: report} }

// Opened says that the database is open. Until then a full disk is an error like any other,
// so that opening fails instead of waiting.
func (g *FS) Opened() { g.open.Store(true) }

// Fence lets no write of the database through any more, and ends those that wait for space.
func (g *FS) Fence() { g.fenced.Store(true) }

// Waiting reports whether a write is waiting for space.
func (g *FS) Waiting() bool { return g.waiting.Load() > 0 }

// LeaveFree sets how many bytes compactions leave free on the disk. The default is 0.
func (g *FS) LeaveFree(bytes int64) { g.floor.Store(bytes) }

// Denied reports whether a compaction has failed because it would have left less than that.
func (g *FS) Denied() bool { return g.denied.Load() }

// IsFull reports whether err says that the disk, or a quota, is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// do runs op, and again while the disk is full. vital says that Pebble does not survive
// an error of it.
func (g *FS) do(vital bool, op func() error) error {
	waits := false
	defer func() {
		if waits {
			g.waiting.Add(-1)
		}
	}()
	for tries := 1; ; tries++ {
		err := errFenced
		if !g.fenced.Load() {
			err = op()
		}
		switch {
		case err == nil, errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrExist):
			return err
		case IsFull(err) && g.open.Load():
			if !waits {
				waits = true
				g.waiting.Add(1)
			}
			if !vital && tries == triesWhenFull {
				return err // Pebble deletes what it wrote of the table, and starts it anew
			}
		case vital:
			g.report(err)
			return nil
		default:
			time.Sleep(pauseOnError)
			return err
		}
		time.Sleep(pauseOnError)
	}
}

// vital reports whether Pebble ends the process over an error of the named file. It also
// does so over an error of a directory. While a database is being opened, every file except
// tables is vital: an open that fails half-way leaves goroutines behind, but a database that
// does not know that its open failed can be closed. Tables are written in the background.
func (g *FS) vital(name string) bool {
	base := g.PathBase(name)
	return strings.HasPrefix(base, "MANIFEST") || strings.HasPrefix(base, "marker.") ||
		!g.open.Load() && !strings.HasSuffix(base, ".sst")
}

func (g *FS) file(name string, vital bool, open func() (vfs.File, error)) (vfs.File, error) {
	var opened vfs.File
	err := g.do(vital, func() (err error) {
		opened, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if opened == nil {
		opened = void{} // the error was reported, and is not for Pebble
	}
	return &file{File: opened, fs: g, name: name, vital: vital}, nil
}

// Create implements [vfs.FS].
func (g *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	created, err := g.file(name, g.vital(name), func() (vfs.File, error) { return g.FS.Create(name, category) })
	if f, ok := created.(*file); ok && category == compaction {
		f.yields, f.unchecked = true, checkEvery
	}
	return created, err
}

// OpenReadWrite implements [vfs.FS].
func (g *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.file(name, g.vital(name), func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements [vfs.FS].
func (g *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(newname, g.vital(newname), func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir implements [vfs.FS].
func (g *FS) OpenDir(name string) (vfs.File, error) {
	return g.file(name, true, func() (vfs.File, error) { return g.FS.OpenDir(name) })
}

// Link implements [vfs.FS].
func (g *FS) Link(oldname, newname string) error {
	return g.do(g.vital(newname), func() error { return g.FS.Link(oldname, newname) })
}

// Rename implements [vfs.FS].
func (g *FS) Rename(oldname, newname string) error {
	return g.do(g.vital(newname), func() error { return g.FS.Rename(oldname, newname) })
}

// Remove implements [vfs.FS].
func (g *FS) Remove(name string) error {
	return g.do(g.vital(name), func() error { return g.FS.Remove(name) })
}

// RemoveAll implements [vfs.FS].
func (g *FS) RemoveAll(name string) error {
	return g.do(g.vital(name), func() error { return g.FS.RemoveAll(name) })
}

// Lock implements [vfs.FS]. It locks nothing: the engine locks the directory as a whole, and
// opens a database while the one that failed is still being read.
func (g *FS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap implements [vfs.FS].
func (g *FS) Unwrap() vfs.FS { return g.FS }
