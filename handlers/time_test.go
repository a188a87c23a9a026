package handlers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

// inBubble runs test for HTTP/1.1 and for HTTP/2, each with a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, proto func(*setup))) {
	t.Run("HTTP1", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, inMemory) })
	})
	t.Run("HTTP2", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, func(o *setup) {
				inMemory(o)
				o.h2 = true
			})
		})
	})
}

// TestSubscribe_heartbeat leaves streams alone for longer than the write
// time-out and every idle time-out.
func TestSubscribe_heartbeat(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		for accept, want := range map[string]string{"text/event-stream": ":\n", "application/x-ndjson": "\n"} {
			feed := srv.openLong(t, call{as: apiKey, path: "channel=c", header: map[string]string{"Accept": accept}})
			feed.after("$open")
			for range 5 {
				began := time.Now()
				if e := feed.next(); e.raw != want {
					t.Errorf("heartbeat %q, want %q", e.raw, want)
				}
				if after := time.Since(began); after < 12*time.Second || after > 15*time.Second {
					t.Errorf("heartbeat after %v", after)
				}
			}
			srv.publish("c", "t", "1")
			feed.gets("1")
			feed.close()
		}
	})
}

// openLong opens a stream that outlives patience.
func (s *server) openLong(t testing.TB, c call) *feed {
	t.Helper()
	req := s.request(t, call{method: "GET", path: "/v1/subscribe?" + c.path, as: c.as, header: c.header}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	resp, err := s.http.Do(req.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &feed{t: t, resp: resp, in: bufio.NewReader(resp.Body), ndjson: strings.Contains(c.header["Accept"], "ndjson")}
}

// TestSubscribe_position moves the position of a stream past messages that it
// does not want.
func TestSubscribe_position(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, inMemory)
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c&topic=t"})
		feed.after("$open")
		r := srv.publish("c", "other", "1")
		want := fmt.Sprintf("id: %s\nevent: $position\ndata: {}\n\n", r.ID)
		if e := feed.next(); e.raw != want {
			t.Errorf("got %q, want %q", e.raw, want)
		}
		if e := feed.next(); e.raw != ":\n" {
			t.Errorf("got %q", e.raw)
		}
		feed.close()
	})
}

// TestSubscribe_expiry lets a token expire.
func TestSubscribe_expiry(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		token := srv.mint(auth.TokenRequest{Subscribe: schemas.AllowAll(), TTL: time.Minute})
		feed := srv.openLong(t, call{as: token.Token, path: "channel=c"})
		if open := control[opened](feed, "$open"); open.ExpiresAt != schemas.TimeOf(token.ExpiresAt).String() {
			t.Errorf("$open says %+v, want %v", open, token.ExpiresAt)
		}
		e := feed.after("$close")
		if now := time.Now(); now.Before(token.ExpiresAt) || now.Sub(token.ExpiresAt) > time.Second {
			t.Errorf("ended at %v, the token at %v", now, token.ExpiresAt)
		}
		if e.data != `{"code":4001,"reason":"token_expired","reconnect":true,"retry_after_ms":250}` {
			t.Errorf("the stream ends with %s", e.data)
		}
		feed.ends()
		srv.check(t, call{method: "GET", path: "/v1/subscribe?channel=c", as: token.Token, status: 401, problem: "unauthorized"})
	})
}

// TestSubscribe_maxAge ends streams that are old.
func TestSubscribe_maxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, inMemory, func(o *setup) { o.broker.MaxStreamAge = time.Hour })
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		began := time.Now()
		feed.after("$open")
		if e := feed.after("$close"); !strings.Contains(e.data, `"code":4004,"reason":"max_age","reconnect":true`) {
			t.Errorf("the stream ends with %s", e.data)
		}
		if age := time.Since(began); age < 48*time.Minute || age > time.Hour+time.Second {
			t.Errorf("it ended after %v", age)
		}
		feed.ends()
	})
}

// TestSubscribe_slowConsumer has one reader that does not read.
func TestSubscribe_slowConsumer(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		stalled := srv.openLong(t, call{as: srv.token("c", "*"), path: "channel=c"})
		reader := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		stalled.after("$open")
		reader.after("$open")
		data := `"` + strings.Repeat("x", 50<<10) + `"`
		began := time.Now()
		for range 200 { // more than the flow control of HTTP/2 lets through
			srv.publish("c", "t", data)
			reader.gets(data)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the other reader took %v", took)
		}
		for len(srv.log.lines("stream finished")) == 0 {
			time.Sleep(time.Second) // of the bubble's clock
		}
		if cut := time.Since(began); cut < 10*time.Second || cut > 13*time.Second {
			t.Errorf("cut after %v", cut)
		}
		if len(srv.log.lines("stream finished", `"code":4003,"reason":"slow_consumer"`, `"subject":"user-7"`)) != 1 {
			t.Errorf("log: %s", srv.log.lines("stream finished"))
		}
		srv.check(t, call{method: "GET", path: "/metrics", status: 200, says: `sluice_streams_finished_total{reason="slow_consumer"} 1`})
		srv.publish("c", "t", "1")
		reader.gets("1")
		reader.close()
	})
}

// TestPublishStream_chunkDelay writes slowly: a chunk leaves at once when it was
// quiet, and otherwise 25 ms after its first byte at the latest.
func TestPublishStream_chunkDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		feed.after("$open")
		r, w := io.Pipe()
		go func() {
			for i := range 40 { // a byte every 5 ms
				_, _ = w.Write([]byte{byte('0' + i%10)})
				time.Sleep(5 * time.Millisecond)
			}
			w.Close()
		}()
		began := time.Now()
		sent := make(chan *answer, 1)
		go func() {
			resp := must(srv.http.Do(srv.request(t, call{method: "PUT", path: "/v1/publish/c/t/stream", as: apiKey}, r)))
			sent <- &answer{status: resp.StatusCode, body: drained(t, resp.Body)}
		}()
		feed.after("t")
		bytes, chunks := 0, 0
		for {
			m := feed.after("t").message(t)
			if m.Kind != schemas.KindChunk {
				break
			}
			first := time.Duration(bytes) * 5 * time.Millisecond // when its first byte was written
			if late := time.Since(began) - first; late > handlers.ChunkDelay+time.Millisecond {
				t.Errorf("a chunk came %v after its first byte", late)
			}
			bytes += len(m.Data) - 2
			chunks++
		}
		if bytes != 40 || chunks > 10 || chunks < 8 {
			t.Errorf("%d bytes in %d chunks", bytes, chunks)
		}
		if a := <-sent; a.status != 200 {
			t.Errorf("%+v", a)
		}
		feed.close()
	})
}

// TestPublish_slowBody sends a body byte by byte, for ever.
func TestPublish_slowBody(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		r, w := io.Pipe()
		done := make(chan struct{})
		defer func() { r.Close(); <-done }()
		go func() { // ends when the body is closed
			defer close(done)
			for {
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		began := time.Now()
		req := srv.request(t, call{method: "POST", path: "/v1/publish/c/t", as: apiKey}, r)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		resp, err := srv.http.Do(req.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		a := &answer{status: resp.StatusCode, header: resp.Header, body: drained(t, resp.Body)}
		checkProblem(t, a, call{problem: "malformed", detail: "30s"})
		if took := time.Since(began); took < 30*time.Second || took > 35*time.Second {
			t.Errorf("answered %d after %v", a.status, took)
		}
	})
}

// TestPublishLines_unread sends lines and never reads an answer.
func TestPublishLines_unread(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		d := srv.openLines(t, call{as: apiKey})
		wrote := make(chan struct{})
		go func() { // ends when the server cuts the connection
			defer close(wrote)
			for {
				if _, err := io.WriteString(d.body, line(1)+"\n"); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		<-wrote
		if took := time.Since(began); took < 10*time.Second || took > 15*time.Second {
			t.Errorf("cut after %v", took)
		}
		srv.check(t, call{method: "GET", path: "/healthz", status: 200})
	})
}

// TestStopping ends bodies that would go on for ever.
func TestStopping(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		stopping, stop := context.WithCancel(t.Context())
		srv := start(t, proto, func(o *setup) { o.handlers.Stopping = stopping })
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		feed.after("$open")
		d := srv.openLines(t, call{as: apiKey})
		r, w := io.Pipe()
		answered := make(chan *answer, 1)
		go func() {
			resp, err := srv.http.Do(srv.request(t, call{method: http.MethodPut, path: "/v1/publish/c/t/stream", as: apiKey}, r))
			if err != nil {
				t.Error(err)
				close(answered)
				return
			}
			answered <- &answer{status: resp.StatusCode, header: resp.Header, body: drained(t, resp.Body)}
		}()
		feed.after("t")
		stop()
		if o := d.next(); o.Status != 503 {
			t.Errorf("the last line is %+v", o)
		}
		if rest, err := io.ReadAll(d.in); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v after the last line", rest, err)
		}
		if a := <-answered; a != nil {
			if a.status != 503 {
				t.Errorf("status %d", a.status)
			}
			checkProblem(t, a, call{problem: "draining"})
		}
		if m := feed.after("t").message(t); string(m.Data) != `{"reason":"aborted"}` {
			t.Errorf("the stream ends with %s", m.Data)
		}
		w.Close()
		feed.close()
	})
}

// TestUpload_refusedWhileItWaits fails to publish while the client sends
// nothing: it is told at once.
func TestUpload_refusedWhileItWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		feed.after("$open")
		r, w := io.Pipe()
		answered := make(chan *answer, 1)
		go func() {
			resp, err := srv.http.Do(srv.request(t, call{method: http.MethodPut, path: "/v1/publish/c/t/stream", as: apiKey}, r))
			if err != nil {
				t.Error(err)
				close(answered)
				return
			}
			answered <- &answer{status: resp.StatusCode, header: resp.Header, body: drained(t, resp.Body)}
		}()
		feed.after("t")
		began := time.Now()
		feed.close()
		if err := srv.broker.Drain(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err != nil { // and then nothing more
			t.Fatal(err)
		}
		if a := <-answered; a != nil && (a.status != 503 || time.Since(began) > time.Second) {
			t.Errorf("%d after %v", a.status, time.Since(began))
		}
		w.Close()
	})
}
