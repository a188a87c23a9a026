package broker

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writeNow is write(2) on a descriptor that does not block. As a raw system call
// it keeps its processor: announced to the scheduler, each would cost as much
// again, and now and then the processor.
func writeNow(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // the one call that needs it
	return int(n), errno
}
