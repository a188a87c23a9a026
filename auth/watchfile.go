package auth

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

// fileCheckInterval is the minimum time between two looks at a file, unless it has another one.
const fileCheckInterval = 5 * time.Second

// watchedFile reads a file again after a change. It has no goroutine: now and then one of the
// callers of poll looks at the file, while the others continue with the old content.
type watchedFile struct {
	// Static after construction.
	path    string
	logger  *slog.Logger
	every   time.Duration // minimum time between two looks; 0: fileCheckInterval
	settles bool          // a change counts once two looks have found the same file

	next atomic.Int64 // Unix nanoseconds: not to be looked at before
	busy atomic.Bool

	// Owned by whoever has set busy.
	seen  os.FileInfo // of the last successful read
	last  os.FileInfo // of the last look at a changed file, if it settles
	fault string      // what was last logged
}

// poll calls load with the content if the file has changed. If reading or load fails, it logs
// this once and tries again later.
func (w *watchedFile) poll(now time.Time, load func([]byte) error) {
	if now.UnixNano() < w.next.Load() || !w.busy.CompareAndSwap(false, true) {
		return
	}
	defer w.busy.Store(false)
	w.next.Store(now.Add(cmp.Or(w.every, fileCheckInterval)).UnixNano())
	err := w.read(load)
	switch {
	case err == nil:
		w.fault = ""
	case err.Error() != w.fault:
		w.fault = err.Error()
		w.logger.Error("changed key file refused, the last good one stays in use", logPath, w.path, logError, err)
	}
}

// read loads the file unless it is the one that was last read successfully.
func (w *watchedFile) read(load func([]byte) error) error {
	// Look at the file before reading it: a change in between is noticed the next time.
	info, err := os.Stat(w.path)
	if err != nil {
		return err
	}
	if sameVersion(info, w.seen) {
		return nil
	}
	if w.settles && w.seen != nil && !sameVersion(info, w.last) {
		w.last = info // somebody may still be writing it
		return nil
	}
	data, err := readFile(w.path)
	if err != nil {
		return err
	}
	if err := load(data); err != nil {
		return err
	}
	w.seen = info
	return nil
}

// sameVersion reports whether a file is the same as at an earlier look, nil for none.
func sameVersion(info, earlier os.FileInfo) bool {
	return earlier != nil && os.SameFile(info, earlier) && info.ModTime().Equal(earlier.ModTime()) && info.Size() == earlier.Size()
}

// readFile reads a whole file of at most [maxFileBytes], without the byte order mark
// that some editors put before it (RFC 8259, section 8.1).
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFileBytes)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}
