package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// endpoints returns every route with a call that an API key can make, and who else may make it.
func endpoints() []struct {
	call
	who string // open, token or key
} {
	const publish = `{"channel":"c","topic":"t","data":1}`
	json := map[string]string{"Content-Type": "application/json"}
	return []struct {
		call
		who string
	}{
		{call{method: "POST", path: "/v1/publish/c/t", body: "1", status: 201}, "token"},
		{call{method: "POST", path: "/v1/publish", body: publish, header: json, status: 201}, "token"},
		{call{method: "POST", path: "/v1/publish/c/t/stream", body: "x", status: 200}, "token"},
		{call{method: "PUT", path: "/v1/publish/c/t/stream", body: "x", status: 200}, "token"},
		{call{method: "PUT", path: "/v1/channels/c/run", body: `{"status":"running"}`, status: 200}, "token"},
		{call{method: "GET", path: "/v1/channels/c/messages", status: 200}, "token"},
		{call{method: "GET", path: "/v1/channels/c", status: 200}, "token"},
		{call{method: "POST", path: "/v1/tokens", body: `{"channel":"c","topics":["*"]}`, status: 201}, "key"},
		{call{method: "DELETE", path: "/v1/tokens/some", status: 204}, "key"},
		{call{method: "GET", path: "/.well-known/jwks.json", status: 200}, "open"},
		{call{method: "GET", path: "/v1/subscribers", status: 200}, "key"},
		{call{method: "DELETE", path: "/v1/subscribers?sub=nobody", status: 200}, "key"},
		{call{method: "GET", path: "/v1/webhooks", status: 200}, "key"},
		{call{method: "GET", path: "/v1/channels", status: 200}, "key"},
		{call{method: "GET", path: "/v1/schemas", status: 200}, "token"},
		{call{method: "PUT", path: "/v1/schemas/d", body: `{}`, status: 201}, "key"},
		{call{method: "GET", path: "/v1/schemas/d", status: 200}, "token"},
		{call{method: "DELETE", path: "/v1/schemas/d", status: 204}, "key"},
		{call{method: "DELETE", path: "/v1/channels/c", status: 204}, "key"},
		{call{method: "GET", path: "/healthz", status: 200}, "open"},
		{call{method: "GET", path: "/readyz", status: 200}, "open"},
		{call{method: "GET", path: "/metrics", status: 200}, "open"},
		{call{method: "GET", path: "/openapi.yaml", status: 200}, "open"},
		{call{method: "GET", path: "/", status: 200}, "open"},
	}
}

// credentials tests who may call each route.
func (s *suite) credentials(t *testing.T) {
	srv := s.start(t)
	token := srv.token("c", "*")
	revoked := srv.mint(auth.TokenRequest{Subscribe: schemas.AllowAll(), Publish: schemas.AllowAll()})
	if err := srv.auth.Revoke(revoked.ID); err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints() {
		e.name = "with an API key"
		e.as = apiKey
		open := e.who == "open"
		none, bad, gone, stranger, user := e.call, e.call, e.call, e.call, e.call
		none.name, none.as = "without a credential", ""
		bad.name, bad.as = "with a bad credential", token+"x"
		gone.name, gone.as = "with a revoked token", revoked.Token
		user.name, user.as = "with a token", token
		stranger.name, stranger.as = "with a token for something else", srv.token("other", "other")
		if !open {
			for _, c := range []*call{&none, &bad, &gone} {
				c.status, c.problem, c.says = 401, "unauthorized", "Send a valid API key or token as Authorization: Bearer"
				c.sets = map[string]string{"WWW-Authenticate": `Bearer realm="sluice", error="invalid_token"`}
			}
			none.sets["WWW-Authenticate"] = `Bearer realm="sluice"`
		}
		granted := strings.Contains(e.path, "/c") || e.body != ""
		if e.who == "key" || e.who == "token" && granted {
			stranger.status, stranger.problem = 403, "forbidden"
			stranger.sets = map[string]string{"WWW-Authenticate": `Bearer realm="sluice", error="insufficient_scope"`}
		}
		if e.who == "key" {
			user.status, user.problem, user.detail = 403, "forbidden", "only an API key"
		}
		t.Run(e.method+" "+e.path, func(t *testing.T) { srv.run(t, []call{none, bad, gone, stranger, user, e.call}) })
	}
	s.schemes(t, srv, token)
	s.issuerAway(t)
}

// issuerAway tests a token whose issuer is out of reach: the token may be valid, so it is not
// refused as unauthorized.
func (s *suite) issuerAway(t *testing.T) {
	const issuer = "https://issuer.example.com"
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	srv := s.start(t, func(o *setup) {
		o.auth.Issuers = []auth.Issuer{{Issuer: issuer, Audience: issuer, Algorithms: []auth.Algorithm{auth.EdDSA}, JWKSURL: away.URL}}
	})
	foreign := must(auth.New(auth.Options{Keys: must(auth.NewKeyring()), Issuer: issuer, Audience: issuer}))
	defer foreign.Close()
	token := must(foreign.Mint(auth.TokenRequest{Subscribe: schemas.AllowAll()})).Token
	later := map[string]string{"Retry-After": "2", "WWW-Authenticate": "-"}
	for _, e := range endpoints() {
		if e.who != "open" {
			e.name, e.as, e.status, e.problem, e.sets = "issuer away: "+e.method+" "+e.path, token, 503, "engine-unavailable", later
			srv.run(t, []call{e.call})
		}
	}
	srv.check(t, call{method: "GET", path: "/v1/subscribe", as: token, header: map[string]string{"Accept": "application/x-ndjson"}, status: 503, problem: "engine-unavailable", sets: later})
	s.refused(t, srv, token, 4005, "engine_unavailable", srv.broker.Head("c").String())
}

// schemes tests the Authorization header against RFC 9110 and RFC 6750.
func (s *suite) schemes(t *testing.T, srv *server, token string) {
	publish := call{method: "POST", path: "/v1/publish/c/t", body: "1", status: 201}
	for _, header := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token + " "} {
		c := publish
		c.name, c.header = header[:7], map[string]string{"Authorization": header}
		srv.run(t, []call{c})
	}
	for _, header := range []string{"Basic " + token, token, "Bearer", "Bearer ", "Token " + token} {
		c := publish
		c.name, c.header, c.status, c.problem = "scheme", map[string]string{"Authorization": header}, 401, "unauthorized"
		c.sets = map[string]string{"WWW-Authenticate": `Bearer realm="sluice"`}
		srv.run(t, []call{c})
	}
	query := publish
	query.name, query.path, query.status, query.problem = "in the query of a publish", "/v1/publish/c/t?access_token="+token, 401, "unauthorized"
	srv.run(t, []call{query})
}

// routes tests the answers to unknown paths and wrong methods.
func (s *suite) routes(t *testing.T) {
	srv := s.start(t)
	var calls []call
	notFound := func(method, path string) {
		calls = append(calls, call{name: method + " " + path, method: method, path: path, as: apiKey, status: 404, problem: "not-found"})
	}
	for _, path := range []string{
		"/nothing", "/v1", "/v1/", "/v1/nothing", "/v2/publish/c/t", "/v1/publish/c", "/v1/publish/c/t/stream/x", "/v1/publish/c/t/x",
		"/v1/schemas/a/b", "/v1/channels/a/b", "/healthz/", "/HEALTHZ", "/sdk", "/sdk/", "/../go.mod", "/%2e%2e/go.mod", "/sdk/../index.htm",
	} {
		notFound("GET", path)
	}
	notFound("POST", "/nothing")
	notFound("DELETE", "/v1/tokens/a/b")
	notFound("BREW", "/v1/nothing")
	for _, m := range []struct{ method, path, allow string }{
		{"GET", "/v1/publish/c/t", "OPTIONS, POST"},
		{"DELETE", "/v1/publish", "OPTIONS, POST"},
		{"GET", "/v1/publish/c/t/stream", "OPTIONS, DELETE, HEAD, POST, PUT"},
		{"PUT", "/v1/subscribe", "OPTIONS, GET, HEAD, POST"},
		{"POST", "/v1/channels/c/run", "OPTIONS, PUT"},
		{"PATCH", "/v1/channels/c", "OPTIONS, DELETE, GET, HEAD"},
		{"PATCH", "/v1/schemas/c", "OPTIONS, DELETE, GET, HEAD, PUT"},
		{"GET", "/v1/tokens", "OPTIONS, POST"},
		{"POST", "/", "OPTIONS, GET, HEAD"},
		{"BREW", "/healthz", "OPTIONS, GET, HEAD"},
	} {
		calls = append(calls,
			call{name: m.method + " " + m.path, method: m.method, path: m.path, as: apiKey, status: 405, problem: "method-not-allowed", sets: map[string]string{"Allow": m.allow}},
			call{name: "OPTIONS " + m.path, method: "OPTIONS", path: m.path, status: 204, sets: map[string]string{"Allow": m.allow}})
	}
	for _, e := range endpoints() {
		if e.method == "GET" && e.status == 200 && e.path != "/v1/schemas/d" && e.path != "/v1/channels/c" {
			calls = append(calls, call{name: "HEAD " + e.path, method: "HEAD", path: e.path, as: apiKey, status: 200})
		}
	}
	calls = append(calls,
		call{name: "HEAD of a stream", method: "HEAD", path: "/v1/subscribe?channel=c", as: apiKey, status: 200, sets: map[string]string{"Content-Type": "text/event-stream"}},
		call{name: "HEAD without a credential", method: "HEAD", path: "/v1/subscribe?channel=c", status: 401},
		call{name: "OPTIONS nowhere", method: "OPTIONS", path: "/nothing", status: 404, problem: "not-found"},
		call{name: "own request id", method: "GET", path: "/healthz", header: map[string]string{"X-Request-Id": "abc-1"}, status: 200, sets: map[string]string{"X-Request-Id": "abc-1"}},
	)
	srv.run(t, calls)
	for _, id := range []string{strings.Repeat("x", 65), "a b", `a"b`, "a\u00e9", ""} {
		a := srv.check(t, call{method: "GET", path: "/healthz", header: map[string]string{"X-Request-Id": id}, status: 200})
		if got := a.header.Get("X-Request-Id"); got == id || len(got) < 16 {
			t.Errorf("request id %q was taken over", id)
		}
	}
}
