package e2e_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestSlowClients has clients without a credential that announce bodies and never
// send them, or never finish their requests: each connection ends, and meanwhile
// the service is there for others.
func TestSlowClients(t *testing.T) {
	files := certificate{t.TempDir()}
	roots := &tls.Config{RootCAs: files.issue(t, 1)}
	for name, tt := range map[string]struct {
		flags []string
		dial  func(address string) (net.Conn, error)
	}{
		"plain": {nil, func(address string) (net.Conn, error) { return net.Dial("tcp", address) }},
		"TLS": {
			[]string{"--tls-cert=" + files.cert(), "--tls-key=" + files.key()},
			func(address string) (net.Conn, error) { return tls.Dial("tcp", address, roots) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.flags...)
			var clients sync.WaitGroup
			for i := range 60 {
				clients.Go(func() {
					conn, err := tt.dial(s.address())
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					slowClient(t, conn, i)
				})
			}
			clients.Wait()
		})
	}
}

// slowClient sends a request that is not whole, one of several, and waits for the
// end of its connection. Those whose head is whole are answered.
func slowClient(t *testing.T, conn net.Conn, i int) {
	t.Helper()
	requests := []struct {
		request string
		status  int // of the answer, 0 for none
	}{
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", 200},
		{"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", 404},
		{"POST /v1/publish/c/t HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", 401},
		{"GET /healthz HTTP/1.1\r\nHost: loc", 0},
		{"GET", 0},
		{"", 0},
	}
	want := requests[i%len(requests)]
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
		return
	}
	fmt.Fprint(conn, want.request)
	in := bufio.NewReader(conn)
	if want.status != 0 {
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%q: %v", want.request, err)
			return
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != want.status {
			t.Errorf("%q: status %d, %v", want.request, answer.StatusCode, err)
		}
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Errorf("%q: the connection does not end: %v", want.request, err)
	}
}
