package handlers_test

import (
	"net/url"
	"testing"
)

// namesInQuery sends names in the query that some proxies would change in a path.
func (s *suite) namesInQuery(t *testing.T) {
	srv := s.start(t)
	const name = "a/..b/c%2Fd//&=+ü."
	const template = "x/..y:{z}"
	in := url.QueryEscape(name)
	srv.run(t, []call{
		{name: "publish", method: "POST", path: "/v1/publish/$/$?channel=" + in + "&topic=t", as: apiKey, body: "1", status: 201, says: `"channel":"` + name + `","topic":"t"`},
		{name: "one of two", method: "POST", path: "/v1/publish/$/t?channel=" + in, as: apiKey, body: "2", status: 201, says: name},
		{name: "the other", method: "POST", path: "/v1/publish/c/$?topic=u", as: srv.token("c", "*"), body: "2", status: 201},
		{name: "escaped", method: "POST", path: "/v1/publish/%24/%24?topic=t&channel=" + in, as: apiKey, body: "3", status: 201, says: name},
		{name: "text", method: "PUT", path: "/v1/publish/$/$/stream?channel=" + in + "&topic=t", as: apiKey, body: "x", status: 200},
		{name: "run", method: "PUT", path: "/v1/channels/$/run?channel=" + in, as: apiKey, body: `{"status":"running"}`, status: 200, says: name},
		{name: "history", method: "GET", path: "/v1/channels/$/messages?limit=1&topic=t&channel=" + in, as: apiKey, status: 200, says: `"data":1`},
		{name: "history of a topic", method: "GET", path: "/v1/channels/$/messages?topic=other&channel=" + in, as: apiKey, status: 200, says: `"messages":[]`},
		{name: "channel", method: "GET", path: "/v1/channels/$?channel=" + in, as: apiKey, status: 200, says: name},
		{name: "delete", method: "DELETE", path: "/v1/channels/$?channel=" + in, as: apiKey, status: 204},
		{name: "define", method: "PUT", path: "/v1/schemas/$?name=" + url.QueryEscape(template), as: apiKey, body: `{}`, status: 201, says: template},
		{name: "definition", method: "GET", path: "/v1/schemas/$?name=" + url.QueryEscape(template), as: apiKey, status: 200, says: template},
		{name: "undefine", method: "DELETE", path: "/v1/schemas/$?name=" + url.QueryEscape(template), as: apiKey, status: 204},
		{name: "token", method: "DELETE", path: "/v1/tokens/$?jti=a%2Fb", as: apiKey, status: 204},
	})
	if !srv.auth.Revoked("a/b") || srv.auth.Revoked("$") {
		t.Error("another token was revoked")
	}
	for _, path := range []string{"/$/$", "/$/$?channel=c", "/$/$?topic=t", "/$/t?channel=c&channel=d", "/$/t?channel=", "/$/t?channel=$", "/$/$?channel=c&topic=$run", "/$a/t?channel=c"} {
		srv.run(t, []call{{name: path, method: "POST", path: "/v1/publish" + path, as: apiKey, body: "1", status: 400, problem: "malformed"}})
	}
	srv.run(t, []call{
		{name: "not granted", method: "POST", path: "/v1/publish/$/$?channel=" + in + "&topic=t", as: srv.token("c", "*"), body: "1", status: 403, problem: "forbidden", detail: name},
		{name: "no token", method: "DELETE", path: "/v1/tokens/$", as: apiKey, status: 400, problem: "malformed", detail: "jti"},
	})
}
