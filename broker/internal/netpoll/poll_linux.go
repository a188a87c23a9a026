package netpoll

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Supported reports whether this system has what the package needs.
const Supported = true

// Poll is an epoll set. Go's own poller waits for it, so a loop without work takes
// neither a thread nor time. [Poll.Wait] is for one goroutine, and so is
// [Poll.Yield]; everything else is safe for concurrent use.
type Poll struct {
	file *os.File // the epoll set
	set  syscall.RawConn
	fd   int

	events [256]unix.EpollEvent // owned by Wait
	found  []Event              // owned by Wait

	*Yielder
}

// New returns an empty set. The caller must close it.
func New() (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("netpoll: epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // then Go's poller waits for it
		_ = unix.Close(fd)
		return nil, fmt.Errorf("netpoll: epoll: %w", err)
	}
	p := &Poll{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.set, err = p.file.SyscallConn(); err == nil {
		p.Yielder, err = NewYielder()
	}
	if err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("netpoll: epoll: %w", err)
	}
	return p, nil
}

// Add watches a socket until it is closed: for room to write after it was full, for
// the client hanging up and, with input, for bytes from the client, of which more are
// reported as they come. Its events carry the generation, which tells it from
// an earlier socket with the same descriptor. The system gives up a client that
// acknowledges nothing for the timeout, even if everything sent fits its buffer.
func (p *Poll) Add(fd, generation int32, timeout time.Duration, input bool) error {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: fd, Pad: generation}
	if input {
		event.Events |= unix.EPOLLIN
	}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &event)
}

// maxUnsent is how many unsent bytes the system buffers for one socket. Whatever
// exceeds it waits with the caller.
const maxUnsent = 128 << 10

// Wait blocks until something happens to a watched socket. The slice is valid until
// the next call. It returns an error once the poll is closed.
func (p *Poll) Wait() ([]Event, error) {
	p.found = p.found[:0]
	err := p.set.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), p.events[:], 0)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return true
			}
			for _, e := range p.events[:max(n, 0)] {
				p.found = append(p.found, Event{
					FD: e.Fd, Generation: e.Pad, Input: e.Events&unix.EPOLLIN != 0,
					Gone: e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
				})
			}
			if n < len(p.events) {
				return len(p.found) > 0
			}
		}
	})
	return p.found, err
}

// Close makes Wait return an error. It closes no socket.
func (p *Poll) Close() {
	_ = p.file.Close()
	p.Yielder.Close()
}
