package handlers_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// draining tests the answers of a server that is about to stop.
func (s *suite) draining(t *testing.T) {
	srv := s.start(t)
	r := srv.publish("c", "t", "1")
	sse := srv.open(t, call{as: apiKey, path: "channel=c"})
	lines := srv.open(t, call{as: apiKey, path: "channel=c", header: map[string]string{"Accept": "application/x-ndjson"}})
	sse.after("$open")
	lines.after("$open")
	duplex := srv.openLines(t, call{as: apiKey})
	if err := srv.broker.Drain(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*feed{sse, lines} {
		e := f.after("$close")
		c := decoded[closed](t, &answer{body: e.data})
		if c.Code != 4002 || c.Reason != "server_draining" || c.Reconnect == nil || !*c.Reconnect || c.RetryAfter <= 0 || !f.ndjson && e.retry != fmt.Sprint(c.RetryAfter) {
			t.Errorf("the stream ends with %q", e.raw)
		}
		s.described.validate(t, "/components/schemas/CloseEvent", e.data)
		f.ends()
	}
	duplex.write(line(1) + "\n")
	if o := duplex.next(); o.problem.Status != 503 || o.problem.Type != "/problems/draining" || o.problem.RetryAfter != 1 {
		t.Errorf("a line is answered with %+v", o)
	}
	duplex.ends()
	var calls []call
	for _, e := range endpoints() {
		if e.who == "token" && e.method != "GET" {
			e.name, e.as, e.status, e.problem, e.sets = e.method+" "+e.path, apiKey, 503, "draining", map[string]string{"Retry-After": "1"}
			calls = append(calls, e.call)
		}
	}
	calls = append(calls,
		call{name: "ready", method: "GET", path: "/readyz", status: 503, problem: "draining", detail: "draining"},
		call{name: "alive", method: "GET", path: "/healthz", status: 200},
		call{name: "history", method: "GET", path: "/v1/channels/c/messages", as: apiKey, status: 200},
		call{name: "lines", method: "GET", path: "/v1/subscribe?channel=c", as: apiKey, header: map[string]string{"Accept": "application/x-ndjson"}, status: 503, problem: "draining", sets: map[string]string{"Retry-After": "1"}},
		call{name: "never", method: "GET", path: "/v1/subscribe?channel=$c", as: apiKey, status: 400, problem: "malformed"},
	)
	srv.run(t, calls)
	s.refused(t, srv, apiKey, 4002, "server_draining", r.ID.String())
	if len(srv.messages("c")) != 1 {
		t.Error("something was published")
	}
}

// refused opens a stream that cannot be served now, and checks that it consists of one $close.
func (s *suite) refused(t *testing.T, srv *server, as string, code int, reason, position string) {
	t.Helper()
	for _, id := range []string{"", position, "nonsense"} {
		c := call{as: as, path: "channel=c"}
		if id != "" {
			c.header = map[string]string{"Last-Event-ID": id}
		}
		f := srv.open(t, c)
		e := f.after("$close")
		var data closed
		if err := json.Unmarshal([]byte(e.data), &data); err != nil {
			t.Fatal(err)
		}
		if data.Code != code || data.Reason != reason || data.Reconnect == nil || !*data.Reconnect || e.retry != fmt.Sprint(data.RetryAfter) || data.RetryAfter <= 0 {
			t.Errorf("the stream is refused with %q", e.raw)
		}
		if id == "nonsense" {
			id = ""
		}
		if e.id != id {
			t.Errorf("the refusal moves the client from %q to %q", id, e.id)
		}
		if !f.resp.Close {
			t.Error("who is turned away keeps the connection")
		}
		f.ends()
	}
}
