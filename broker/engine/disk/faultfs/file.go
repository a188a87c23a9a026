package faultfs

import (
	"fmt"
	"math"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// compaction is Pebble's category for the writes that merge tables.
const compaction = "pebble-compaction"

// errNoSpace ends a compaction that would use space that a flush may need.
var errNoSpace = fmt.Errorf("disk: no space to merge tables: %w", syscall.ENOSPC)

// checkEvery is how much a compaction writes between two checks of the free space.
const checkEvery = 1 << 20

// file is a file that Pebble writes to.
type file struct {
	vfs.File
	fs    *FS
	name  string
	vital bool

	yields    bool // a compaction writes it: flushes have precedence
	unchecked int  // bytes written since the free space was last checked
}

// Write implements [vfs.File].
func (f *file) Write(b []byte) (int, error) {
	if err := f.checkSpace(len(b)); err != nil {
		return 0, err
	}
	done := 0
	err := f.fs.do(f.vital, func() error {
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
func (f *file) WriteAt(b []byte, at int64) (int, error) {
	done := 0
	err := f.fs.do(f.vital, func() error {
		n, err := f.File.WriteAt(b[done:], at+int64(done))
		done += n
		return err
	})
	if err == nil {
		done = len(b)
	}
	return done, err
}

// Sync implements [vfs.File]. A sync that fails because the disk is full is not tried again:
// the system may have dropped what it could not write.
func (f *file) Sync() error { return f.once(func() error { return f.File.Sync() }) }

// SyncData implements [vfs.File].
func (f *file) SyncData() error { return f.once(func() error { return f.File.SyncData() }) }

// SyncTo implements [vfs.File].
func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.once(func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f *file) once(op func() error) error {
	return f.fs.do(f.vital, func() error {
		err := op()
		if IsFull(err) {
			err = fmt.Errorf("disk: sync of %s: %v", f.name, err) //nolint:errorlint // must not pass for a write that may be tried again
		}
		return err
	})
}

// checkSpace fails a compaction that would use space that flushes need.
func (f *file) checkSpace(size int) error {
	if f.unchecked += size; !f.yields || f.unchecked < checkEvery {
		return nil
	}
	f.unchecked = 0
	floor := f.fs.floor.Load()
	usage, err := f.fs.GetDiskUsage(f.fs.PathDir(f.name))
	if err == nil && int64(min(usage.AvailBytes, math.MaxInt64)) < floor+checkEvery {
		return f.giveUp()
	}
	return nil // also if the file system cannot tell
}

// giveUp returns the error that ends a compaction, after a pause: Pebble starts the
// compaction again at once.
func (f *file) giveUp() error {
	f.fs.denied.Store(true)
	for range triesWhenFull {
		if f.fs.fenced.Load() {
			break
		}
		time.Sleep(pauseOnError)
	}
	return errNoSpace
}
