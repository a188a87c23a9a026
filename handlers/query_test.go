package handlers_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// parametersOf returns the query parameters that the document lists for a route, with * after
// those that may be repeated.
func (d *description) parametersOf(method, path string) []string {
	o, _ := d.operation(method, path)
	item := d.document["paths"].(map[string]any)[o.path].(map[string]any)
	var names []string
	for _, at := range []any{item["parameters"], item[strings.ToLower(o.method)].(map[string]any)["parameters"]} {
		list, _ := at.([]any)
		for _, p := range list {
			p := p.(map[string]any)
			if ref, ok := p["$ref"].(string); ok {
				p = d.document["components"].(map[string]any)["parameters"].(map[string]any)[ref[strings.LastIndex(ref, "/")+1:]].(map[string]any)
			}
			if p["in"] != "query" {
				continue
			}
			name := p["name"].(string)
			if p["schema"].(map[string]any)["type"] == "array" {
				name += "*"
			}
			names = append(names, name)
		}
	}
	if o.path == "/v1/subscribe" {
		names = append(names, "access_token")
	}
	return names
}

// queries checks the query parameters of all routes against the document. Unknown, repeated and
// empty ones are refused.
func (s *suite) queries(t *testing.T) {
	srv := s.start(t)
	calls := []call{
		{method: "GET", path: "/v1/subscribe?channel=c", header: map[string]string{"Accept": "application/x-ndjson"}},
		{method: "GET", path: "/v1/subscribe?channel=c"},
		{method: "HEAD", path: "/v1/subscribe?channel=c"},
	}
	for _, e := range endpoints() {
		if strings.HasPrefix(e.path, "/v1/") {
			calls = append(calls, e.call)
		}
	}
	for _, c := range calls {
		c.as, c.status, c.problem = apiKey, 400, "malformed"
		base := c.path + "?"
		if strings.Contains(c.path, "/subscribe?") {
			base = c.path + "&"
		}
		base = strings.Replace(base, "sub=nobody?", "", 1)
		known := s.described.parametersOf(c.method, c.path)
		refused := func(name, query, detail string) {
			t.Helper()
			c.name, c.path, c.detail = c.method+" "+name, base+query, detail
			srv.run(t, []call{c})
		}
		for _, name := range []string{"nonsense", "Channel", "channels", "channel[]", "_", "cb", "limit ", ""} {
			refused("unknown "+name, url.QueryEscape(name)+"=1", "is unknown here")
		}
		for _, name := range []string{"access_token", "sub", "prefix", "order", "run_id", "topic", "channel", "name", "jti"} {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.TrimSuffix(k, "*") == name }) {
				refused("of others "+name, name+"=x", "is unknown here")
			}
		}
		for _, name := range known {
			bare := strings.TrimSuffix(name, "*")
			if inPath := slices.Contains([]string{"name", "jti"}, bare) || slices.Contains([]string{"channel", "topic"}, bare) && name == bare && !strings.Contains(c.path, "subscribers"); inPath {
				refused("the path has "+bare, bare+"=x", "is unknown here")
				continue
			}
			if name == bare && bare != "access_token" {
				refused("twice "+bare, bare+"=x&"+bare+"=x", bare+" stands there more than once")
			}
			if !slices.Contains([]string{"prefix", "run_id", "last_event_id", "lastEventId", "access_token"}, bare) {
				refused("empty "+bare, bare+"=", bare+" is empty")
			}
		}
	}
	srv.run(t, []call{
		{name: "two names of one", method: "GET", path: "/v1/subscribe?channel=c&last_event_id=a-1&lastEventId=a-1", as: apiKey, status: 400, problem: "malformed"},
		{name: "two in the place of a name", method: "POST", path: "/v1/publish/$/t?channel=c&channel=c", as: apiKey, body: "1", status: 400, problem: "malformed", detail: "more than once"},
		{name: "token of an address for another route", method: "POST", path: "/v1/publish/c/t?access_token=x", as: apiKey, body: "1", status: 400, problem: "malformed", detail: "access_token"},
		{name: "the page", method: "GET", path: "/?utm_source=x&utm_source=y", status: 200},
		{name: "health", method: "GET", path: "/healthz?x=", status: 200},
		{name: "the SDK", method: "GET", path: "/sdk/sluice.js?v=2", status: 200},
	})
}

// disconnectOfChannel tests that a disconnection with a channel ends only the streams of that
// channel.
func (s *suite) disconnectOfChannel(t *testing.T) {
	srv := s.start(t)
	token := srv.token("*", "*")
	open := func(query string) *feed {
		f := srv.open(t, call{as: token, path: query})
		f.after("$open")
		return f
	}
	a, pattern, both, b := open("channel=a:1"), open("channel=a:*"), open("channel=b&channel=a:1"), open("channel=b")
	srv.run(t, []call{
		{name: "of another subject", method: "DELETE", path: "/v1/subscribers?sub=user-8&channel=a:1", as: apiKey, status: 200, says: `{"disconnected":0}`},
		{name: "of a channel that nobody reads", method: "DELETE", path: "/v1/subscribers?sub=user-7&channel=c", as: apiKey, status: 200, says: `{"disconnected":0}`},
		{name: "a bad channel", method: "DELETE", path: "/v1/subscribers?sub=user-7&channel=a:*", as: apiKey, status: 400, problem: "malformed"},
		{name: "no subject", method: "DELETE", path: "/v1/subscribers?channel=a:1", as: apiKey, status: 400, problem: "malformed"},
		{name: "of one", method: "DELETE", path: "/v1/subscribers?sub=user-7&channel=a:1", as: apiKey, status: 200, says: `{"disconnected":3}`},
	})
	for _, f := range []*feed{a, pattern, both} {
		f.closedWith(4403)
	}
	srv.publish("b", "t", "1")
	b.gets("1")
	b.close()
}
