package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// canPoll is whether this system has what writer loops need.
const canPoll = true

// readiness is what the system says of a socket: it takes bytes again, or it is
// gone.
type readiness struct {
	fd, life int32
	gone     bool
}

// poll is an epoll set. Go's own poller waits for it: a loop without work takes
// neither a thread nor time.
type poll struct {
	file *os.File // the epoll set
	set  syscall.RawConn
	fd   int

	events [256]unix.EpollEvent // owned by wait
	found  []readiness          // owned by wait

	breath *os.File // an eventfd, see yield
	air    syscall.RawConn
}

func newPoll() (*poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("broker: epoll: %w", err)
	}
	p := &poll{fd: fd}
	if p.file, p.set, err = pollable(fd, "epoll"); err != nil {
		return nil, err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("broker: eventfd: %w", err)
	}
	if p.breath, p.air, err = pollable(event, "eventfd"); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// pollable makes fd one that Go's poller waits for.
func pollable(fd int, name string) (*os.File, syscall.RawConn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, nil, fmt.Errorf("broker: %s: %w", name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("broker: %s: %w", name, err)
	}
	return file, raw, nil
}

// add watches a socket until it is closed: for room to write after it was full,
// and for the client's hanging up. A client that acknowledges nothing for the
// time-out is given up by the system, also when all that was sent fits into its
// buffer.
func (p *poll) add(fd, life int32, timeout time.Duration) error {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: fd, Pad: life}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &event)
}

// maxUnsent is how many bytes the system keeps of a stream that it has not sent:
// what is beyond them waits in the channel's log, as a position.
const maxUnsent = 128 << 10

// wait returns what has become of sockets since it was last called. The slice is
// good until the next call. It returns an error when the poll is closed.
func (p *poll) wait() ([]readiness, error) {
	p.found = p.found[:0]
	err := p.set.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), p.events[:], 0)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return true
			}
			for _, e := range p.events[:max(n, 0)] {
				p.found = append(p.found, readiness{fd: e.Fd, life: e.Pad, gone: e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0})
			}
			if n < len(p.events) {
				return len(p.found) > 0
			}
		}
	})
	return p.found, err
}

// yield lets every other goroutine run that has something to do, and those as
// well that wait for a socket of theirs: Go looks for these only when nothing
// else can run, which a busy loop would never let happen on one core. So the loop
// waits for a descriptor, too, that is ready already.
func (p *poll) yield() {
	ready := false
	_ = p.air.Read(func(fd uintptr) bool {
		if !ready {
			ready = true
			_, _ = unix.Write(int(fd), []byte{1, 0, 0, 0, 0, 0, 0, 0})
			return false
		}
		return true
	})
}

func (p *poll) close() {
	_ = p.file.Close()
	_ = p.breath.Close()
}

// duplicate returns a descriptor of conn's socket that Go does not know of.
func duplicate(conn net.Conn) (int, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("broker: %T has no descriptor", conn)
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

// send writes what the socket takes of p at once. It does not wait, so Go's
// scheduler need not hear of it.
func send(fd int32, p []byte) (int, error) {
	for sent := 0; ; {
		n, err := writeNow(int(fd), p[sent:])
		switch {
		case err == unix.EAGAIN:
			return sent, nil
		case err == unix.EINTR:
			continue
		case err == unix.ETIMEDOUT: // see add
			return sent, os.ErrDeadlineExceeded
		case err != 0:
			return sent, err
		}
		if sent += n; sent == len(p) {
			return sent, nil
		}
	}
}

// shutdown sends the end of the connection after all that was written.
func shutdown(fd int32) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }

// hangUp returns why a socket is gone.
func hangUp(fd int32) error {
	code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && unix.Errno(code) == unix.ETIMEDOUT {
		return os.ErrDeadlineExceeded
	}
	return errHungUp
}

// closeSocket closes a descriptor. With abort, the system forgets what it still
// had to send, instead of trying on for minutes.
func closeSocket(fd int, abort bool) {
	if abort {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(fd)
}
