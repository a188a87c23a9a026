//go:build race

package rawio

import (
	"errors"
	"syscall"
)

// The race detector learns from the calls of package syscall what happens before what: a
// process that talks to itself would be full of races otherwise.

func readNow(fd uintptr, p []byte) (int, syscall.Errno) { return result(syscall.Read(int(fd), p)) }

func writeNow(fd uintptr, p []byte) (int, syscall.Errno) { return result(syscall.Write(int(fd), p)) }

func result(n int, err error) (int, syscall.Errno) {
	var errno syscall.Errno
	errors.As(err, &errno)
	return n, errno
}
