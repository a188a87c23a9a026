package handlers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// unbounded is the route whose body may last for any time if the client may publish.
const unbounded = "/v1/publish/c/t/stream"

// slowCalls are requests to every route, and to an unknown one.
func slowCalls() []call {
	calls := []call{
		{method: "GET", path: "/nowhere"},
		{method: "POST", path: "/"},
		{method: "BREW", path: "/healthz"},
		{method: "OPTIONS", path: "/v1/publish"},
		{method: "GET", path: "/app.js"},
		{method: "GET", path: "/sdk/sluice.js"},
		{method: "HEAD", path: "/healthz"},
		{method: "HEAD", path: "/v1/subscribe?channel=c", as: apiKey},
		{method: "GET", path: "/v1/subscribe?channel=c"},
		{method: "GET", path: "/healthz?%"},
		{method: "POST", path: "/v1/publish", as: apiKey, header: map[string]string{"Content-Type": "text/html"}},
	}
	for _, e := range endpoints() {
		calls = append(calls, e.call)
		e.as = apiKey
		if !strings.HasSuffix(e.path, unbounded) {
			calls = append(calls, e.call)
		}
	}
	return calls
}

// If the announced body does not arrive, or arrives at one byte every 20 seconds, every route
// answers and ends the connection.
func TestSlowBody(t *testing.T) {
	for _, c := range slowCalls() {
		for _, framing := range []string{"Content-Length: 1000", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
			for _, trickle := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s %t %s %t", c.method, c.path, c.as != "", framing, trickle), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := start(t, inMemory)
						conn := must(srv.dial(t.Context()))
						var sending sync.WaitGroup
						sending.Go(func() { sendSlowly(conn, c, framing, trickle) }) // ends with the connection
						answeredAndClosed(t, conn, c)
						conn.Close()
						sending.Wait()
					})
				})
			}
		}
	}
}

func sendSlowly(conn net.Conn, c call, framing string, trickle bool) {
	head := c.method + " " + c.path + " HTTP/1.1\r\nHost: localhost\r\n" + framing + "\r\n"
	if c.as != "" {
		head += "Authorization: Bearer " + c.as + "\r\n"
	}
	for name, value := range c.header {
		head += name + ": " + value + "\r\n"
	}
	piece := " "
	if strings.Contains(framing, "chunked") {
		piece = "1\r\n \r\n"
	}
	_, err := io.WriteString(conn, head+"\r\n")
	for err == nil && trickle {
		time.Sleep(20 * time.Second) // of the bubble's clock
		_, err = io.WriteString(conn, piece)
	}
}

func answeredAndClosed(t *testing.T, conn net.Conn, c call) {
	t.Helper()
	began := time.Now()
	if err := conn.SetDeadline(began.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, &http.Request{Method: c.method})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	after := time.Since(began)
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	whole := time.Since(began)
	switch {
	case answer.StatusCode == http.StatusRequestTimeout && after >= 20*time.Second && after < 21*time.Second:
	case answer.StatusCode == http.StatusRequestTimeout || after > time.Second || whole > time.Second:
		t.Errorf("answered %d after %v, all of it after %v: %s", answer.StatusCode, after, whole, text)
	}
	if !answer.Close {
		t.Error("the answer does not say that the connection ends")
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("after the answer: %q, %v", rest, err)
	}
	if closed := time.Since(began); closed > 30*time.Second {
		t.Errorf("closed after %v", closed)
	}
}

// Over HTTP/2, where other streams share the connection, every route answers, too.
func TestSlowBody_HTTP2(t *testing.T) {
	for _, c := range slowCalls() {
		t.Run(fmt.Sprintf("%s %s %t", c.method, c.path, c.as != ""), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := start(t, inMemory, func(o *setup) { o.h2 = true })
				r, w := io.Pipe()
				defer w.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				answer, err := srv.do(srv.request(t, c, r).WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				after := time.Since(began)
				if late := after > time.Second; late != (answer.status == http.StatusRequestTimeout) || after > 21*time.Second {
					t.Errorf("answered %d after %v", answer.status, after)
				}
			})
		})
	}
}

// After a complete body that no handler read, the connection is reused if it can be: if the
// body arrives in time, which it may fail to do once or twice on a busy machine.
func TestBody_connectionReused(t *testing.T) {
	srv := start(t)
	var ended string
	for range 20 {
		if ended = endsAfter(t, srv.connect(t)); ended == "" {
			return
		}
	}
	t.Errorf("the connection ends after %.40q", ended)
}

// endsAfter sends requests until one of them ends the connection, which it returns; "" if none
// does.
func endsAfter(t *testing.T, conn net.Conn) string {
	t.Helper()
	in := bufio.NewReader(conn)
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody",
		"POST /v1/publish/c/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 100_000),
		"PUT /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1",
		"POST /v1/publish/c/t HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + apiKey + "\r\nContent-Length: 1\r\n\r\n1",
	} {
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if _, ends := readAnswer(t, in); ends {
			return request
		}
	}
	return ""
}

// A request with two lengths has no certain end, so nothing may follow it on the connection
// (RFC 9112, section 6.1).
func TestBody_twoLengths(t *testing.T) {
	srv := start(t)
	for name, lengths := range map[string]string{
		"length first": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"length last":  "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
	} {
		for _, target := range []string{"POST /v1/publish/c/t", "GET /healthz", "POST /nowhere", "PUT /v1/publish/c/t/stream"} {
			t.Run(name+" "+target, func(t *testing.T) {
				conn := srv.connect(t)
				const next = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
				fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s\r\n1\r\n1\r\n0\r\n\r\n%s", target, apiKey, lengths, next)
				in := bufio.NewReader(conn)
				if _, ends := readAnswer(t, in); !ends {
					t.Error("the connection goes on")
				}
				if rest, _ := io.ReadAll(in); len(rest) > 0 {
					t.Errorf("the next request was answered: %.80q", rest)
				}
			})
		}
	}
}

// The server does not ask for announced bodies that are too large or that it does not want.
func TestBody_expect(t *testing.T) {
	srv := start(t)
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"too large":       {"POST /v1/publish/c/t HTTP/1.1\r\nAuthorization: Bearer " + apiKey + "\r\nContent-Length: 10000000\r\n", 413},
		"array":           {"POST /v1/publish HTTP/1.1\r\nAuthorization: Bearer " + apiKey + "\r\nContent-Length: 10000000\r\n", 413},
		"definition":      {"PUT /v1/schemas/a HTTP/1.1\r\nAuthorization: Bearer " + apiKey + "\r\nContent-Length: 10000000\r\n", 413},
		"no credential":   {"POST /v1/publish/c/t HTTP/1.1\r\nContent-Length: 1\r\n", 401},
		"nowhere, chunks": {"POST /nowhere HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 404},
		"not read":        {"GET /healthz HTTP/1.1\r\nContent-Length: 1\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			conn := srv.connect(t)
			if _, err := io.WriteString(conn, tt.request+"Host: localhost\r\nExpect: 100-continue\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if status, ends := readAnswer(t, bufio.NewReader(conn)); status != tt.status || !ends {
				t.Errorf("answered %d, the connection ends: %t", status, ends)
			}
		})
	}
}

// readAnswer reads a complete response. It returns the status and whether the connection ends
// after it.
func readAnswer(t *testing.T, in *bufio.Reader) (status int, ends bool) {
	t.Helper()
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Error(err)
	}
	return answer.StatusCode, answer.Close
}
