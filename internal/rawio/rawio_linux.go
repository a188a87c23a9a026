package rawio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// maxCall is how many bytes one call reads or writes at most: while it copies them, its
// thread cannot be used for anything else.
const maxCall = 64 << 10

// Wrap returns a connection that reads from and writes to conn as the package says. What is
// not a TCP connection is returned as it is. conn must not be used any more, except to set
// deadlines and to close it.
func Wrap(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	c := &tcpConn{Conn: tcp, tcp: tcp, raw: raw}
	c.in.try, c.out.try = c.in.read, c.out.write
	return c
}

// tcpConn is a TCP connection.
type tcpConn struct {
	// Static after construction.
	net.Conn // tcp
	tcp      *net.TCPConn
	raw      syscall.RawConn

	in, out half
}

// half is one direction of a connection.
type half struct {
	try func(fd uintptr) bool // static after construction; the method, bound once

	mu    sync.Mutex    // held by whoever reads or writes, also while it waits
	p     []byte        // guarded by mu
	n     int           // guarded by mu; bytes of p that are done
	errno syscall.Errno // guarded by mu
}

// SyscallConn implements [syscall.Conn].
func (c *tcpConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// CloseWrite ends what is sent.
func (c *tcpConn) CloseWrite() error { return c.tcp.CloseWrite() }

// Read implements [net.Conn].
func (c *tcpConn) Read(p []byte) (int, error) {
	n, err := c.in.run(c.raw.Read, p)
	if err != nil {
		return 0, c.failure("read", err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [net.Conn].
func (c *tcpConn) Write(p []byte) (int, error) {
	n, err := c.out.run(c.raw.Write, p)
	if err != nil {
		return n, c.failure("write", err)
	}
	return n, nil
}

// run reads or writes p: wait calls try until that has succeeded, whenever the connection
// is ready for it.
func (h *half) run(wait func(func(uintptr) bool) error, p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.p, h.n, h.errno = p, 0, 0
	err := wait(h.try)
	h.p = nil
	if err == nil && h.errno != 0 {
		err = h.errno
	}
	return h.n, err
}

// read reads what there is. It reports false if that is nothing.
func (h *half) read(fd uintptr) bool {
	for {
		n, errno := readNow(fd, h.p[:min(len(h.p), maxCall)])
		switch errno {
		case 0:
			h.n = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		h.errno = errno
		return true
	}
}

// write writes as much as the connection accepts. It reports false if that is not all.
func (h *half) write(fd uintptr) bool {
	for h.n < len(h.p) {
		n, errno := writeNow(fd, h.p[h.n:min(len(h.p), h.n+maxCall)])
		switch errno {
		case 0:
			h.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			h.errno = errno
			return true
		}
	}
	return true
}

// failure returns err as the connection itself would.
func (c *tcpConn) failure(op string, err error) error {
	var errno syscall.Errno
	var waiting *net.OpError
	switch {
	case errors.As(err, &waiting): // of the wait
		err = waiting.Err
	case errors.As(err, &errno):
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
