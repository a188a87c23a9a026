//go:build linux || darwin

package wal

import (
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// mapFile maps the first bytes of a file into memory. It returns nil if that cannot be
// done: the file is not one of the system's, or its file system does not support it.
func mapFile(file vfs.File, bytes int) []byte {
	fd := file.Fd()
	if fd == vfs.InvalidFd {
		return nil
	}
	mapped, err := syscall.Mmap(int(fd), 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil
	}
	return mapped
}

func unmapFile(mapped []byte) {
	if mapped != nil {
		_ = syscall.Munmap(mapped)
	}
}
