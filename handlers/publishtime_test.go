package handlers_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

// After a silence, a chunk is sent at once, and otherwise at most 25 ms after its first byte.
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
		sent := srv.later(t, call{method: "PUT", path: "/v1/publish/c/t/stream", as: apiKey}, r)
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

// A body that arrives byte by byte, for ever, is refused.
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
		a, err := srv.do(req.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		checkProblem(t, a, call{problem: "request-timeout", detail: "20s"})
		if took := time.Since(began); took < 20*time.Second || took > 22*time.Second {
			t.Errorf("answered %d after %v", a.status, took)
		}
	})
}

// A client that sends lines and never reads an answer is disconnected.
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

// When the server stops, bodies that would never end are ended.
func TestStopping(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		stopping, stop := context.WithCancel(t.Context())
		srv := start(t, proto, func(o *setup) { o.handlers.Stopping = stopping })
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		feed.after("$open")
		d := srv.openLines(t, call{as: apiKey})
		r, w := io.Pipe()
		answered := srv.later(t, call{method: "PUT", path: "/v1/publish/c/t/stream", as: apiKey}, r)
		feed.after("t")
		stop()
		if o := d.next(); o.problem.Status != 503 {
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

// If publishing fails while the client sends nothing, the client is told at once.
func TestUpload_refusedWhileItWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		feed.after("$open")
		r, w := io.Pipe()
		answered := srv.later(t, call{method: "PUT", path: "/v1/publish/c/t/stream", as: apiKey}, r)
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
