package broker_test

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/internal/tlsrecord"
)

// line is what a stream is sent over.
type line uint16

// bare is a connection on which nothing is sealed. The others are cipher suites.
const bare line = 0

// lines returns every kind.
func lines() []line {
	all := []line{bare}
	for _, suite := range tlsrecord.Suites() {
		all = append(all, line(suite))
	}
	return all
}

// onBothLines runs a test over bytes as they are and over sealed records.
func onBothLines(t *testing.T, test func(t *testing.T, l line)) {
	t.Run("bare", func(t *testing.T) { test(t, bare) })
	t.Run("sealed", func(t *testing.T) { test(t, line(tls.TLS_AES_128_GCM_SHA256)) })
}

// over adds what seals the line to a takeover, whose head is plain, and returns the
// client's end.
func (l line) over(t *broker.Takeover, client *net.TCPConn) net.Conn { return l.after(0, t, client) }

// after is over, with so many records sealed before.
func (l line) after(before uint64, t *broker.Takeover, client *net.TCPConn) net.Conn {
	if l == bare {
		return client
	}
	secret := make([]byte, 32)
	if l == line(tls.TLS_AES_256_GCM_SHA384) {
		secret = make([]byte, 48)
	}
	_, _ = rand.Read(secret)
	t.Sealer = must(tlsrecord.NewSealer(uint16(l), secret, before))
	if len(t.Head) > 0 {
		t.Head = must(t.Sealer.Seal(nil, tlsrecord.ApplicationData, t.Head))
	}
	return &unsealed{TCPConn: client, opener: must(tlsrecord.NewOpener(uint16(l), secret, before))}
}

// unsealed is the client's end of a line on which everything is sealed.
type unsealed struct {
	*net.TCPConn

	opener *tlsrecord.Opener
	raw    []byte // received, not opened yet
	plain  []byte // opened, not read yet
	ended  bool   // the server has said so
}

// Errors of lines that no server may cause.
var (
	errCutOff = errors.New("the connection ends in the middle of a record, or without a goodbye")
	errMore   = errors.New("a record after the goodbye")
)

// Read implements [io.Reader].
func (u *unsealed) Read(p []byte) (int, error) {
	for len(u.plain) == 0 {
		content, kind, rest, err := u.opener.Open(u.raw)
		switch {
		case err != nil:
			return 0, err
		case kind == tlsrecord.ApplicationData && !u.ended:
			u.plain, u.raw = content, rest
			continue
		case kind == tlsrecord.Alert && string(content) == "\x01\x00":
			u.ended, u.raw = true, rest
			continue
		case kind != 0:
			return 0, errMore
		}
		n, err := u.TCPConn.Read(p)
		u.raw = append(u.raw, p[:n]...)
		switch {
		case errors.Is(err, io.EOF) && (!u.ended || len(u.raw) > 0):
			return 0, errCutOff
		case err != nil:
			return 0, err
		}
	}
	n := copy(p, u.plain)
	u.plain = u.plain[n:]
	return n, nil
}
