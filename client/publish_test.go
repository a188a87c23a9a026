package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

const receiptJSON = `{"id":"k3f9-7","channel":"c","topic":"status","kind":"data","created_at":"2026-11-23T06:18:03.222Z","durable":true,"duplicate":false}`

// serving starts a server and returns a client for it.
func serving(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/", "sk_test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// call is a request as a server saw it.
type call struct{ method, target, contentType, authorization, key, body string }

func callOf(r *http.Request) call {
	body, _ := io.ReadAll(r.Body)
	return call{
		r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"),
		r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key"), string(body),
	}
}

func TestClient_requests(t *testing.T) {
	const asJSON, bearer = "application/json", "Bearer sk_test"
	tests := []struct {
		name string
		do   func(*client.Client) error
		want call
	}{
		{
			"publish",
			func(c *client.Client) error {
				_, err := c.Publish(t.Context(), "c", "status", map[string]any{"html": "<a&b>"})
				return err
			},
			call{"POST", "/v1/publish/$/$?channel=c&topic=status", asJSON, bearer, "", `{"html":"<a&b>"}` + "\n"},
		},
		{
			"publish with everything",
			func(c *client.Client) error {
				_, err := c.Publish(t.Context(), "user:1/ü", "a.b", "text", client.IdempotencyKey("k 1"), client.RunID("run 1"))
				return err
			},
			call{"POST", "/v1/publish/$/$?channel=user%3A1%2F%C3%BC&run_id=run+1&topic=a.b", asJSON, bearer, "k 1", `"text"` + "\n"},
		},
		{
			"publish raw",
			func(c *client.Client) error {
				_, err := c.Publish(t.Context(), "c", "t", json.RawMessage(`{"n":1.0}`))
				return err
			},
			call{"POST", "/v1/publish/$/$?channel=c&topic=t", asJSON, bearer, "", `{"n":1.0}` + "\n"},
		},
		{
			"body",
			func(c *client.Client) error {
				_, err := c.PublishStream(t.Context(), "c", "log", strings.NewReader("line\n"), client.RunID("r"), client.StreamID("a:b"), client.Attempt(2))
				return err
			},
			call{"POST", "/v1/publish/$/$/stream?attempt=2&channel=c&run_id=r&stream_id=a%3Ab&topic=log", "", bearer, "", "line\n"},
		},
		{
			"run",
			func(c *client.Client) error {
				_, err := c.SetRun(t.Context(), "a/b", client.RunState{Status: "failed", RunID: "r", Error: "boom"})
				return err
			},
			call{"PUT", "/v1/channels/$/run?channel=a%2Fb", asJSON, bearer, "", `{"status":"failed","run_id":"r","error":"boom"}` + "\n"},
		},
		{
			"token, short",
			func(c *client.Client) error {
				_, err := c.Token(t.Context(), client.TokenRequest{Channel: "c", Topics: []string{"t"}, TTL: 10 * time.Minute})
				return err
			},
			call{"POST", "/v1/tokens", asJSON, bearer, "", `{"channel":"c","topics":["t"],"ttl":"10m0s"}` + "\n"},
		},
		{
			"token, all topics",
			func(c *client.Client) error {
				_, err := c.Token(t.Context(), client.TokenRequest{Channel: "c"})
				return err
			},
			call{"POST", "/v1/tokens", asJSON, bearer, "", `{"channel":"c"}` + "\n"},
		},
		{
			"token, no topic", // which the server refuses
			func(c *client.Client) error {
				_, err := c.Token(t.Context(), client.TokenRequest{Channel: "c", Topics: []string{}})
				return err
			},
			call{"POST", "/v1/tokens", asJSON, bearer, "", `{"channel":"c","topics":[]}` + "\n"},
		},
		{
			"token, long",
			func(c *client.Client) error {
				_, err := c.Token(t.Context(), client.TokenRequest{Sub: "u", Publish: []schemas.Grant{{Channel: "c:*", Topics: []string{"*"}}}})
				return err
			},
			call{"POST", "/v1/tokens", asJSON, bearer, "", `{"sub":"u","publish":[{"channel":"c:*","topics":["*"]}]}` + "\n"},
		},
		{
			"health",
			func(c *client.Client) error { return c.Health(t.Context()) },
			call{"GET", "/healthz", "", bearer, "", ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got call
			c := serving(t, func(w http.ResponseWriter, r *http.Request) {
				got = callOf(r)
				io.WriteString(w, `{}`)
			})
			if err := tt.do(c); err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("request\n%+v, want\n%+v", got, tt.want)
			}
		})
	}
}

func TestClient_Publish_receipt(t *testing.T) {
	c := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, receiptJSON)
	})
	got, err := c.Publish(t.Context(), "c", "status", 1)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(got.AppendJSON(nil)); text != receiptJSON {
		t.Errorf("receipt %s", text)
	}
}

func TestClient_Publish_problem(t *testing.T) {
	tests := []struct {
		name        string
		status      int
		contentType string
		body        string
		retryAfter  string
		want        string
		wantCode    string
		wantWait    time.Duration
	}{
		{
			name: "all fields", status: 422, contentType: "application/problem+json; charset=utf-8",
			body:     `{"type":"/problems/schema-violation","title":"Schema violation","status":422,"detail":"refused","errors":[{"pointer":"/message","detail":"is required"},{"pointer":"","detail":"is odd"}]}`,
			want:     "422 Schema violation: refused; /message: is required; is odd",
			wantCode: "schema-violation",
		},
		{name: "seconds", status: 503, contentType: "application/problem+json", body: `{"title":"Draining"}`, retryAfter: "2", want: "503 Draining", wantCode: "http-503", wantWait: 2 * time.Second},
		{name: "date in the past", status: 429, body: "", retryAfter: "Mon, 02 Jan 2006 15:04:05 GMT", want: "429 Too Many Requests", wantCode: "http-429"},
		{name: "a proxy's page", status: 502, contentType: "text/html", body: "<h1>Bad", want: "502 Bad Gateway", wantCode: "http-502"},
		{name: "a lie about the status", status: 500, contentType: "application/problem+json", body: `{"status":200,"title":"T"}`, want: "500 T", wantCode: "http-500"},
		{name: "not a document", status: 400, contentType: "application/problem+json", body: `{"title":"half`, want: "400 Bad Request", wantCode: "http-400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serving(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.Header().Set("Retry-After", tt.retryAfter)
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			_, err := c.Publish(t.Context(), "c", "t", 1)
			var problem *client.Problem
			if !errors.As(err, &problem) {
				t.Fatalf("error %v is no problem", err)
			}
			if problem.Error() != tt.want || problem.Code() != tt.wantCode || problem.RetryAfter != tt.wantWait {
				t.Errorf("problem %q, code %q, wait %v", problem, problem.Code(), problem.RetryAfter)
			}
		})
	}
}

func TestClient_Publish_notAnAnswer(t *testing.T) {
	for name, body := range map[string]string{"html": "<p>", "endless": receiptJSON + strings.Repeat(" ", 2<<20)} {
		t.Run(name, func(t *testing.T) {
			c := serving(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
			if _, err := c.Publish(t.Context(), "c", "t", 1); err == nil {
				t.Error("no error")
			}
		})
	}
}

// The body is sent while it is being read. If reading it fails, the server sees an interrupted
// request, not a complete one.
func TestClient_PublishStream_streams(t *testing.T) {
	first := make(chan struct{})
	ended := make(chan error, 1)
	c := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			return // the text is given up
		}
		buf := make([]byte, 5)
		_, err := io.ReadFull(r.Body, buf)
		close(first)
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		ended <- err
	})
	broken := errors.New("broken")
	body := io.MultiReader(strings.NewReader("first"), readerFunc(func([]byte) (int, error) {
		<-first // the server has read what came before
		return 0, io.EOF
	}), iotest.ErrReader(broken))
	if _, err := c.PublishStream(t.Context(), "c", "log", body); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the server saw a complete body")
	}
}

func TestClient_PublishStream_noKey(t *testing.T) {
	c := over(t, func(*http.Request) (*http.Response, error) { panic("a request was sent") })
	_, err := c.PublishStream(t.Context(), "c", "log", strings.NewReader(""), client.IdempotencyKey("k"))
	if !errors.Is(err, client.ErrNotDurable) {
		t.Errorf("error %v", err)
	}
}

func TestNew_badURL(t *testing.T) {
	source := func(context.Context) (string, error) { return "token", nil }
	if _, err := client.New("", "", client.WithCredentials(source)); !errors.Is(err, client.ErrBadURL) {
		t.Errorf("without a URL and tokens that have one: %v", err)
	}
	for _, rawURL := range []string{"", "localhost:8080", "ftp://h", "http://", "http://h?q=1", "http://h#f", "http://u:secret@h", "http://h:x\x7f", "unix:", "unix:sock", "unix://h/sock", "unix:/sock?a=b"} {
		_, err := client.New(rawURL, "")
		if !errors.Is(err, client.ErrBadURL) {
			t.Errorf("New(%q): %v", rawURL, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
