package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// secured is a connection over TLS 1.3. crypto/tls has done the handshake, and what comes
// afterwards is opened here: a tls.Conn for each reader would cost the client more than
// its reading.
type secured struct {
	opener  *tlsrecord.Opener
	sealer  *tlsrecord.Sealer
	raw     []byte // received, not opened yet
	resumed bool   // the handshake resumed a session
	// What crypto/tls has to be shown to remember the session: the records up to the
	// first one with data. Nil afterwards, and if the session is not remembered.
	tickets *tls.Conn
	records *recordConn // of tickets
}

// session is the TLS session of one reader.
type session struct{ state *tls.ClientSessionState }

// Get implements [tls.ClientSessionCache].
func (s *session) Get(string) (*tls.ClientSessionState, bool) { return s.state, s.state != nil }

// Put implements [tls.ClientSessionCache].
func (s *session) Put(_ string, state *tls.ClientSessionState) { s.state = state }

// errRefused is of a server that does not speak what the client needs.
var errRefused = errors.New("load: not TLS 1.3 with HTTP/1.1")

// shake does the handshake over a blocking socket. It trusts every certificate. It offers
// one group for the exchange of keys, which all servers know, so that all do the same work.
func shake(fd int, remembered *session) (*secured, error) {
	secrets, records := keyLog{}, &recordConn{fd: fd}
	config := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // over loopback, to a server of our own
		MinVersion:         tls.VersionTLS13, NextProtos: []string{"http/1.1"}, KeyLogWriter: secrets,
		ServerName: "bench", CurvePreferences: []tls.CurveID{tls.X25519},
	}
	if remembered != nil {
		config.ClientSessionCache = remembered
	}
	conn := tls.Client(records, config)
	if err := conn.Handshake(); err != nil { //nolint:noctx // the socket has its own limit
		return nil, fmt.Errorf("load: handshake: %w", err)
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		return nil, errRefused
	}
	opener, err := tlsrecord.NewOpener(state.CipherSuite, secrets["SERVER_TRAFFIC_SECRET_0"], 0)
	if err != nil {
		return nil, err
	}
	sealer, err := tlsrecord.NewSealer(state.CipherSuite, secrets["CLIENT_TRAFFIC_SECRET_0"], 0)
	if err != nil {
		return nil, err
	}
	s := &secured{opener: opener, sealer: sealer, resumed: state.DidResume}
	if remembered != nil {
		records.shown = true
		s.tickets, s.records = conn, records
	}
	return s, nil
}

// seal returns the records of p.
func (s *secured) seal(p []byte) (records []byte, err error) {
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), tlsrecord.MaxPlaintext)]
		p = p[len(part):]
		records, err = s.sealer.Seal(records, tlsrecord.ApplicationData, part)
	}
	return records, err
}

// open appends what is in the records that are complete with b to p. At the end of what
// the server sends it returns [io.EOF].
func (s *secured) open(p, b []byte) ([]byte, error) {
	s.raw = append(s.raw, b...)
	rest := s.raw
	for {
		content, kind, more, err := s.opener.Open(rest)
		switch {
		case err != nil:
			return p, err
		case kind == tlsrecord.ApplicationData:
			p, s.tickets, s.records = append(p, content...), nil, nil
		case kind == tlsrecord.Alert:
			return p, io.EOF
		case kind == tlsrecord.Handshake: // session tickets
			if s.tickets != nil {
				s.show(rest[:len(rest)-len(more)])
			}
		default:
			s.raw = append(s.raw[:0], rest...)
			if len(s.raw) == 0 {
				s.raw = nil // readers are many
			}
			return p, nil
		}
		rest = more
	}
}

// show shows crypto/tls a record with tickets. What it makes of that is seen when the
// session is to be resumed.
func (s *secured) show(record []byte) {
	s.records.left = append([]byte(nil), record...)
	_, _ = s.tickets.Read(make([]byte, 1))
}

// keyLog keeps the secrets that crypto/tls tells.
type keyLog map[string][]byte

// Write implements [io.Writer].
func (k keyLog) Write(line []byte) (int, error) {
	if f := strings.Fields(string(line)); len(f) == 3 {
		var secret []byte
		if _, err := fmt.Sscanf(f[2], "%x", &secret); err != nil {
			return 0, err
		}
		k[f[0]] = secret
	}
	return len(line), nil
}

// recordConn is a blocking socket that is read a record at a time, so that crypto/tls
// never reads beyond the last record of the handshake.
type recordConn struct {
	net.Conn // nil: nothing else is called

	fd    int
	left  []byte // of the record that is being read
	shown bool   // there are no records but those that are left here
}

// Read implements [net.Conn].
func (c *recordConn) Read(p []byte) (int, error) {
	if len(c.left) == 0 && c.shown {
		return 0, os.ErrDeadlineExceeded // after which crypto/tls would go on
	}
	if len(c.left) == 0 {
		header := make([]byte, tlsrecord.HeaderLen)
		if err := readWhole(c.fd, header); err != nil {
			return 0, err
		}
		n, _ := tlsrecord.Length(header)
		body := make([]byte, n-len(header))
		if err := readWhole(c.fd, body); err != nil {
			return 0, err
		}
		c.left = append(header, body...)
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// Write implements [net.Conn].
func (c *recordConn) Write(p []byte) (int, error) { return len(p), writeWhole(c.fd, p) }

// SetWriteDeadline implements [net.Conn]. The socket has its own limit.
func (*recordConn) SetWriteDeadline(time.Time) error { return nil }

// readWhole fills p from a blocking socket.
func readWhole(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Read(fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		default:
			p = p[n:]
		}
	}
	return nil
}
