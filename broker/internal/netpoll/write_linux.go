package netpoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writeNow is write(2) on a non-blocking descriptor. A raw system call skips the
// scheduler: telling it would double the cost of each write, and now and then the
// goroutine would lose its processor.
func writeNow(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // the one call that needs it
	return int(n), errno
}
