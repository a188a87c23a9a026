package faultfs

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// void stands in for a file that could not be created. It implements every method of
// [vfs.File]: a missing one would end the process.
type void struct{}

func (void) Close() error                      { return nil }
func (void) Read([]byte) (int, error)          { return 0, io.EOF }
func (void) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (void) Write(b []byte) (int, error)       { return len(b), nil }

func (void) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func (void) Preallocate(int64, int64) error { return nil }
func (void) Stat() (vfs.FileInfo, error)    { return nil, errFenced }
func (void) Sync() error                    { return nil }
func (void) SyncTo(int64) (bool, error)     { return false, nil }
func (void) SyncData() error                { return nil }
func (void) Prefetch(int64, int64) error    { return nil }
func (void) Fd() uintptr                    { return vfs.InvalidFd }
