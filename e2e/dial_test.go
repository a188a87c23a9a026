package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// dial opens a plain connection, for tests that look below HTTP. It ends with
// the test, and so does waiting on it.
func dial(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(t.Context(), func() { conn.Close() })
	t.Cleanup(func() {
		stop()
		conn.Close()
	})
	return conn.(*net.TCPConn)
}

// subscribeOn asks for a stream on a plain connection. Unlike [subscribe] it
// needs no goroutine and reads nothing that it is not asked for.
func (s *server) subscribeOn(t testing.TB, conn net.Conn, query, lastEventID string) {
	t.Helper()
	head := fmt.Sprintf("GET /v1/subscribe?%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", query, s.address(), s.key)
	if lastEventID != "" {
		head += "Last-Event-ID: " + lastEventID + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

// eventsOn reads the head of the answer and returns its events.
func eventsOn(conn net.Conn) (*decoder, error) {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // it is the connection
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("subscribe: %s", resp.Status)
	}
	return newDecoder(resp.Body), nil
}
