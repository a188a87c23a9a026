package handlers_test

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// inBubble runs test for HTTP/1.1 and for HTTP/2, each in its own synctest bubble.
func inBubble(t *testing.T, test func(t *testing.T, proto func(*setup))) {
	over := func(name string, proto func(*setup)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, proto)
				time.Sleep(time.Second) // of the bubble's clock: connections that end are given time
			})
		})
	}
	over("HTTP1", inMemory)
	over("HTTP2", func(o *setup) {
		inMemory(o)
		o.h2 = true
	})
}

// A stream without messages outlives the write timeout and every idle timeout.
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

// openLong opens a stream whose request has no timeout.
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

// The position of a stream moves past messages that it does not want.
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

// A stream ends when its token expires.
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

// A stream ends when it reaches the maximum age.
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

// A stream whose client does not read is ended.
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
