package handlers_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// path is a way in which a stream is written to an HTTP/1.x connection.
type path struct {
	name   string
	change func(*setup)
}

// paths returns every path. On systems without writer loops they are the same.
func paths() []path {
	return []path{
		{"writer loops", func(*setup) {}},
		{"portable", func(o *setup) { o.broker.Loops = -1 }},
		{"writer loops, sealed", func(o *setup) { o.secure = true }},
	}
}

// onEachPath runs test once for each path, each time on a new server.
func onEachPath(t *testing.T, test func(t *testing.T, srv *server), change ...func(*setup)) {
	for _, p := range paths() {
		t.Run(p.name, func(t *testing.T) { test(t, start(t, append([]func(*setup){p.change}, change...)...)) })
	}
}

// wire is a stream as bytes, below HTTP.
type wire struct {
	*feed
	conn net.Conn
	tcp  *net.TCPConn // below TLS, or the same
}

// ask requests a stream of channel c, with additional headers and anything that follows the
// head, and reads the answer up to $open.
func (s *server) ask(t testing.TB, proto, header, rest string) *wire {
	t.Helper()
	conn := s.connect(t)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	head := "GET /v1/subscribe?channel=c " + proto + "\r\nHost: localhost\r\nAuthorization: Bearer " + apiKey + "\r\n" + header + "\r\n"
	if _, err := io.WriteString(conn, head+rest); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // it is the connection
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("answer %s: %s", resp.Status, drained(t, resp.Body))
	}
	w := &wire{conn: conn, tcp: below(conn), feed: &feed{t: t, resp: resp, in: bufio.NewReader(resp.Body), ndjson: strings.Contains(header, "ndjson")}}
	w.after("$open")
	return w
}

// sealed reports whether a stream is written by a loop that seals it.
func (s *server) sealed() bool { return s.broker.HasLoops() && strings.HasPrefix(s.url, "https:") }

// The head of a stream on a writer loop is the same as net/http writes.
func TestSubscribe_sameHead(t *testing.T) {
	var servers []*server
	for _, p := range paths() {
		servers = append(servers, start(t, p.change, func(o *setup) { o.handlers.CORSOrigins = []string{"https://app.example.com"} }))
	}
	if !servers[0].broker.HasLoops() || servers[1].broker.HasLoops() {
		t.Skip("this system has no writer loops")
	}
	for _, tt := range []struct{ name, proto, header string }{
		{"SSE", "HTTP/1.1", ""},
		{"NDJSON", "HTTP/1.1", "Accept: application/x-ndjson\r\n"},
		{"allowed origin", "HTTP/1.1", "Origin: https://app.example.com\r\n"},
		{"other origin", "HTTP/1.1", "Origin: https://other.example.com\r\n"},
		{"last request of its connection", "HTTP/1.1", "Connection: close\r\n"},
		{"SSE over HTTP/1.0", "HTTP/1.0", ""},
		{"NDJSON over HTTP/1.0", "HTTP/1.0", "Accept: application/x-ndjson\r\nOrigin: https://app.example.com\r\n"},
		{"kept alive over HTTP/1.0", "HTTP/1.0", "Connection: keep-alive\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var heads []http.Header
			for _, srv := range servers {
				resp := srv.ask(t, tt.proto, "X-Request-Id: same-head\r\n"+tt.header, "").resp
				checkFraming(t, resp, tt.proto)
				if last := srv.broker.HasLoops() || tt.proto == "HTTP/1.0" || strings.Contains(tt.header, "close"); resp.Close != last {
					t.Errorf("Connection: close is %t, want %t", resp.Close, last)
				}
				resp.Header.Del("Date")
				heads = append(heads, resp.Header)
			}
			for i, head := range heads {
				if !reflect.DeepEqual(head, heads[1]) {
					t.Errorf("%s: the answer is\n%v\nthat of net/http\n%v", paths()[i].name, head, heads[1])
				}
			}
		})
	}
}

// checkFraming checks how the length of the body is determined. HTTP/1.0 has no chunks, so there
// the body ends with the connection.
func checkFraming(t *testing.T, resp *http.Response, proto string) {
	t.Helper()
	chunked := len(resp.TransferEncoding) == 1 && resp.TransferEncoding[0] == "chunked"
	if want := proto == "HTTP/1.1"; chunked != want || resp.ContentLength >= 0 {
		t.Errorf("chunked %t, want %t; length %d", chunked, want, resp.ContentLength)
	}
	dates := resp.Header.Values("Date")
	if len(dates) != 1 {
		t.Fatalf("Date %q", dates)
	}
	date, err := http.ParseTime(dates[0])
	if off := time.Since(date); err != nil || off < -time.Second || off > patience {
		t.Errorf("Date %q, %v", dates, err)
	}
}

// A client that sends more than a stream needs still gets the complete stream. If it is sealed by
// a loop, nobody can open what comes after the request: the client is told to come back.
func TestSubscribe_moreThanARequest(t *testing.T) {
	next := "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	onEachPath(t, func(t *testing.T, srv *server) {
		for name, more := range map[string]struct{ header, rest string }{
			"the next request":      {"", next},
			"no request":            {"", strings.Repeat("\x00\xff\r\n", 10_000)},
			"a body":                {"Content-Length: 4\r\n", "body"},
			"a body to come":        {"Content-Length: 4\r\n", ""},
			"a body in chunks":      {"Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n" + next},
			"Expect":                {"Expect: 100-continue\r\n", ""},
			"Expect, with a body":   {"Expect: 100-continue\r\nContent-Length: 4\r\n", ""},
			"Upgrade to WebSocket":  {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""},
			"Upgrade to h2c":        {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""},
			"trailing empty lines":  {"", "\r\n\r\n"},
			"half of the next head": {"", "GET /healthz HTT"},
		} {
			for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
				if proto == "HTTP/1.0" && strings.Contains(more.header, "chunked") {
					continue // it has no chunks
				}
				t.Run(name+" "+proto, func(t *testing.T) {
					w := srv.ask(t, proto, more.header, more.rest)
					if srv.sealed() && !strings.Contains(more.header, "Length") && !strings.Contains(more.header, "chunked") {
						_, _ = io.WriteString(w.conn, next) // it may have been too much already
						if e := w.after("$close"); !strings.Contains(e.data, `"code":4004`) {
							t.Errorf("it ends with %q", e.raw)
						}
						w.ends()
						return
					}
					srv.publish("c", "t", "1")
					w.gets("1")
					if _, err := io.WriteString(w.conn, next); err != nil { // and while the stream goes on
						t.Fatal(err)
					}
					srv.publish("c", "t", "2")
					w.gets("2")
					srv.check(t, call{method: "DELETE", path: "/v1/channels/c", as: apiKey, status: 204})
					w.after("$close")
					if proto == "HTTP/1.1" || srv.broker.HasLoops() { // else net/http resets what it has not read all of
						w.ends()
					}
				})
			}
		}
	})
}

// The server notices that a client has gone even if nothing is published, so that no write can
// fail.
func TestSubscribe_hangsUp(t *testing.T) {
	onEachPath(t, func(t *testing.T, srv *server) {
		for name, leave := range map[string]func(*net.TCPConn) error{
			"closed":      (*net.TCPConn).Close,
			"half closed": (*net.TCPConn).CloseWrite,
			"reset": func(c *net.TCPConn) error {
				if err := c.SetLinger(0); err != nil {
					return err
				}
				return c.Close()
			},
		} {
			t.Run(name, func(t *testing.T) {
				id := "hangs-up-" + strings.ReplaceAll(name, " ", "-")
				w := srv.ask(t, "HTTP/1.1", "X-Request-Id: "+id+"\r\n", "")
				if err := leave(w.tcp); err != nil {
					t.Fatal(err)
				}
				srv.finished(t, id)
				if len(srv.log.lines(`"request_id":"`+id+`"`, `"code":0,"reason":"client_left"`)) != 1 {
					t.Errorf("log: %s", srv.log.lines(id))
				}
				if name == "half closed" {
					if _, err := io.Copy(io.Discard, w.conn); err != nil {
						t.Errorf("the connection ends with %v", err)
					}
				}
			})
		}
		if n := srv.broker.Stats().Streams; n != 0 {
			t.Errorf("%d streams are left", n)
		}
		srv.check(t, call{method: "GET", path: "/metrics", status: 200, says: "\nsluice_streams_finished_total{reason=\"client_left\"} 3\n"})
	})
}

// The log line and the metrics of a stream agree with what was sent.
func TestSubscribe_finished(t *testing.T) {
	onEachPath(t, func(t *testing.T, srv *server) {
		w := srv.ask(t, "HTTP/1.1", "X-Request-Id: it-is-over\r\n", "")
		for i := range 3 {
			srv.publish("c", "t", fmt.Sprint(i))
		}
		w.gets("0", "1", "2")
		srv.check(t, call{method: "DELETE", path: "/v1/channels/c", as: apiKey, status: 204})
		w.after("$close")
		w.ends()
		srv.finished(t, "it-is-over")
		if len(srv.log.lines(`"msg":"stream finished"`, `"channels":["c"]`, `"address":"127.0.0.1"`, `"messages":3`, `"code":4410,"reason":"channel_deleted"`)) != 1 {
			t.Errorf("log: %s", srv.log.lines("it-is-over"))
		}
		metrics := srv.countedStreams(t, 1).body
		for name, want := range map[string]string{
			`sluice_streams_finished_total{reason="channel_deleted"}`: "1", "sluice_streams": "0", "sluice_delivered_messages_total": "3",
			`sluice_http_requests_total{method="GET",route="/v1/subscribe",status="200"}`: "1",
		} {
			if !strings.Contains(metrics, "\n"+name+" "+want+"\n") {
				t.Errorf("%s is not %s", name, want)
			}
		}
	})
}
