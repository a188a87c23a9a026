package e2e_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// cutter is a TCP proxy that breaks connections when a test says so. It stands
// for everything between a reader and a server that does.
type cutter struct {
	url  string
	dial func(context.Context) (net.Conn, error)
	seen *output // what went to the readers

	mu     sync.Mutex
	conns  map[*net.TCPConn]struct{} // guarded by mu; those of the readers
	whole  chan struct{}             // guarded by mu; closed while connections are let through
	trap   []byte                    // guarded by mu; cut when this was passed on
	sprung chan struct{}             // guarded by mu; closed by the cut that trap asks for
}

// newCutter starts a proxy in front of an address. It ends with the test.
func newCutter(t testing.TB, network, address string) *cutter {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{
		url:   "http://" + listener.Addr().String(),
		dial:  func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) },
		seen:  newOutput(),
		conns: make(map[*net.TCPConn]struct{}),
		whole: make(chan struct{}),
	}
	c.mend()
	var serving sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	serving.Go(func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { c.serve(ctx, conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		cancel()
		listener.Close()
		c.cut()
		serving.Wait()
	})
	return c
}

// serve passes one connection on. A connection that comes while the line is cut
// is kept waiting.
func (c *cutter) serve(ctx context.Context, reader *net.TCPConn) {
	defer reader.Close()
	c.mu.Lock()
	whole := c.whole
	c.mu.Unlock()
	select {
	case <-whole:
	case <-ctx.Done():
		return
	}
	server, err := c.dial(ctx)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.conns[reader] = struct{}{}
	c.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() { // ends with the reader's connection
		io.Copy(server, reader)
		server.Close()
	})
	c.copy(reader, server)
	reader.Close()
	server.Close()
	up.Wait()
	c.mu.Lock()
	delete(c.conns, reader)
	c.mu.Unlock()
}

// copy passes on what the server sends, up to the trap if that is set.
func (c *cutter) copy(reader *net.TCPConn, server net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if end := c.trapped(buf[:n]); end > 0 {
			reader.Write(buf[:end])
			c.spring()
			return
		}
		c.seen.Write(buf[:n])
		if _, failed := reader.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}

// trapped returns how much of p goes through before the cut; 0 for no cut.
func (c *cutter) trapped(p []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := bytes.Index(p, c.trap)
	if c.trap == nil || i < 0 {
		return 0
	}
	end := i + len(c.trap)
	c.trap = nil
	return end
}

// spring cuts and says so.
func (c *cutter) spring() {
	c.cut()
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.sprung)
}

// cut resets every connection; new ones have to wait until mend.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = make(chan struct{})
	for conn := range c.conns {
		conn.SetLinger(0) // a reset, not an orderly end
		conn.Close()
	}
}

// cutAfter cuts as soon as the text has gone through, and then closes what it
// returns. The text has to come in one piece.
func (c *cutter) cutAfter(text string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trap, c.sprung = []byte(text), make(chan struct{})
	return c.sprung
}

// mend lets connections through again.
func (c *cutter) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.whole)
}
