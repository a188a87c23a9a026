package tlstap_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/tlsrecord"
	"github.com/sluicehq/sluice/internal/tlstap"
)

// patience limits how long a test waits.
const patience = 2 * time.Minute

// certificate returns a self-signed certificate, which is its own authority.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"s"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// rig has both ends of a connection.
type rig struct {
	server, client *tls.Conn
	tap            *tlstap.Conn
	raw            net.Conn // the client's, below TLS
	secret         []byte   // of what the client sends
}

// Write implements [io.Writer] for a key log.
func (r *rig) Write(line []byte) (int, error) {
	if f := strings.Fields(string(line)); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
		r.secret, _ = hex.DecodeString(f[2])
	}
	return len(line), nil
}

// setup has what a test may change about both ends.
type setup struct {
	server, client *tls.Config
	between        func(net.Conn) net.Conn // stands between the tap and the socket; may be nil
}

func newSetup(t testing.TB) *setup {
	cert, pool := certificate(t)
	return &setup{
		server: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, ClientCAs: pool},
		client: &tls.Config{RootCAs: pool, ServerName: "s", NextProtos: []string{"http/1.1"}},
	}
}

// connect makes a connection, with the handshake done, that ends with the test.
func connect(t testing.TB, config *tls.Config, s *setup) *rig {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tlstap.Listener(inner)
	defer l.Close()
	r := &rig{}
	if r.raw, err = net.Dial("tcp", inner.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.raw.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r.tap = tlstap.Of(conn)
	if s.between != nil {
		r.tap.Conn = s.between(r.tap.Conn)
	}
	client := s.client.Clone()
	client.KeyLogWriter = r
	r.server, r.client = tls.Server(conn, config), tls.Client(r.raw, client)
	for _, c := range []net.Conn{r.server, r.client} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	shaken := make(chan error, 1)
	go func() { shaken <- r.server.Handshake() }() // ends with the connection
	if err := errors.Join(r.client.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	if tlstap.Of(r.server) != r.tap {
		t.Fatal("the tap is not found below TLS")
	}
	return r
}

// ask sends a request and reads it.
func (r *rig) ask(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(r.client, text); err != nil {
		t.Fatal(err)
	}
	r.read(t, r.server, text)
}

// answer sends an answer and reads it.
func (r *rig) answer(t testing.TB, text string) {
	t.Helper()
	wrote := make(chan error, 1)
	go func() { _, err := io.WriteString(r.server, text); wrote <- err }() // ends with the connection
	r.read(t, r.client, text)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

func (r *rig) read(t testing.TB, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("got %.100q, %v, want %.100q", got, err, want)
	}
}

const head = "HTTP/1.1 200 OK\r\n\r\n"

// hold makes the server write a head that is held, and asks for its sealer.
func (r *rig) hold(t testing.TB) (*tlsrecord.Sealer, error) {
	t.Helper()
	r.tap.Hold()
	if _, err := io.WriteString(r.server, head); err != nil {
		t.Fatal(err)
	}
	return r.tap.Sealer(r.server.ConnectionState().CipherSuite)
}

// takeOver takes the connection over, sends some more and the end.
func (r *rig) takeOver(t testing.TB) {
	t.Helper()
	s, err := r.hold(t)
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.tap.Detach(r.server)
	if err != nil {
		t.Fatal(err)
	}
	want := head
	for i := range 5 {
		more := strings.Repeat(fmt.Sprint(i), 1+i*4000)
		if out, err = s.Seal(out, tlsrecord.ApplicationData, []byte(more)); err != nil {
			t.Fatal(err)
		}
		want += more
	}
	if out, err = s.CloseNotify(out); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tap.NetConn().Write(out); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r.client)
	if err != nil || string(got) != want {
		t.Errorf("the client reads %d bytes, want %d, and %v", len(got), len(want), err)
	}
	if r.tap.Ready() {
		t.Error("it can be taken over again")
	}
}

// TestConn_Detach: whatever came before, the client reads what is sealed after what
// crypto/tls has written.
func TestConn_Detach(t *testing.T) {
	for name, change := range map[string]func(*setup){
		"as it comes": func(*setup) {},
		"no tickets":  func(s *setup) { s.server.SessionTicketsDisabled = true },
		"another key exchange than the client hoped for": func(s *setup) {
			s.server.CurvePreferences = []tls.CurveID{tls.CurveP384}
		},
		"a certificate of the client": func(s *setup) {
			s.server.ClientAuth = tls.RequireAndVerifyClientCert
			s.client.Certificates = s.server.Certificates
			s.server.ClientCAs = s.client.RootCAs
		},
		"no protocol named": func(s *setup) { s.client.NextProtos = nil },
		"HTTP/2 not offered": func(s *setup) {
			s.server.NextProtos, s.client.NextProtos = []string{"http/1.1"}, []string{"h2", "http/1.1"}
		},
		"small writes": func(s *setup) { s.between = func(c net.Conn) net.Conn { return &nibbler{Conn: c} } },
	} {
		for _, earlier := range []int{0, 1, 20} {
			t.Run(fmt.Sprintf("%s, %d requests before", name, earlier), func(t *testing.T) {
				t.Parallel()
				s := newSetup(t)
				change(s)
				r := connect(t, tlstap.Config(s.server), s)
				for i := range earlier {
					r.ask(t, "GET / HTTP/1.1\r\n\r\n")
					r.answer(t, strings.Repeat("x", 1+i*i*200)) // of many records, too
				}
				r.ask(t, "GET /stream HTTP/1.1\r\n\r\n")
				r.takeOver(t)
			})
		}
	}
}

// nibbler writes a little at a time, as one call.
type nibbler struct{ net.Conn }

func (n *nibbler) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := n.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestConn_Detach_resumed: tickets are made and taken as without a tap.
func TestConn_Detach_resumed(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	config := tlstap.Config(s.server)
	for i := range 4 {
		r := connect(t, config, s)
		if got := r.client.ConnectionState().DidResume; got != (i > 0) {
			t.Fatalf("connection %d is resumed: %t", i, got)
		}
		r.ask(t, "GET / HTTP/1.1\r\n\r\n")
		r.answer(t, "answer") // with which the client reads its ticket
		r.ask(t, "GET /stream HTTP/1.1\r\n\r\n")
		r.takeOver(t)
	}
}

// TestConfig_tickets: a session that began over HTTP/2 or TLS 1.2, without a tap, goes on
// with one, and the other way round.
func TestConfig_tickets(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	config := tlstap.Config(s.server)
	for i, protos := range [][]string{{"h2", "http/1.1"}, {"http/1.1"}, {"h2"}, nil} {
		s.client.NextProtos = protos
		r := connect(t, config, s)
		if got := r.client.ConnectionState().DidResume; got != (i > 0) {
			t.Errorf("with %v it is resumed: %t", protos, got)
		}
		if got, want := r.tap.Ready(), i%2 == 1; got != want {
			t.Errorf("with %v it can be taken over: %t", protos, got)
		}
		r.ask(t, "x")
		r.answer(t, "y")
	}
}

// TestConn_Ready_not has connections that cannot be taken over.
func TestConn_Ready_not(t *testing.T) {
	for name, change := range map[string]func(*setup){
		"TLS 1.2 of the client": func(s *setup) { s.client.MaxVersion = tls.VersionTLS12 },
		"TLS 1.2 of the server": func(s *setup) { s.server.MaxVersion = tls.VersionTLS12 },
		"HTTP/2":                func(s *setup) { s.client.NextProtos = []string{"http/1.1", "h2"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			change(s)
			r := connect(t, tlstap.Config(s.server), s)
			if r.tap.Ready() {
				t.Error("it can be taken over")
			}
			r.ask(t, "GET / HTTP/1.1\r\n\r\n")
			if _, err := r.hold(t); !errors.Is(err, tlstap.ErrNotReady) {
				t.Errorf("its sealer: %v", err)
			}
			if err := r.tap.Release(); err != nil {
				t.Fatal(err)
			}
			r.read(t, r.client, head)
			r.answer(t, "the rest")
		})
	}
}

// sealed returns what seals what the client sends after so many records, in its place.
func (r *rig) sealed(t *testing.T, before uint64) *tlsrecord.Sealer {
	t.Helper()
	s, err := tlsrecord.NewSealer(r.client.ConnectionState().CipherSuite, r.secret, before)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keyUpdate is a message that asks the other side for new keys (RFC 8446, section 4.6.3).
func keyUpdate() []byte { return []byte{24, 0, 0, 1, 1} }

// TestConn_Sealer_keyUpdate: once crypto/tls has changed its keys, the connection stays
// with it, and the client never notices.
func TestConn_Sealer_keyUpdate(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	r := connect(t, tlstap.Config(s.server), s)
	r.ask(t, "GET / HTTP/1.1\r\n\r\n")
	update, err := r.sealed(t, 1).Seal(nil, tlsrecord.Handshake, keyUpdate())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.raw.Write(update); err != nil {
		t.Fatal(err)
	}
	if err := r.server.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) { // it reads the message
		t.Fatal(err)
	}
	if !r.tap.Ready() {
		t.Fatal("this shows nothing")
	}
	if _, err := r.hold(t); !errors.Is(err, tlstap.ErrKeys) {
		t.Fatalf("its sealer: %v", err)
	}
	if err := r.tap.Release(); err != nil {
		t.Fatal(err)
	}
	r.read(t, r.client, head) // crypto/tls at the client follows the server's update
	r.answer(t, "the rest")
}

// TestConn_Detach_not: what the client sent before the connection is taken over is looked
// at, although nobody has read it.
func TestConn_Detach_not(t *testing.T) {
	for _, tt := range []struct {
		name string
		sent func(t *testing.T, s *tlsrecord.Sealer) []byte
		want error
	}{
		{"a farewell", func(_ *testing.T, s *tlsrecord.Sealer) []byte { b, _ := s.CloseNotify(nil); return b }, io.EOF},
		{"a key update", func(_ *testing.T, s *tlsrecord.Sealer) []byte {
			b, _ := s.Seal(nil, tlsrecord.Handshake, keyUpdate())
			return b
		}, tlstap.ErrInterrupted},
		{"no record", func(*testing.T, *tlsrecord.Sealer) []byte { return bytes.Repeat([]byte("x"), 100) }, nil},
		{"a record that is not the client's", func(*testing.T, *tlsrecord.Sealer) []byte {
			return append([]byte{23, 3, 3, 0, 50}, make([]byte, 50)...)
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			r := connect(t, tlstap.Config(s.server), s)
			// In one write with the request, so that crypto/tls has read it.
			c := r.sealed(t, 0)
			request, err := c.Seal(nil, tlsrecord.ApplicationData, []byte("request"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.raw.Write(append(request, tt.sent(t, c)...)); err != nil {
				t.Fatal(err)
			}
			r.read(t, r.server, "request")
			if _, err := r.hold(t); err != nil {
				t.Fatal(err)
			}
			if _, err := r.tap.Detach(r.server); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("it is detached: %v", err)
			}
			if err := r.tap.Release(); err != nil {
				t.Fatal(err)
			}
			r.server.Close()
			got, err := io.ReadAll(r.client)
			if string(got) != head {
				t.Errorf("the client reads %q, %v", got, err)
			}
		})
	}
}

// TestConn_Detach_more: what the client sent too early is dropped.
func TestConn_Detach_more(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	r := connect(t, tlstap.Config(s.server), s)
	c := r.sealed(t, 0)
	request, _ := c.Seal(nil, tlsrecord.ApplicationData, []byte("request"))
	next, _ := c.Seal(nil, tlsrecord.ApplicationData, []byte("the next one"))
	if _, err := r.raw.Write(append(request, next...)); err != nil {
		t.Fatal(err)
	}
	r.read(t, r.server, "request")
	r.takeOver(t)
}

// TestConn_Write_failed: a connection with a record that was cut off is not taken over.
func TestConn_Write_failed(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	var f *failing
	s.between = func(c net.Conn) net.Conn { f = &failing{Conn: c}; return f }
	r := connect(t, tlstap.Config(s.server), s)
	if !r.tap.Ready() {
		t.Fatal("it is not ready")
	}
	f.broken = true
	if _, err := io.WriteString(r.server, "answer"); err == nil {
		t.Fatal("the write has not failed")
	}
	if r.tap.Ready() {
		t.Error("it can be taken over")
	}
}

type failing struct {
	net.Conn
	broken bool
}

func (f *failing) Write(p []byte) (int, error) {
	if f.broken {
		n, _ := f.Conn.Write(p[:len(p)/2])
		return n, io.ErrShortWrite
	}
	return f.Conn.Write(p)
}

// TestConn_Close: a connection that is closed keeps no secret.
func TestConn_Close(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	r := connect(t, tlstap.Config(s.server), s)
	r.server.Close()
	if r.tap.Ready() {
		t.Error("it can be taken over")
	}
}

// TestConn_Release_order: what is written while the held bytes are sent comes after them.
func TestConn_Release_order(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	r := connect(t, tlstap.Config(s.server), s)
	var want strings.Builder
	var writing sync.WaitGroup
	r.tap.Hold()
	for i := range 200 {
		text := fmt.Sprintf("%d,", i)
		want.WriteString(text)
		if i == 100 {
			writing.Go(func() {
				if err := r.tap.Release(); err != nil {
					t.Error(err)
				}
			})
		}
		if _, err := io.WriteString(r.server, text); err != nil {
			t.Fatal(err)
		}
	}
	writing.Wait()
	r.read(t, r.client, want.String())
}

// BenchmarkConfig compares a handshake with a tap to one without.
func BenchmarkConfig(b *testing.B) {
	s := newSetup(b)
	for _, tt := range []struct {
		name   string
		config *tls.Config
	}{{"tapped", tlstap.Config(s.server)}, {"plain", s.server}} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				r := connect(b, tt.config, s)
				r.raw.Close()
				r.tap.Close()
			}
		})
	}
}
