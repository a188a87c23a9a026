package netpoll

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Duplicate returns a new descriptor for the socket of conn, which Go's runtime does
// not manage. The caller closes it with [Close].
func Duplicate(conn net.Conn) (int, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("netpoll: %T has no descriptor", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	var failed error
	if err := raw.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return 0, err
	}
	return fd, failed
}

// Lowest gives a socket the lowest number that is free, if that is lower than fd,
// and returns its number. It is not watched yet.
func Lowest(fd int) int {
	lower, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	switch {
	case err != nil:
		return fd
	case lower > fd:
		_ = unix.Close(lower)
		return fd
	}
	_ = unix.Close(fd)
	return lower
}

// Write writes as much of p as the socket takes at once and never waits. It returns
// [os.ErrDeadlineExceeded] when the system has given the client up, see [Poll.Add].
func Write(fd int32, p []byte) (int, error) {
	for sent := 0; ; {
		n, err := writeNow(int(fd), p[sent:])
		switch {
		case err == unix.EAGAIN:
			return sent, nil
		case err == unix.EINTR:
			continue
		case err == unix.ETIMEDOUT: // see Add
			return sent, os.ErrDeadlineExceeded
		case err != 0:
			return sent, err
		}
		if sent += n; sent == len(p) {
			return sent, nil
		}
	}
}

// Peek copies what the client has sent and nobody has read to p, as much as there is now,
// and returns how much that is. It stays where it is.
func Peek(fd int32, p []byte) int {
	n, _, err := unix.Recvfrom(int(fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return 0
	}
	return n
}

// Shutdown sends the end of the connection after everything written before.
func Shutdown(fd int32) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }

// HangUpCause returns why a socket is gone: [ErrHungUp], or [os.ErrDeadlineExceeded]
// when the system has given the client up.
func HangUpCause(fd int32) error {
	code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && unix.Errno(code) == unix.ETIMEDOUT {
		return os.ErrDeadlineExceeded
	}
	return ErrHungUp
}

// Close closes a descriptor. With abort, the system discards what it still had to
// send instead of retrying for minutes.
func Close(fd int, abort bool) {
	if abort {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(fd)
}
