package floor

import (
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls go past the runtime's bookkeeping (RawSyscall): there is one
// goroutine, so there is nothing that could run meanwhile.

// send writes to a socket and says how much it took; no signal comes of a
// connection that is gone.
func send(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// receive reads from a socket; 0 bytes without an error are the end of it.
func receive(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

// accept takes a connection from a listener, non-blocking.
func accept(listener int32) (int32, syscall.Errno) {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0,
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int32(fd), errno
}

func closeFD(fd int32) {
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// watch adds a descriptor to the epoll set, or changes what it is there for.
func watch(epoll int32, operation int, fd int32, events uint32) syscall.Errno {
	event := unix.EpollEvent{Events: events, Fd: fd}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(operation),
		uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return errno
}

// forever is a timeout that does not come.
const forever = time.Duration(-1)

// await fills events with what is ready and says how many there are. It waits at
// most for the timeout, to the nanosecond (epoll_pwait2, Linux 5.11).
func await(epoll int32, events []unix.EpollEvent, timeout time.Duration) (int, syscall.Errno) {
	if timeout > 0 {
		limit := unix.NsecToTimespec(int64(timeout))
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)),
			uintptr(unsafe.Pointer(&limit)), 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeout), 0, 0)
	return int(n), errno
}

// listen opens a non-blocking listener. What it accepts sends small writes at once
// (TCP_NODELAY is handed on).
func listen(addr string) (int32, error) {
	where, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(where.Port()), Addr: where.Addr().As4()}),
		unix.Listen(fd, unix.SOMAXCONN),
	} {
		if err != nil {
			closeFD(int32(fd))
			return 0, err
		}
	}
	return int32(fd), nil
}
