package doctor_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/internal/leaktest"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/server/doctor"
	"github.com/sluicehq/sluice/webhooks"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	apiKey    = "sk_test_0123456789abcdef"
	narrowKey = "sk_test_narrow_012345678"
)

// serve runs the service until the test ends.
func serve(t *testing.T, hooks ...*webhooks.Sender) (target *url.URL, b *broker.Broker) {
	t.Helper()
	b = must(broker.New(broker.Options{Heartbeat: 3 * time.Second}))
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	named := fmt.Sprintf("keys: [{name: narrow, sha256: %x, publish: [{channel: c, topics: [t]}]}]", sha256.Sum256([]byte(narrowKey)))
	if err := os.WriteFile(keys, []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := must(auth.New(auth.Options{APIKeys: []string{apiKey}, APIKeyFile: keys, Keys: must(auth.NewKeyring()), Logger: slog.New(slog.DiscardHandler)}))
	server := httptest.NewServer(handlers.New(handlers.Options{
		Broker: b, Auth: authority, Catalog: schemas.NewCatalog(schemas.Limits{}), Log: slog.New(slog.DiscardHandler),
		Page:            fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}},
		MaxMessageBytes: 60 << 10, WriteTimeout: 10 * time.Second, CORSOrigins: []string{"https://good.example"}, Webhooks: append(hooks, nil)[0],
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		authority.Close()
		b.Close()
	})
	return must(url.Parse(server.URL)), b
}

// behind starts a proxy in front of the service.
func behind(t *testing.T, target *url.URL, change func(*httputil.ReverseProxy)) string {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport: transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	change(proxy)
	server := httptest.NewServer(proxy)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// examine returns the findings by check; a fault or a warning hides what is fine.
func examine(t *testing.T, p doctor.Patient) map[string]doctor.Finding {
	t.Helper()
	found := make(map[string]doctor.Finding)
	err := doctor.Examine(t.Context(), p, func(f doctor.Finding) {
		if old, ok := found[f.Check]; !ok || old.Level == doctor.Fine {
			found[f.Check] = f
		}
		if wrong := f.Level == doctor.Fault || f.Level == doctor.Warning; wrong != (f.Advice != "") {
			t.Errorf("advice does not go with the level: %+v", f)
		}
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

var everything = []string{"reach", "tls", "protocol", "ready", "clock", "cors", "key", "keys", "url", "names", "stream", "delivery", "resume", "upload", "idle"}

func TestExamine_healthy(t *testing.T) {
	target, b := serve(t)
	for name, at := range map[string]string{"itself": target.String(), "behind a proxy": behind(t, target, func(*httputil.ReverseProxy) {})} {
		t.Run(name, func(t *testing.T) {
			found := examine(t, doctor.Patient{URL: at, APIKey: apiKey, Origins: []string{"https://good.example"}, Idle: 7 * time.Second, Patience: time.Minute})
			for _, check := range everything {
				if f := found[check]; f.Level != doctor.Fine {
					t.Errorf("%s: %+v", check, f)
				}
			}
		})
	}
	if n := b.Stats().Channels; n != 0 {
		t.Errorf("%d channels were left behind", n)
	}
}

func TestExamine_sick(t *testing.T) {
	target, _ := serve(t)
	setHeader := func(name string, value func(http.Header) string) func(*httputil.ReverseProxy) {
		return func(p *httputil.ReverseProxy) {
			p.ModifyResponse = func(r *http.Response) error { r.Header.Set(name, value(r.Header)); return nil }
		}
	}
	without := func(name string) func(*httputil.ReverseProxy) {
		return func(p *httputil.ReverseProxy) {
			rewrite := p.Rewrite
			p.Rewrite = func(r *httputil.ProxyRequest) { rewrite(r); r.Out.Header.Del(name) }
		}
	}
	const patience = 15 * time.Second // which a service under load does not need
	tests := []struct {
		name  string
		proxy func(*httputil.ReverseProxy)
		check string
		level doctor.Level
		found string
		// A check that can only fail by waiting waits for less.
		patience time.Duration
	}{
		{"a clock far ahead", setHeader("Date", dateIn(90*time.Second)), "clock", doctor.Fault, "ahead of", 0},
		{"a clock behind", setHeader("Date", dateIn(-10*time.Second)), "clock", doctor.Warning, "behind", 0},
		{"CORS twice", func(p *httputil.ReverseProxy) {
			p.ModifyResponse = func(r *http.Response) error { r.Header.Add("Access-Control-Allow-Origin", "*"); return nil }
		}, "cors", doctor.Fault, "2 times", 0},
		{"no credentials pass", without("Authorization"), "key", doctor.Fault, "not accepted", 0},
		{"another host", func(p *httputil.ReverseProxy) {
			rewrite := p.Rewrite
			p.Rewrite = func(r *httputil.ProxyRequest) { rewrite(r); r.Out.Host = "internal.example" }
		}, "url", doctor.Warning, "http://internal.example", 0},
		{"escapes are undone", func(p *httputil.ReverseProxy) {
			rewrite := p.Rewrite
			p.Rewrite = func(r *httputil.ProxyRequest) { rewrite(r); r.Out.URL.RawPath = "" }
		}, "names", doctor.Warning, "does not arrive", 0},
		{"compression", func(p *httputil.ReverseProxy) {
			p.ModifyResponse = func(r *http.Response) error {
				if isStream(r) {
					r.Header.Set("Content-Encoding", "gzip")
					r.Body = compressed(r.Body)
				}
				return nil
			}
		}, "stream", doctor.Fault, "gzip", 0},
		{"answers are buffered", buffered, "stream", doctor.Fault, "does not arrive", patience},
		{"no Last-Event-ID passes", without("Last-Event-Id"), "resume", doctor.Fault, "starts over", 0},
		{"requests are buffered", func(p *httputil.ReverseProxy) {
			rewrite := p.Rewrite
			p.Rewrite = func(r *httputil.ProxyRequest) {
				rewrite(r)
				body, _ := io.ReadAll(r.In.Body)
				r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			}
		}, "upload", doctor.Warning, "before its end", patience},
		{"streams are cut", func(p *httputil.ReverseProxy) {
			p.ModifyResponse = func(r *http.Response) error {
				if isStream(r) {
					body := r.Body
					time.AfterFunc(10*time.Second, func() { body.Close() }) // once it is idle, however slow the machine is
				}
				return nil
			}
		}, "idle", doctor.Fault, "cut after", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // some wait
			p := doctor.Patient{URL: behind(t, target, tt.proxy), APIKey: apiKey, Origins: []string{"https://good.example"}, Patience: time.Minute}
			if tt.patience > 0 {
				p.Patience = tt.patience
			}
			if tt.check == "idle" {
				p.Idle = time.Minute
			}
			if f := examine(t, p)[tt.check]; f.Level != tt.level || !strings.Contains(f.Found, tt.found) {
				t.Errorf("%+v, want a %s with %q", f, tt.level, tt.found)
			}
		})
	}
}

func TestExamine_withoutServer(t *testing.T) {
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	moved := httptest.NewServer(http.RedirectHandler("https://sluice.example/", http.StatusMovedPermanently))
	defer moved.Close()
	secured := httptest.NewTLSServer(http.NotFoundHandler())
	secured.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer secured.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for at, want := range map[string]string{
		closed.URL:    "connection refused",
		elsewhere.URL: "404 Not Found, which is not Sluice",
		moved.URL:     "redirects to https://sluice.example/",
		secured.URL:   "certificate",
		strings.Replace(elsewhere.URL, "http:", "https:", 1): "HTTP response to HTTPS client",
	} {
		found := examine(t, doctor.Patient{URL: at, APIKey: apiKey, Patience: time.Minute})
		if f := found["reach"]; f.Level != doctor.Fault || !strings.Contains(f.Found, want) || len(found) != 1 {
			t.Errorf("%s: %+v, want %q alone", at, found, want)
		}
	}
}

func TestExamine_draining(t *testing.T) {
	target, b := serve(t)
	b.StopAccepting()
	if f := examine(t, doctor.Patient{URL: target.String(), Patience: time.Minute})["ready"]; f.Level != doctor.Fault || !strings.Contains(f.Found, "503") {
		t.Errorf("%+v", f)
	}
}

func TestExamine_withoutKey(t *testing.T) {
	target, _ := serve(t)
	found := examine(t, doctor.Patient{URL: target.String(), Origins: []string{"https://bad.example", "good.example"}, Patience: time.Minute})
	if f := found["key"]; f.Level != doctor.Skipped {
		t.Errorf("%+v", f)
	}
	if f := found["cors"]; f.Level != doctor.Fault || f.Advice != "Add it: --cors-origins https://bad.example" {
		t.Errorf("%+v", f)
	}
	if slices.ContainsFunc(everything[7:], func(check string) bool { _, ok := found[check]; return ok }) {
		t.Errorf("something was looked at that needs a key: %+v", found)
	}
}

// A key that may make no tokens is no fault of the server.
func TestExamine_narrowKey(t *testing.T) {
	target, _ := serve(t)
	if f := examine(t, doctor.Patient{URL: target.String(), APIKey: narrowKey, Patience: time.Minute})["key"]; f.Level != doctor.Skipped || !strings.Contains(f.Found, "accepted") {
		t.Errorf("%+v", f)
	}
}

func TestExamine_misused(t *testing.T) {
	for _, at := range []string{"", "sluice.example", "ftp://sluice.example", "http://", "http://a b"} {
		if err := doctor.Examine(t.Context(), doctor.Patient{URL: at}, func(doctor.Finding) { t.Error("something was found") }); !errors.Is(err, doctor.ErrBadURL) {
			t.Errorf("%q: %v", at, err)
		}
	}
	target, _ := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := doctor.Examine(ctx, doctor.Patient{URL: target.String(), APIKey: apiKey, Idle: time.Hour, Patience: time.Minute}, func(f doctor.Finding) {
		if f.Check == "upload" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func dateIn(d time.Duration) func(http.Header) string {
	return func(http.Header) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
}

func isStream(r *http.Response) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream")
}

// buffered keeps the body of a stream until it has ended.
func buffered(p *httputil.ReverseProxy) {
	p.ModifyResponse = func(r *http.Response) error {
		if isStream(r) {
			body := r.Body
			in, out := io.Pipe()
			go func() { // ends with the connection to the service
				all, _ := io.ReadAll(body)
				_, err := out.Write(all)
				out.CloseWithError(err)
			}()
			r.Body = closing{in, func() { body.Close(); in.Close() }}
		}
		return nil
	}
}

// compressed returns a body that compresses another one.
func compressed(body io.ReadCloser) io.ReadCloser {
	in, out := io.Pipe()
	go func() { // ends with body
		z := gzip.NewWriter(out)
		_, err := io.Copy(z, body)
		out.CloseWithError(errors.Join(err, z.Close()))
	}()
	return closing{in, func() { body.Close(); in.Close() }}
}

type closing struct {
	io.Reader
	close func()
}

func (c closing) Close() error { c.close(); return nil }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
