package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errFenced is what a database gets that was given up.
var errFenced = errors.New("disk: this database was given up")

// pauseOnError is for how long a failed write of Pebble's is held back: it tries
// again at once, for ever.
const pauseOnError = 50 * time.Millisecond

// guard stands between Pebble and the files. Pebble ends the process when it cannot
// write its manifest, and spins when it cannot write a table. So a full disk is not
// an error here: a write waits until there is room. The engine refuses publishes
// meanwhile, see room.go.
//
// Any other error of the manifest is not told to Pebble, but to the engine. The
// database is fenced off then: it changes nothing on the disk any more, whatever its
// goroutines still try. Readers can use it until another one is open in its place.
type guard struct {
	vfs.FS
	broke   func(error)
	open    atomic.Bool // the database is open: until then, nothing that it needs for it waits for room
	fenced  atomic.Bool
	waiting atomic.Int32 // writes that wait for room
}

// do runs op, again while the disk is full. vital says that Pebble does not survive
// an error of it.
func (g *guard) do(vital bool, op func() error) error {
	waits := false
	defer func() {
		if waits {
			g.waiting.Add(-1)
		}
	}()
	for {
		err := errFenced
		if !g.fenced.Load() {
			err = op()
		}
		switch {
		case err == nil, errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrExist):
			return err
		case isFull(err) && g.open.Load():
			if !waits {
				waits = true
				g.waiting.Add(1)
			}
		case vital:
			g.broke(err)
			return nil
		default:
			time.Sleep(pauseOnError)
			return err
		}
		time.Sleep(pauseOnError)
	}
}

// vital reports whether Pebble ends the process over an error of the named file. It
// does so over one of a directory, too. While a database is being opened, every file
// is vital but tables, which are written behind its back: an open that fails half way
// leaves goroutines behind, and one that does not know that it has failed can be
// closed.
func (g *guard) vital(name string) bool {
	base := g.PathBase(name)
	return strings.HasPrefix(base, "MANIFEST") || strings.HasPrefix(base, "marker.") ||
		!g.open.Load() && !strings.HasSuffix(base, ".sst")
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func (g *guard) file(name string, vital bool, open func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	err := g.do(vital, func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if file == nil {
		file = void{}
	}
	return &guarded{File: file, guard: g, name: name, vital: vital}, nil
}

// Create implements [vfs.FS].
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(name, g.vital(name), func() (vfs.File, error) { return g.FS.Create(name, category) })
}

// OpenReadWrite implements [vfs.FS].
func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.file(name, g.vital(name), func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements [vfs.FS].
func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(newname, g.vital(newname), func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir implements [vfs.FS].
func (g *guard) OpenDir(name string) (vfs.File, error) {
	return g.file(name, true, func() (vfs.File, error) { return g.FS.OpenDir(name) })
}

// Link implements [vfs.FS].
func (g *guard) Link(oldname, newname string) error {
	return g.do(g.vital(newname), func() error { return g.FS.Link(oldname, newname) })
}

// Rename implements [vfs.FS].
func (g *guard) Rename(oldname, newname string) error {
	return g.do(g.vital(newname), func() error { return g.FS.Rename(oldname, newname) })
}

// Remove implements [vfs.FS].
func (g *guard) Remove(name string) error {
	return g.do(g.vital(name), func() error { return g.FS.Remove(name) })
}

// RemoveAll implements [vfs.FS].
func (g *guard) RemoveAll(name string) error {
	return g.do(g.vital(name), func() error { return g.FS.RemoveAll(name) })
}

// Lock implements [vfs.FS]. The directory as a whole is locked, and a database may be
// opened while one that failed is still being read.
func (g *guard) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap implements [vfs.FS].
func (g *guard) Unwrap() vfs.FS { return g.FS }

// guarded is a file that Pebble writes to.
type guarded struct {
	vfs.File
	guard *guard
	name  string
	vital bool
}

// Write implements [vfs.File].
func (f *guarded) Write(b []byte) (int, error) {
	done := 0
	err := f.guard.do(f.vital, func() error {
		n, err := f.File.Write(b[done:])
		done += n
		return err
	})
	if err == nil {
		done = len(b) // as far as Pebble knows
	}
	return done, err
}

// WriteAt implements [vfs.File].
func (f *guarded) WriteAt(b []byte, at int64) (int, error) {
	done := 0
	err := f.guard.do(f.vital, func() error {
		n, err := f.File.WriteAt(b[done:], at+int64(done))
		done += n
		return err
	})
	if err == nil {
		done = len(b)
	}
	return done, err
}

// Sync implements [vfs.File]. It is not tried again on a file that is full: what it
// did not write may be gone.
func (f *guarded) Sync() error { return f.once(func() error { return f.File.Sync() }) }

// SyncData implements [vfs.File].
func (f *guarded) SyncData() error { return f.once(func() error { return f.File.SyncData() }) }

// SyncTo implements [vfs.File].
func (f *guarded) SyncTo(length int64) (full bool, err error) {
	err = f.once(func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f *guarded) once(op func() error) error {
	return f.guard.do(f.vital, func() error {
		err := op()
		if isFull(err) {
			err = fmt.Errorf("disk: sync of %s: %v", f.name, err) //nolint:errorlint // not to be taken for a write that may be tried again
		}
		return err
	})
}
