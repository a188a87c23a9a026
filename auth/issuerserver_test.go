package auth_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/auth"
)

// pipes is a listener whose connections stay in memory, so that a real HTTP
// server and client can live by the clock of a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// issuerServer publishes a key set; what it answers can be changed.
type issuerServer struct {
	requests atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc]
	client   *http.Client
}

func (s *issuerServer) set(h http.HandlerFunc) { s.answer.Store(&h) }

func (s *issuerServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	(*s.answer.Load())(w, r)
}

func newIssuerServer(t *testing.T, h http.HandlerFunc) *issuerServer {
	t.Helper()
	s := &issuerServer{}
	s.set(h)
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s}
	go server.Serve(listener) // ends with the cleanup
	t.Cleanup(func() { _ = server.Close() })
	s.client = &http.Client{Transport: &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}}
	return s
}

// trusting has this server for a foreign issuer.
func (s *issuerServer) trusting(t *testing.T) *auth.Authority {
	t.Helper()
	issuer := auth.Issuer{Issuer: foreignName, Audience: "app", Algorithms: []auth.Algorithm{auth.EdDSA}, JWKSURL: "http://localhost/jwks.json"}
	return newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}, HTTPClient: s.client})
}

func publishing(t *testing.T, keys ...key) http.HandlerFunc {
	t.Helper()
	var jwks []object
	for _, k := range keys {
		jwks = append(jwks, k.published(t))
	}
	document := marshal(t, keySetOf(jwks...))
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) }
}

func (s *issuerServer) mustHaveSeen(t *testing.T, want int64) {
	t.Helper()
	if got := s.requests.Load(); got != want {
		t.Fatalf("%d requests, want %d", got, want)
	}
}

func foreignToken(t *testing.T, k key) string {
	t.Helper()
	return k.token(t, k.header(t), foreignClaims())
}
