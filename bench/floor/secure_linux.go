package floor

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/internal/tlsrecord"
	"github.com/sluicehq/sluice/internal/tlstap"
)

// secured is what the floor keeps of a connection over TLS. crypto/tls does the handshake,
// and reads and answers requests. What a reader is sent after the head is sealed here, and
// crypto/tls is not needed any more.
type secured struct {
	conn   *tls.Conn // nil for a reader
	tap    *tlstap.Conn
	sealer *tlsrecord.Sealer // of a reader
	rest   []byte            // sealed, and not sent yet: of a reader whose socket is full
}

// shakeLimit bounds each step of a handshake. The floor does nothing else meanwhile.
const shakeLimit = 120 // seconds

// secure does the handshake of a new connection.
func (s *server) secure(fd int32) error {
	limit := unix.Timeval{Sec: shakeLimit}
	err := errors.Join(
		unix.SetNonblock(int(fd), false),
		unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
	)
	if err != nil {
		return err
	}
	tap := &tlstap.Conn{Conn: socket{fd: fd}}
	conn := tls.Server(tap, s.config)
	if err := conn.Handshake(); err != nil { //nolint:noctx // the socket has its own limit
		return err
	}
	s.secured[fd], s.untidy = &secured{conn: conn, tap: tap}, true
	return unix.SetNonblock(int(fd), true)
}

// over returns what there is of the connection over TLS, or nil without TLS.
func (s *server) over(fd int32) *secured {
	if s.secured == nil {
		return nil
	}
	return s.secured[fd]
}

// receive reads what a connection asks.
func (s *server) receive(fd int32, b []byte) (int, syscall.Errno) {
	over := s.over(fd)
	if over == nil {
		return receive(fd, b)
	}
	n, err := over.conn.Read(b)
	switch {
	case n > 0 || errors.Is(err, io.EOF):
		return n, 0
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, syscall.EAGAIN
	default:
		return 0, syscall.ECONNRESET
	}
}

// send answers a connection that asks.
func (s *server) send(fd int32, b []byte) (int, syscall.Errno) {
	over := s.over(fd)
	if over == nil {
		return send(fd, b)
	}
	n, err := over.conn.Write(b)
	if err != nil {
		return n, syscall.ECONNRESET
	}
	return n, 0
}

// detach sends b, the first of what a reader is sent, and takes the connection away from
// crypto/tls. It returns false if the connection is over.
func (s *server) detach(fd int32, over *secured, b []byte) bool {
	over.tap.Hold()
	if _, err := over.conn.Write(b); err != nil {
		return false
	}
	sealer, err := over.tap.Sealer(over.conn.ConnectionState().CipherSuite)
	if err != nil {
		return false
	}
	held, err := over.tap.Detach(over.conn)
	if err != nil {
		return false
	}
	*over = secured{sealer: sealer}
	return over.send(fd, held) != lost
}

// send sends what is sealed, and keeps what the socket does not take.
func (o *secured) send(fd int32, sealed []byte) progress {
	n, errno := send(fd, sealed)
	switch errno {
	case 0:
	case syscall.EAGAIN, syscall.EINTR:
		n = 0
	default:
		return lost
	}
	o.rest = nil
	if n < len(sealed) {
		o.rest = append([]byte(nil), sealed[n:]...)
		return full
	}
	return done
}

// seal sends p in records, after what the socket has not taken yet.
func (s *server) seal(fd int32, over *secured, p []byte) progress {
	s.sealed = append(s.sealed[:0], over.rest...)
	for len(p) > 0 {
		part := p[:min(len(p), tlsrecord.MaxPlaintext)]
		p = p[len(part):]
		var err error
		if s.sealed, err = over.sealer.Seal(s.sealed, tlsrecord.ApplicationData, part); err != nil {
			return lost // too many records
		}
	}
	return over.send(fd, s.sealed)
}

// socket is a descriptor for crypto/tls. A socket that has nothing to read or takes
// nothing is an error after which crypto/tls goes on.
type socket struct {
	net.Conn // nil: nothing else is called

	fd int32
}

// Read implements [net.Conn].
func (c socket) Read(p []byte) (int, error) {
	n, errno := receive(c.fd, p)
	switch {
	case errno == 0 && n == 0:
		return 0, io.EOF
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return 0, os.ErrDeadlineExceeded
	case errno != 0:
		return 0, errno
	}
	return n, nil
}

// Write implements [net.Conn].
func (c socket) Write(p []byte) (int, error) {
	n, errno := send(c.fd, p)
	switch {
	case errno != 0:
		return 0, errno
	case n < len(p):
		return n, io.ErrShortWrite
	}
	return n, nil
}

// SetWriteDeadline implements [net.Conn]. The socket has its own limit.
func (socket) SetWriteDeadline(time.Time) error { return nil }
