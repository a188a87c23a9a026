// Package watchedfile reads a configuration file again after a change. What cannot be read
// or is refused changes nothing: the last good content stays in use.
package watchedfile

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const (
	// MaxBytes limits the size of a file.
	MaxBytes = 1 << 20
	// CheckInterval is the minimum time between two looks at a file, unless it has another
	// one.
	CheckInterval = 5 * time.Second
)

// File is a file that is read again after a change. It has no goroutine: now and then one of
// the callers of Poll looks at the file, while the others continue with the old content.
type File struct {
	// Static after construction.
	Path    string
	Log     *slog.Logger
	Every   time.Duration // minimum time between two looks; default 5 s
	Settles bool          // a change counts once two looks have found the same file

	fault atomic.Value // a string: why the file that is there now is refused

	next atomic.Int64 // Unix nanoseconds: not to be looked at before
	busy atomic.Bool

	// Owned by whoever has set busy.
	seen os.FileInfo // of the last successful read
	last os.FileInfo // of the last look at a changed file, if it settles
}

// Poll calls load with the content if the file has changed. If reading or load fails, it logs
// this once and tries again later.
func (f *File) Poll(now time.Time, load func([]byte) error) {
	if now.UnixNano() < f.next.Load() || !f.busy.CompareAndSwap(false, true) {
		return
	}
	defer f.busy.Store(false)
	f.next.Store(now.Add(cmp.Or(f.Every, CheckInterval)).UnixNano())
	err := f.Read(load)
	switch {
	case err == nil:
		f.fault.Store("")
	case err.Error() != f.Fault():
		f.fault.Store(err.Error())
		f.Log.Error("changed file refused, the last good one stays in use", slog.String("path", f.Path), slog.Any("error", err))
	}
}

// Fault returns why the file that is there now is not in use, "" if it is.
func (f *File) Fault() string {
	text, _ := f.fault.Load().(string)
	return text
}

// Read loads the file unless it is the one that was last read successfully.
func (f *File) Read(load func([]byte) error) error {
	// Look at the file before reading it: a change in between is noticed the next time.
	info, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	if sameVersion(info, f.seen) {
		return nil
	}
	if f.Settles && f.seen != nil && !sameVersion(info, f.last) {
		f.last = info // somebody may still be writing it
		return nil
	}
	data, err := ReadAll(f.Path)
	if err != nil {
		return err
	}
	if err := load(data); err != nil {
		return err
	}
	f.seen = info
	return nil
}

// sameVersion reports whether a file is the same as at an earlier look, nil for none.
func sameVersion(info, earlier os.FileInfo) bool {
	return earlier != nil && os.SameFile(info, earlier) && info.ModTime().Equal(earlier.ModTime()) && info.Size() == earlier.Size()
}

// ReadAll reads a whole file of at most [MaxBytes], without the byte order mark that some
// editors put before it (RFC 8259, section 8.1).
func ReadAll(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", path, MaxBytes)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}
