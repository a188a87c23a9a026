package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/client"
)

// calls are the ways to send a request with the credential.
func calls() map[string]func(context.Context, *client.Client) error {
	return map[string]func(context.Context, *client.Client) error{
		"publish": func(ctx context.Context, c *client.Client) error {
			_, err := c.Publish(ctx, "c", "t", 1, client.IdempotencyKey("k"))
			return err
		},
		"lines": func(ctx context.Context, c *client.Client) (last error) {
			for _, err := range c.PublishLines(ctx, func(yield func(client.Item) bool) { yield(client.Item{Channel: "c", Topic: "t"}) }) {
				last = err
			}
			return last
		},
		"stream": func(ctx context.Context, c *client.Client) error {
			_, err := c.PublishStream(ctx, "c", "t", strings.NewReader("text"))
			return err
		},
		"token": func(ctx context.Context, c *client.Client) error {
			_, err := c.Token(ctx, client.TokenRequest{Channel: "c"})
			return err
		},
		"definitions": func(ctx context.Context, c *client.Client) error {
			_, err := c.Definitions(ctx)
			return err
		},
		"health": func(ctx context.Context, c *client.Client) error { return c.Health(ctx) },
		"subscribe": func(ctx context.Context, c *client.Client) (last error) {
			for _, err := range c.Events(ctx, client.Subscription{Channels: []string{"c"}}) {
				last = err
			}
			return last
		},
	}
}

// If a server redirects to another port, scheme or host, the credential is not sent there. The
// call ends at once.
func TestClient_redirectToOtherHost(t *testing.T) {
	var leaked atomic.Int64
	elsewhere := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) })
	plain, secure := httptest.NewServer(elsewhere), httptest.NewTLSServer(elsewhere)
	defer plain.Close()
	defer secure.Close()
	for target, url := range map[string]string{
		"another port":   plain.URL,
		"another scheme": secure.URL,
		"another host":   strings.Replace(plain.URL, "127.0.0.1", "localhost", 1),
		"a subdomain":    strings.Replace(plain.URL, "127.0.0.1", "a.127.0.0.1", 1),
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				http.Redirect(w, r, url+r.URL.RequestURI(), status)
			}))
			for _, own := range []string{"", "with a client of the caller's"} {
				var options []client.Option
				if own != "" {
					options = append(options, client.WithHTTPClient(secure.Client()))
				}
				c := clientOf(t, server.URL, options...)
				for name, call := range calls() {
					err := call(t.Context(), c)
					problem := (*client.Problem)(nil)
					refused := errors.As(err, &problem) && problem.Status == status // a stream cannot be sent again
					if !refused && !errors.Is(err, client.ErrRedirected) {
						t.Errorf("%s, %d to %s %s: %v", name, status, target, own, err)
					}
				}
				c.Close()
			}
			server.Close()
		}
	}
	if n := leaked.Load(); n > 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
	secure.Client().CloseIdleConnections()
}

// Redirects on the same host are followed, unless they would change the request.
func TestClient_redirectOnSameHost(t *testing.T) {
	var method string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := map[string]int{"/301": 301, "/307": 307}[r.URL.Path[:min(4, len(r.URL.Path))]]
		if status != 0 {
			http.Redirect(w, r, r.URL.RequestURI()[4:], status)
			return
		}
		method = r.Method
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"id":"k3f9-7"}`)
	}))
	defer server.Close()
	publish := func(prefix string) error {
		_, err := clientOf(t, server.URL+prefix).Publish(t.Context(), "c", "t", 1)
		return err
	}
	if err := publish("/307"); err != nil || method != http.MethodPost {
		t.Errorf("307: %s, %v", method, err)
	}
	if err := publish("/301"); !errors.Is(err, client.ErrRedirected) {
		t.Errorf("301 of a publish: %v", err)
	}
	if _, err := clientOf(t, server.URL+"/301").Definitions(t.Context()); err != nil || method != http.MethodGet {
		t.Errorf("301 of a question: %s, %v", method, err)
	}
}

// A burst of publishes reuses the connections of the burst before, even if the publishes are
// refused.
func TestClient_reusesConnections(t *testing.T) {
	s := startServer()
	defer s.stop()
	for _, tt := range []struct {
		name, channel string
		handler       http.Handler
	}{
		{"published", "c", s.http.Handler},
		{"refused", "no name", s.http.Handler},
		{"refused by a proxy", "c", http.NotFoundHandler()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var made atomic.Int64
			counted := httptest.NewUnstartedServer(tt.handler)
			counted.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					made.Add(1)
				}
			}
			counted.Start()
			defer counted.Close()
			c := clientOf(t, counted.URL)
			const atOnce, times = 32, 10
			for range times {
				var all sync.WaitGroup
				for range atOnce {
					all.Go(func() { c.Publish(t.Context(), tt.channel, "t", 1) })
				}
				all.Wait()
			}
			if n := made.Load(); n > 2*atOnce {
				t.Errorf("%d connections for %d publishes, %d at once", n, atOnce*times, atOnce)
			}
			c.Close()
		})
	}
}
