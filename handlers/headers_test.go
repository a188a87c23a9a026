package handlers_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// doubledHeaders sends single-valued headers twice, on every route. Neither the first nor the
// last one may win.
func (s *suite) doubledHeaders(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.handlers.CORSOrigins = []string{"https://a.example.com"} })
	token := srv.token("c", "*")
	for name, values := range map[string][2]string{
		"Authorization":   {"Bearer " + token, "Bearer " + apiKey},
		"Content-Type":    {"application/json", "text/plain"},
		"Origin":          {"https://a.example.com", "https://b.example.com"},
		"Idempotency-Key": {"a", "b"},
		"Last-Event-ID":   {"a-1", "a-2"},
	} {
		calls := []call{{method: "GET", path: "/v1/subscribe?channel=c", as: apiKey}, {method: "GET", path: "/v1/subscribe?channel=c&access_token=" + token}}
		for _, e := range endpoints() {
			e.as = apiKey
			calls = append(calls, e.call)
		}
		for _, c := range calls {
			if !strings.HasPrefix(c.path, "/v1/") {
				continue // the same code; not every one of them may answer 400
			}
			for _, v := range [][2]string{values, {values[1], values[0]}, {values[0], values[0]}, {values[0], ""}} {
				req := srv.request(t, c, nil)
				req.Header[http.CanonicalHeaderKey(name)] = v[:]
				a, err := srv.do(req)
				if err != nil {
					t.Fatal(err)
				}
				if a.status != http.StatusBadRequest {
					t.Fatalf("%s %s with two lines of %s: %d %s", c.method, c.path, name, a.status, a.body)
				}
				checkProblem(t, a, call{problem: "malformed", detail: "more than one"})
				if name == "Origin" && a.header.Get("Access-Control-Allow-Origin") != "" {
					t.Error("one of two origins is allowed")
				}
			}
		}
	}
	for _, codings := range [][]string{{"identity", "gzip"}, {"gzip", "identity"}, {"identity, gzip"}} {
		for _, path := range []string{"/v1/publish/c/t", "/v1/publish", "/v1/publish/c/t/stream"} {
			req := srv.request(t, call{method: "POST", path: path, as: apiKey}, strings.NewReader("1"))
			req.Header["Content-Encoding"] = slices.Clone(codings)
			a, err := srv.do(req)
			if err != nil {
				t.Fatal(err)
			}
			if a.status != http.StatusUnsupportedMediaType {
				t.Errorf("%s in the codings %q: %d %s", path, codings, a.status, a.body)
			}
		}
	}
}
