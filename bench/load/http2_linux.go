package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// HTTP2 opens streams over HTTP/2 with TLS, which rest. It is net/http's client, with some
// goroutines a stream. Its methods are for one goroutine.
type HTTP2 struct {
	request     *http.Request
	connections []*http.Client
	bodies      []io.Closer
	reading     sync.WaitGroup
	ended       atomic.Int64 // streams
}

// NewHTTP2 returns a client that will have so many connections to addr. request is a whole
// GET request over HTTP/1.1, which all streams send. Close the client.
func NewHTTP2(addr netip.AddrPort, connections int, request []byte) (*HTTP2, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		return nil, fmt.Errorf("load: request over HTTP/2: %w", err)
	}
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "https", addr.String()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	c := &HTTP2{request: r}
	for range connections {
		c.connections = append(c.connections, &http.Client{Transport: &http.Transport{
			Protocols:       protocols,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, //nolint:gosec // over loopback, to a server of our own
		}})
	}
	return c, nil
}

// Open opens n streams on each connection, and returns when each has the head of its answer.
// It fails if an answer's status is not 200.
func (c *HTTP2) Open(ctx context.Context, n int) error {
	for _, conn := range c.connections {
		for range n {
			resp, err := conn.Do(c.request.Clone(ctx))
			if err != nil {
				return fmt.Errorf("load: stream over HTTP/2: %w", err)
			}
			c.bodies = append(c.bodies, resp.Body)
			if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
				return fmt.Errorf("load: a stream was refused: %s %s", resp.Proto, resp.Status)
			}
			c.reading.Go(func() { // ends with the stream
				_, _ = io.Copy(io.Discard, resp.Body)
				c.ended.Add(1)
			})
		}
	}
	return nil
}

// errEnded is of streams that should have stayed open.
var errEnded = errors.New("load: streams have ended")

// Err returns an error if a stream has ended.
func (c *HTTP2) Err() error {
	if n := c.ended.Load(); n > 0 {
		return fmt.Errorf("%w: %d of %d", errEnded, n, len(c.bodies))
	}
	return nil
}

// Close closes all connections.
func (c *HTTP2) Close() {
	for _, body := range c.bodies {
		_ = body.Close()
	}
	c.reading.Wait()
	for _, conn := range c.connections {
		conn.CloseIdleConnections()
	}
}
