//go:build unix

package natstest

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between clients and a server, or between two servers, to cut them off
// from each other.
type Proxy struct {
	to       string // address
	listener net.Listener
	life     context.Context

	deaf atomic.Bool // what servers say is dropped

	mu    sync.Mutex
	cut   bool                  // guarded by mu
	conns map[net.Conn]struct{} // guarded by mu
	done  sync.WaitGroup
}

// NewProxy starts a proxy in front of a server. It ends with the test.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	return newProxy(t, s.Addr())
}

func newProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{to: to, listener: l, life: t.Context(), conns: make(map[net.Conn]struct{})}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.done.Wait()
	})
	return p
}

// URL returns where clients connect to.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Cut ends all connections and lets no new ones through, until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	p.cut = true
	p.mu.Unlock()
	p.Drop()
}

// Mend lets connections through again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// Deafen drops all that the server says from now on, while it still hears its clients,
// until Drop.
func (p *Proxy) Deafen() { p.deaf.Store(true) }

// Drop ends all connections; new ones come through.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.deaf.Store(false)
}

// accept ends when the listener is closed.
func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(p.life, "tcp", p.to)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			continue
		}
		p.done.Go(func() { p.pipe(answers{p, client}, client, server) }) // both end when either connection does
		p.done.Go(func() { p.pipe(server, server, client) })
	}
}

// keep notes the connections, unless clients are cut off.
func (p *Proxy) keep(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		_ = server.Close()
		return false
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	return true
}

// answers is where what the server says goes.
type answers struct {
	p  *Proxy
	to net.Conn
}

func (a answers) Write(b []byte) (int, error) {
	if a.p.deaf.Load() {
		return len(b), nil
	}
	return a.to.Write(b)
}

// pipe copies until either connection ends, through w, which writes to one of them.
func (p *Proxy) pipe(w io.Writer, to, from net.Conn) {
	_, _ = io.Copy(w, from)
	_ = to.Close()
	_ = from.Close()
	p.mu.Lock()
	delete(p.conns, from)
	p.mu.Unlock()
}
