package handlers_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sluicehq/sluice/schemas"
)

func (s *suite) cors(t *testing.T) {
	const ours, theirs, local = "https://app.example.com", "https://evil.example.com", "http://localhost:5173"
	for _, tt := range []struct {
		name         string
		change       func(*setup)
		origin       string
		allowed      string
		withIdentity bool
	}{
		{"none by default", func(*setup) {}, ours, "", false},
		{"not localhost by default", func(*setup) {}, local, "", false},
		{"listed", func(o *setup) { o.handlers.CORSOrigins = []string{"https://other.example.com", ours} }, ours, ours, true},
		{"not listed", func(o *setup) { o.handlers.CORSOrigins = []string{ours} }, theirs, "", false},
		{"with a suffix", func(o *setup) { o.handlers.CORSOrigins = []string{ours} }, ours + ".evil.com", "", false},
		{"another scheme", func(o *setup) { o.handlers.CORSOrigins = []string{ours} }, "http://app.example.com", "", false},
		{"another port", func(o *setup) { o.handlers.CORSOrigins = []string{ours} }, ours + ":8443", "", false},
		{"null", func(o *setup) { o.handlers.CORSOrigins = []string{ours} }, "null", "", false},
		{"below a wildcard", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, ours, ours, true},
		{"far below a wildcard", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, "https://a.b.example.com", "https://a.b.example.com", true},
		{"not below a wildcard", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, "https://example.com", "", false},
		{"beside a wildcard", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, "https://evilexample.com", "", false},
		{"below a wildcard, another port", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, ours + ":8443", "", false},
		{"below a wildcard, another scheme", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, "http://app.example.com", "", false},
		{"a wildcard in front", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, "https://.example.com", "", false},
		{"a trick below a wildcard", func(o *setup) { o.handlers.CORSOrigins = []string{"https://*.example.com"} }, "https://evil.com/.example.com", "", false},
		{"star", func(o *setup) { o.handlers.CORSOrigins = []string{"*"} }, theirs, "*", false},
		{"star and listed", func(o *setup) { o.handlers.CORSOrigins = []string{"*", ours} }, ours, ours, true},
		{"localhost in development", func(o *setup) { o.handlers.Dev = true }, local, local, true},
		{"127.0.0.1 in development", func(o *setup) { o.handlers.Dev = true }, "http://127.0.0.1:3000", "http://127.0.0.1:3000", true},
		{"IPv6 in development", func(o *setup) { o.handlers.Dev = true }, "https://[::1]:3000", "https://[::1]:3000", true},
		{"another one in development", func(o *setup) { o.handlers.Dev = true }, "http://localhost.evil.com", "", false},
		{"a file in development", func(o *setup) { o.handlers.Dev = true }, "file://localhost", "", false},
		{"null in development", func(o *setup) { o.handlers.Dev = true }, "null", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := s.start(t, tt.change)
			wants := map[string]string{"Access-Control-Allow-Origin": "-", "Access-Control-Allow-Credentials": "-", "Access-Control-Expose-Headers": "-"}
			preflight := map[string]string{"Access-Control-Allow-Origin": "-", "Access-Control-Allow-Methods": "-", "Access-Control-Allow-Headers": "-"}
			if tt.allowed != "" {
				wants["Access-Control-Allow-Origin"] = tt.allowed
				wants["Access-Control-Expose-Headers"] = "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, Stream-Attempt, Stream-Offset, Stream-State, WWW-Authenticate, X-Request-Id"
				preflight = map[string]string{
					"Access-Control-Allow-Origin": tt.allowed, "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE", "Access-Control-Max-Age": "600",
					"Access-Control-Allow-Headers": "authorization, traceparent,baggage,sentry-trace", "Vary": "Origin, Access-Control-Request-Headers",
				}
			}
			if tt.withIdentity {
				wants["Access-Control-Allow-Credentials"] = "true"
			}
			asks := map[string]string{"Origin": tt.origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, traceparent,baggage,sentry-trace"}
			srv.run(t, []call{
				{name: "simple", method: "GET", path: "/healthz", header: map[string]string{"Origin": tt.origin}, status: 200, sets: wants},
				{name: "an error", method: "POST", path: "/v1/publish/c/t", header: map[string]string{"Origin": tt.origin}, body: "1", status: 401, problem: "unauthorized", sets: wants},
				{name: "preflight", method: "OPTIONS", path: "/v1/publish/c/t", header: asks, status: 204, sets: preflight},
			})
			feed := srv.open(t, call{as: apiKey, path: "channel=c", header: map[string]string{"Origin": tt.origin}})
			checkHeaders(t, &answer{header: feed.resp.Header}, wants)
			feed.close()
		})
	}
}

// host tests that a development server refuses other host names, as in a DNS rebinding attack.
func (s *suite) host(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.handlers.Dev, o.handlers.DevHosts = true, []string{"sluice", "host.docker.internal"} })
	for host, good := range map[string]bool{
		"sluice": true, "Sluice:8080": true, "host.docker.internal:8080": true, "sluice.evil.com": false, "evil.sluice": false,
		"localhost": true, "LOCALHOST:8080": true, "127.0.0.1:8080": true, "127.8.8.8": true, "[::1]:8080": true, "[::1]": true,
		"evil.example.com": false, "evil.example.com:8080": false, "localhost.evil.com": false, "0.0.0.0": false, "192.168.1.7": false, "[::]": false, "127.8.8.8.evil.com": false,
	} {
		c := call{name: host, method: "GET", path: "/v1/subscribers", as: apiKey, header: map[string]string{"Host": host}, status: 200}
		if !good {
			c.status, c.problem, c.detail = 403, "forbidden", "localhost"
			c.sets = map[string]string{"WWW-Authenticate": "-", "Access-Control-Allow-Origin": "-", "Vary": "-"}
		}
		srv.run(t, []call{c})
	}
	open := s.start(t)
	open.check(t, call{method: "GET", path: "/healthz", header: map[string]string{"Host": "sluice.example.com"}, status: 200})
}

// TestPage_key: in development the page has an API key in it, but only for whoever opens it
// on this machine, and for no page of another origin.
func TestPage_key(t *testing.T) {
	srv := start(t, func(o *setup) {
		o.handlers.Dev, o.handlers.DevHosts = true, []string{"sluice"}
		o.handlers.PageKey = "a.b-c_d"
		o.handlers.Page = fstest.MapFS{"index.html": {Data: []byte("<head><title>Sluice</title></head>")}}
	})
	const with = `<head><title>Sluice</title><meta name="sluice-key" content="a.b-c_d"></head>`
	for _, tt := range []struct {
		name   string
		header map[string]string
		token  bool
	}{
		{"by hand", nil, true},
		{"under the other name", map[string]string{"Host": "localhost:1"}, true},
		{"from a container", map[string]string{"Host": "sluice"}, false},
		{"by a page of another origin", map[string]string{"Origin": "http://localhost:3000"}, false},
		{"through a proxy", map[string]string{"X-Forwarded-For": "127.0.0.1"}, false},
		{"through a tunnel", map[string]string{"Forwarded": "for=192.0.2.1"}, false},
		{"through a cache", map[string]string{"Via": "1.1 cache"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := call{method: "GET", path: "/", header: tt.header, status: 200, sets: map[string]string{"Cache-Control": "no-cache", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8"}}
			if tt.token {
				c.sets["Cache-Control"], c.says = "no-store", with
			}
			if a := srv.check(t, c); strings.Contains(a.body, "sluice-key") != tt.token {
				t.Errorf("the page is %s", a.body)
			}
		})
	}
	for name, remote := range map[string]string{"from another machine": "192.0.2.1:5", "without an address": ""} {
		t.Run(name, func(t *testing.T) {
			r, w := httptest.NewRequest("GET", "http://localhost/", nil), httptest.NewRecorder()
			r.RemoteAddr = remote
			srv.service.ServeHTTP(w, r)
			if w.Code != 200 || strings.Contains(w.Body.String(), "sluice-key") {
				t.Errorf("the page is %d %s", w.Code, w.Body)
			}
		})
	}
}

// operation tests the endpoints for operators.
func (s *suite) operation(t *testing.T) {
	srv := s.start(t)
	srv.run(t, []call{
		{name: "health", method: "GET", path: "/healthz", status: 200, says: `{"status":"ok"}`, sets: map[string]string{"Cache-Control": "no-store"}},
		{name: "ready", method: "GET", path: "/readyz", status: 200, says: `{"status":"ready"}`},
		{name: "document", method: "GET", path: "/openapi.yaml", status: 200, says: "openapi: 3.1", sets: map[string]string{"Content-Type": "application/yaml"}},
	})
	if a := srv.send(t, call{method: "GET", path: "/openapi.yaml"}); a.body != string(schemas.OpenAPI()) {
		t.Error("another document")
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	for path, media := range map[string]string{
		"/": "text/html; charset=utf-8", "/index.html": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/style.css": "text/css; charset=utf-8",
		"/favicon.svg": "image/svg+xml",
	} {
		c := call{method: "GET", path: path, status: 200, sets: map[string]string{"Content-Type": media, "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}}
		a := srv.check(t, c)
		name := strings.TrimPrefix(path, "/")
		if name == "" {
			name = "index.html"
		}
		if a.body != string(page()[name].Data) {
			t.Errorf("%s is %q", path, a.body)
		}
	}
	s.sdk(t)
	s.conditional(t)
	s.panics(t)
	s.metrics(t)
}

// sdk requests the SDK like pages of other origins.
func (s *suite) sdk(t *testing.T) {
	const listed, other = "https://app.example.com", "https://other.example.com"
	srv := s.start(t, func(o *setup) { o.handlers.CORSOrigins = []string{listed} })
	for origin, allowed := range map[string]string{"": "*", "null": "*", other: "*", listed: listed} {
		c := call{method: "GET", path: "/sdk/sluice.js", status: 200, header: map[string]string{}, sets: map[string]string{
			"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache", "Access-Control-Allow-Origin": allowed, "Content-Security-Policy": "-",
		}}
		if origin != "" {
			c.header["Origin"] = origin
		}
		if a := srv.check(t, c); a.body != string(page()["sdk/sluice.js"].Data) {
			t.Errorf("another module: %q", a.body)
		}
		c.method, c.sets = "HEAD", map[string]string{"Access-Control-Allow-Origin": allowed}
		srv.check(t, c)
	}
	srv.run(t, []call{
		{name: "the package", method: "GET", path: "/sdk/sluice.tgz", status: 200, says: "\x1f\x8b", sets: map[string]string{"Content-Type": "application/gzip", "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "-"}},
		{name: "another module", method: "GET", path: "/sdk/other.js", status: 404, problem: "not-found"},
		{name: "the folder", method: "GET", path: "/sdk", status: 404, problem: "not-found"},
		{name: "another method", method: "POST", path: "/sdk/sluice.js", status: 405, problem: "method-not-allowed"},
		{name: "the API stays closed", method: "GET", path: "/healthz", header: map[string]string{"Origin": other}, status: 200, sets: map[string]string{"Access-Control-Allow-Origin": "-"}},
	})
}

// conditional requests files that the client already has.
func (s *suite) conditional(t *testing.T) {
	srv := s.start(t)
	tags := map[string]string{}
	for _, path := range []string{"/", "/app.js", "/sdk/sluice.js", "/sdk/sluice.tgz"} {
		tag := srv.send(t, call{method: "GET", path: path}).header.Get("ETag")
		if tags[tag] != "" {
			t.Errorf("%s and %s have the tag %q", path, tags[tag], tag)
		}
		tags[tag] = path
		for asked, status := range map[string]int{
			tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304,
			"": 200, `"x"`: 200, strings.Trim(tag, `"`): 200, tag[:len(tag)-2] + `"`: 200,
		} {
			c := call{method: "GET", path: path, header: map[string]string{"If-None-Match": asked}, status: status, sets: map[string]string{"ETag": tag, "Cache-Control": "no-cache"}}
			if a := srv.check(t, c); (a.body == "") != (status == 304) {
				t.Errorf("%s with If-None-Match %q: body %q", path, asked, a.body)
			}
		}
	}
}

// brokenPage has files that exist when the routes are made but not later: one is gone, and reading
// another one panics.
type brokenPage struct{ fstest.MapFS }

func (p brokenPage) ReadFile(name string) ([]byte, error) {
	switch name {
	case "app.js":
		panic(errors.New("secret cause of " + name))
	case "style.css":
		return nil, fs.ErrNotExist
	}
	return p.MapFS.ReadFile(name)
}

// panics makes a handler panic.
func (s *suite) panics(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.handlers.Page = brokenPage{MapFS: page()} })
	a := srv.check(t, call{method: "GET", path: "/app.js", status: 500, problem: "internal", detail: "in the server's log"})
	if strings.Contains(a.body, "secret cause") {
		t.Errorf("the answer tells the cause: %s", a.body)
	}
	id := `"request_id":"` + a.header.Get("X-Request-Id") + `"`
	if lines := srv.log.lines(id, "secret cause of app.js", `"stack"`, "ReadFile", `"level":"ERROR"`); len(lines) != 1 {
		t.Errorf("%d lines with the cause in the log", len(lines))
	}
	srv.check(t, call{method: "GET", path: "/style.css", status: 404, problem: "not-found"})
	srv.check(t, call{method: "GET", path: "/", status: 200})
}

// brokenAnswer panics when something is written to it.
type brokenAnswer struct{ *httptest.ResponseRecorder }

func (brokenAnswer) Write([]byte) (int, error) { panic("secret cause of Write") }

// If a handler panics after its answer has begun, the answer must not look complete.
func TestPanic_afterTheHead(t *testing.T) {
	srv := start(t)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/publish", strings.NewReader(line(1)))
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/x-ndjson")
	defer func() {
		if v, ok := recover().(error); !ok || !errors.Is(v, http.ErrAbortHandler) {
			t.Errorf("the handler panics with %v", v)
		}
		if len(srv.log.lines("secret cause of Write", `"stack"`, `"level":"ERROR"`)) != 1 {
			t.Errorf("log: %s", srv.log)
		}
	}()
	srv.handler.ServeHTTP(brokenAnswer{httptest.NewRecorder()}, req)
}

// metrics tests that labels contain nothing that they must not.
func (s *suite) metrics(t *testing.T) {
	srv := s.start(t)
	srv.publish("channel-in-no-label", "topic-in-no-label", "1")
	feed := srv.open(t, call{as: srv.token("channel-in-no-label", "*")})
	feed.after("$open")
	srv.publish("channel-in-no-label", "topic-in-no-label", "1")
	feed.gets("1")
	srv.check(t, call{method: "DELETE", path: "/v1/channels/channel-in-no-label", as: apiKey, status: 204})
	feed.after("$close")
	feed.ends()
	for _, c := range []call{
		{method: "METHOD-IN-NO-LABEL", path: "/healthz", status: 405, problem: "method-not-allowed"},
		{method: "GET", path: "/path-in-no-label", status: 404, problem: "not-found"},
		{method: "GET", path: "/v1/schemas/name-in-no-label", as: apiKey, status: 404, problem: "not-found"},
		{method: "GET", path: "/v1/channels/$?channel=query-in-no-label", as: apiKey, status: 404, problem: "not-found"},
	} {
		srv.check(t, c)
	}
	a := srv.countedStreams(t, 1)
	if strings.Contains(a.body, "in-no-label") || strings.Contains(a.body, "IN-NO-LABEL") || strings.Contains(a.body, "user-7") {
		t.Error("a label has a name from outside in it")
	}
	for _, want := range []string{
		`sluice_http_requests_total{method="other",route="/healthz",status="405"} 1`,
		`sluice_http_requests_total{method="GET",route="none",status="404"} 1`,
		`sluice_http_requests_total{method="GET",route="/v1/channels/:channel",status="404"} 1`,
		`sluice_http_requests_total{method="GET",route="/v1/subscribe",status="200"} 1`,
		`sluice_streams_finished_total{reason="channel_deleted"} 1`,
		`sluice_streams_finished_total{reason="slow_consumer"} 0`,
		`sluice_problems_total{problem="not-found"} 3`,
		"sluice_delivered_messages_total 1", "sluice_published_messages_total 2", "sluice_channels 0", "sluice_streams 0",
	} {
		if !strings.Contains(a.body, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	name := regexp.MustCompile(`^(sluice|go|process)_[a-z0-9_]+`)
	for line := range bytes.Lines([]byte(a.body)) {
		if line[0] != '#' && !name.Match(line) {
			t.Errorf("metric %s", line)
		}
	}
}
