package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// A connection that publishes lines does not outlive its token, which expires or is revoked.
func TestPublishLines_tokenEnds(t *testing.T) {
	ends := map[string]func(*server, auth.Token, *duplex){
		"expired": func(*server, auth.Token, *duplex) {}, // by itself, while nothing is sent
		"expired, sending": func(_ *server, token auth.Token, d *duplex) {
			time.Sleep(time.Until(token.ExpiresAt) - time.Millisecond) // of the bubble's clock
			d.write(line(2) + "\n")
			if o := d.next(); o.receipt.Kind != schemas.KindData {
				t.Errorf("just before it expires: %+v", o)
			}
		},
		"revoked": func(srv *server, token auth.Token, d *duplex) {
			if err := srv.auth.Revoke(token.ID); err != nil {
				t.Error(err)
			}
			d.write(line(2) + "\n")
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, proto func(*setup)) {
				srv := start(t, proto)
				token := srv.mint(auth.TokenRequest{Publish: schemas.AllowAll(), TTL: 5 * time.Second})
				d := srv.openLines(t, call{as: token.Token})
				d.write(line(1) + "\n")
				if o := d.next(); o.receipt.Kind != schemas.KindData {
					t.Fatalf("the first line: %+v", o)
				}
				end(srv, token, d)
				if o := d.next(); o.problem.Status != 401 {
					t.Errorf("the last line is %+v", o)
				}
				d.ends()
			})
		})
	}
}

// A streamed body does not outlive its token.
func TestPublishStream_tokenExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, proto func(*setup)) {
		srv := start(t, proto)
		feed := srv.openLong(t, call{as: apiKey, path: "channel=c"})
		feed.after("$open")
		token := srv.mint(auth.TokenRequest{Publish: schemas.AllowAll(), TTL: 5 * time.Second})
		r, w := io.Pipe()
		defer w.Close()
		answered := srv.later(t, call{method: "PUT", path: "/v1/publish/c/t/stream", as: token.Token}, r)
		feed.after("t")
		if m := feed.after("t").message(t); string(m.Data) != `{"reason":"aborted"}` {
			t.Errorf("the stream ends with %s", m.Data)
		}
		if now := time.Now(); now.Before(token.ExpiresAt) || now.Sub(token.ExpiresAt) > time.Second {
			t.Errorf("ended at %v, the token at %v", now, token.ExpiresAt)
		}
		if a := <-answered; a != nil {
			checkProblem(t, a, call{status: 401, problem: "unauthorized"})
		}
		feed.close()
	})
}

// A client that never reads its answer is disconnected.
func TestAnswer_unread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dial func(context.Context) (net.Conn, error)
		start(t, func(o *setup) {
			inMemory(o)
			dial = o.dial
		})
		conn, err := dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // of the bubble's clock
		if answer, _ := io.ReadAll(conn); len(answer) >= len(schemas.OpenAPI()) {
			t.Errorf("a minute later %d bytes are still to be had", len(answer))
		}
	})
}

// broken is an engine that fails at everything except the start of a text.
type broken struct {
	*disk.Engine

	fail func() error
}

// Append implements [engine.Engine].
func (b broken) Append(ctx context.Context, e engine.Entry) (schemas.Receipt, error) {
	if e.Kind == schemas.KindChunk {
		if err := b.fail(); err != nil {
			return schemas.Receipt{}, err
		}
	}
	return b.Engine.Append(ctx, e)
}

// A body whose text cannot be published is answered at once, although its client goes on, and
// whether the chunk left when it came or had waited for more.
func TestPublishStream_engineFails(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fail    func() error
		problem string
	}{
		{"error", func() error { return engine.ErrUnavailable }, "engine-unavailable"},
		{"panic", func() error { panic("broken") }, "internal"},
	} {
		for _, good := range []int{0, 1} { // chunks; the first one leaves at once, the next one waits
			t.Run(fmt.Sprint(tt.name, good), func(t *testing.T) {
				e := must(disk.Open(t.TempDir(), disk.Options{}))
				t.Cleanup(func() { _ = e.Close() })
				asked, chunks := make(chan struct{}, 2), 0
				srv := start(t, func(o *setup) {
					o.broker.Engine = broken{e, func() error {
						chunks++
						asked <- struct{}{}
						if chunks <= good {
							return nil
						}
						return tt.fail()
					}}
				})
				body, text := io.Pipe()
				defer text.Close()
				answered := srv.later(t, call{method: "POST", path: "/v1/publish/c/t/stream", as: apiKey}, body)
				for range good + 1 {
					if _, err := io.WriteString(text, "a"); err != nil {
						t.Fatal(err)
					}
					<-asked
				}
				if a := <-answered; a == nil || !strings.Contains(a.body, tt.problem) {
					t.Errorf("got %+v", a)
				}
			})
		}
	}
}
