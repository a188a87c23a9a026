package handlers_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/schemas"
)

// nested returns JSON with the given number of levels.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// Wherever the server reads JSON, the deepest allowed nesting is accepted and one more level is
// refused.
func TestDepth(t *testing.T) {
	srv := start(t)
	const most = strictjson.MaxDepth
	typed := func(media string) map[string]string { return map[string]string{"Content-Type": media} }
	item := func(levels int) string { return `{"channel":"c","topic":"t","data":` + nested(levels) + `}` }
	for _, way := range []struct {
		name, method, path string
		most               int // levels of what is put into the body
		body               func(levels int) string
		status             int
	}{
		{"publish", "POST", "/v1/publish/c/t", most, nested, 201},
		{"an item", "POST", "/v1/publish", most, item, 201},
		{"a result", "PUT", "/v1/channels/c/run", most - 1, func(n int) string { return `{"status":"running","result":` + nested(n) + `}` }, 200},
		{"an error", "PUT", "/v1/channels/d/run", most - 1, func(n int) string { return `{"status":"running","error":` + nested(n) + `}` }, 200},
		{"a status", "PUT", "/v1/channels/d/run", 0, func(n int) string { return `{"status":` + nested(n) + `}` }, 400},
		{"a token", "POST", "/v1/tokens", 0, func(n int) string { return `{"subscribe":[` + nested(n) + `]}` }, 400},
		{"a definition", "PUT", "/v1/schemas/d", 0, func(n int) string { return `{"topics":{"t":{"schema":{"const":` + nested(n) + `}}}}` }, 422},
	} {
		for _, levels := range []int{way.most + 1, most + 1, 9_990, 10_001, 20_000} {
			if levels <= most && way.most == 0 {
				continue // refused for another reason
			}
			c := call{method: way.method, path: way.path, as: apiKey, body: way.body(levels), header: typed("application/json")}
			if a := srv.send(t, c); a.status != 400 || !strings.Contains(a.body, "nested too deep: at most 500 arrays and objects may stand within each other") {
				t.Errorf("%s, %d levels: %d %s", way.name, levels, a.status, a.body)
			}
		}
		if way.most > 0 {
			srv.check(t, call{method: way.method, path: way.path, as: apiKey, body: way.body(way.most), status: way.status, header: typed("application/json")})
		}
	}
	for _, c := range []call{
		{name: "lines", header: typed("application/x-ndjson"), body: item(1) + "\n" + item(most+1) + "\n" + item(10_001) + "\n" + item(most)},
		{name: "an array", header: typed("application/json"), body: "[" + item(1) + "," + item(most+1) + "," + item(9_990) + "," + item(most) + "]"},
	} {
		c.method, c.path, c.as, c.status = "POST", "/v1/publish", apiKey, 200
		a := srv.check(t, c)
		if n := strings.Count(a.body, "nested too deep"); n != 2 || strings.Count(a.body, `"durable"`) != 2 {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
	srv.check(t, call{method: "POST", path: "/v1/publish", as: apiKey, body: "[" + item(10_001) + "]", header: typed("application/json"), status: 400, problem: "malformed", detail: "nested too deep"})
	srv.check(t, call{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: nested(2000), header: typed("text/plain"), status: 201})
	srv.check(t, call{method: "GET", path: "/v1/subscribe?channel=c", as: deepToken(t, srv), status: 401, problem: "unauthorized"})
}

// A durable publish that is repeated with data that is too deep gets the first receipt, as with
// any other fault.
func TestDepth_retry(t *testing.T) {
	srv := start(t)
	c := call{method: "POST", path: "/v1/publish/c/t", as: apiKey, header: map[string]string{"Idempotency-Key": "k"}, body: "1", status: 201}
	srv.check(t, c)
	for _, levels := range []int{501, 10_001} {
		c.body, c.status, c.says = nested(levels), 200, `"duplicate":true`
		srv.check(t, c)
	}
}

// deepToken returns a token whose claims are nested too deep.
func deepToken(t *testing.T, srv *server) string {
	t.Helper()
	parts := strings.Split(srv.token("c", "*"), ".")
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"a":`+nested(501)+`}`)) + "." + parts[2]
}

// A history includes a message that an older server accepted and that is nested deeper than
// encoding/json reads.
func TestHistory_deep(t *testing.T) {
	srv := start(t)
	srv.publish("c", "t", `"before"`)
	srv.publish("c", "t", nested(10_000))
	srv.publish("c", "t", `"after"`)
	a := srv.check(t, call{method: "GET", path: "/v1/channels/c/messages", as: apiKey, status: 200, says: `"data":` + nested(10_000) + `,`})
	change := schemas.RunChange{Status: "running", Result: []byte(nested(9_999))}
	if _, err := srv.broker.SetRun(t.Context(), broker.RunPublication{Channel: "c", Change: change}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/channels", "/v1/channels/c"} {
		srv.check(t, call{method: "GET", path: path, as: apiKey, status: 200, says: `"result":` + nested(9_999)})
	}
	if !strings.Contains(a.body, `"after"`) || !strings.HasSuffix(a.body, `"gap":false,"next":null}`+"\n") {
		t.Errorf("the page ends with %s", a.body[max(0, len(a.body)-100):])
	}
}

// unencodable cannot be encoded as JSON.
type unencodable struct{ F func() }

// A handler that fails after it has sent its status, or because its answer cannot be encoded, is
// logged as a failure. It is not mistaken for a client that has left.
func TestFail_afterTheStatus(t *testing.T) {
	srv := start(t)
	errBroken := errors.New("the third page is missing")
	handlers.Route(srv.handler, "/late", func(w http.ResponseWriter) error {
		_, _ = io.WriteString(w, "a beginning")
		return errBroken
	})
	handlers.Route(srv.handler, "/inner", func(http.ResponseWriter) error { return fmt.Errorf("of its own: %w", context.Canceled) })
	handlers.Answer(srv.handler, "/unencodable", unencodable{})

	if a, err := srv.do(srv.request(t, call{method: "GET", path: "/late"}, nil)); err == nil {
		t.Errorf("an answer that was broken off looks whole: %+v", a)
	}
	srv.check(t, call{method: "GET", path: "/inner", status: 500, problem: "internal"})
	srv.check(t, call{method: "GET", path: "/unencodable", status: 500, problem: "internal"})
	for _, part := range []string{`"error":"the third page is missing"`, `"error":"of its own: context canceled"`, `"error":"handlers: encoding an answer: json: unsupported type`} {
		if len(srv.log.lines(`"level":"ERROR"`, part)) != 1 {
			t.Errorf("%s is not logged once:\n%s", part, srv.log)
		}
	}
	if lines := srv.log.lines(`"status":499`); len(lines) > 0 {
		t.Errorf("taken for a client that left: %s", lines)
	}
	if !json.Valid([]byte(srv.send(t, call{method: "GET", path: "/healthz"}).body)) {
		t.Error("the server does not go on")
	}
}
