package load

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	// perSource is how many streams share a source address: few enough that the ports of
	// one address never run out, also while old connections still linger.
	perSource = 4000
	// dialLimit bounds a connect and the write of its request.
	dialLimit = 5 // seconds
)

// dial connects to addr from the loopback address of source, writes request and makes the
// socket non-blocking.
func dial(addr netip.AddrPort, source int, request []byte) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("load: socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	limit := unix.Timeval{Sec: dialLimit}
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(source >> 8), byte(source) + 1}}
	for _, set := range []func() error{
		// The port is chosen at connect, by both addresses, not at bind.
		func() error { return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) },
		func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) },
		func() error { return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit) },
		func() error { return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit) },
		func() error { return unix.Bind(fd, from) },
		func() error {
			return connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
		},
	} {
		if err = set(); err != nil {
			return -1, fmt.Errorf("load: connect to %s: %w", addr, err)
		}
	}
	if err = writeWhole(fd, request); err != nil {
		return -1, fmt.Errorf("load: request to %s: %w", addr, err)
	}
	return fd, unix.SetNonblock(fd, true)
}

// dialSecure is dial over TLS, if the client is to speak that; over is nil otherwise. The
// session, which may be nil, is resumed if it can be, and remembered.
func (c *Client) dialSecure(source int, s *session, request []byte) (fd int, over *secured, err error) {
	if !c.config.Secure {
		fd, err = dial(c.config.Addr, source, request)
		return fd, nil, err
	}
	fd, err = dial(c.config.Addr, source, nil)
	if err != nil {
		return -1, nil, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err = unix.SetNonblock(fd, false); err != nil {
		return -1, nil, err
	}
	if over, err = shake(fd, s); err != nil {
		return -1, nil, err
	}
	if request, err = over.seal(request); err != nil {
		return -1, nil, err
	}
	if err = writeWhole(fd, request); err != nil {
		return -1, nil, fmt.Errorf("load: request to %s: %w", c.config.Addr, err)
	}
	return fd, over, unix.SetNonblock(fd, true)
}

// connect connects a blocking socket. A signal, of which the runtime sends some, interrupts
// the wait and not the connecting, whose end is then waited for in another way.
func connect(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	for errors.Is(err, unix.EINTR) {
		var n int
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, dialLimit*1000)
		if err == nil && n == 0 {
			return unix.ETIMEDOUT
		}
	}
	if err != nil {
		return err
	}
	failed, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && failed != 0 {
		err = unix.Errno(failed)
	}
	return err
}

// writeWhole writes what is known to fit into a socket's buffer.
func writeWhole(fd int, b []byte) error {
	n, err := unix.Write(fd, b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// again tells whether a call is to be made again when the socket is ready. It is asked
// after every read, of what the system call itself returned, which wraps nothing.
func again(err error) bool {
	return err == unix.EAGAIN || err == unix.EINTR //nolint:errorlint // see above
}

// poller is an epoll set whose sockets are known by a number.
type poller struct {
	fd     int
	events []unix.EpollEvent
}

// newPoller makes a set that tells of up to batch sockets at a time.
func newPoller(batch int) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll: %w", err)
	}
	return &poller{fd, make([]unix.EpollEvent, batch)}, nil
}

// add watches a socket for input.
func (p *poller) add(fd int, id int32) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, id, false)
}

// change watches a socket for input, and for room to write if writes is set.
func (p *poller) change(fd int, id int32, writes bool) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, id, writes)
}

func (p *poller) control(op, fd int, id int32, writes bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: id}
	if writes {
		event.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(p.fd, op, fd, &event); err != nil {
		return fmt.Errorf("load: epoll: %w", err)
	}
	return nil
}

// wait returns what is ready, waiting up to ms milliseconds for it.
func (p *poller) wait(ms int) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(p.fd, p.events, ms)
	if errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load: epoll: %w", err)
	}
	return p.events[:n], nil
}

// close closes the set, and no socket.
func (p *poller) close() { _ = unix.Close(p.fd) }
