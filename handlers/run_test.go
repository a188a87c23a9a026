package handlers_test

import (
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

func (s *suite) run(t *testing.T) {
	srv := s.start(t)
	put := func(name, body string, status int) call {
		return call{name: name, method: "PUT", path: "/v1/channels/c/run", as: apiKey, body: body, status: status, header: map[string]string{"Content-Type": "application/json"}}
	}
	refused := func(name, body string, status int, problem string, fields ...string) call {
		c := put(name, body, status)
		c.problem, c.fields = problem, fields
		return c
	}
	again := put("completed again", `{"status":"completed","result":2}`, 200)
	again.says = `"duplicate":true`
	running := put("running", ` {"status":"running","run_id":"r1"} `, 200)
	running.says = `"topic":"$run","kind":"run"`
	other := refused("another type", `{"status":"running"}`, 415, "unsupported-media-type")
	other.header = map[string]string{"Content-Type": "text/plain"}
	untyped := put("no type", `{"status":"running","run_id":"r3"}`, 200)
	untyped.header = nil
	srv.run(t, []call{
		running,
		put("running again", `{"status":"running"}`, 200),
		put("completed", `{"status":"completed","result":{ "pages" : 7 }}`, 200),
		again,
		refused("failed after completed", `{"status":"failed"}`, 409, "conflict"),
		refused("running after completed", `{"status":"running"}`, 409, "conflict"),
		put("another run", `{"status":"failed","run_id":"r2","error":"`+secretPayload+`"}`, 200),
		refused("cancelled after failed", `{"status":"cancelled","run_id":"r2"}`, 409, "conflict"),
		untyped,
		put("cancelled", `{"status":"cancelled"}`, 200),
		refused("unknown status", `{"status":"done"}`, 400, "malformed"),
		refused("no status", `{}`, 400, "malformed"),
		refused("a number", `{"status":1}`, 400, "malformed", "/status"),
		refused("unknown member", `{"status":"running","progress":1,"Status":"failed"}`, 400, "malformed", "/progress", "/Status"),
		refused("bad run id", `{"status":"running","run_id":"\n"}`, 400, "malformed"),
		refused("nothing", ``, 400, "malformed"),
		other,
		{name: "bad channel", method: "PUT", path: "/v1/channels/$c/run", as: apiKey, body: `{"status":"running"}`, status: 400, problem: "malformed"},
		{name: "not granted", method: "PUT", path: "/v1/channels/c/run", as: srv.token("c", "status"), body: `{"status":"running"}`, status: 403, problem: "forbidden", detail: `channel "c", topic "$run"`},
		{name: "granted by name", method: "PUT", path: "/v1/channels/d/run", as: srv.token("d", "$run"), body: `{"status":"running"}`, status: 200},
	})
	s.runPublished(t, srv)
	s.runTold(t, srv)
}

// runPublished checks what the calls above have published.
func (s *suite) runPublished(t *testing.T, srv *server) {
	var got []string
	for _, m := range srv.messages("c") {
		if m.Kind != schemas.KindRun || m.Topic != schemas.TopicRun {
			t.Errorf("message %+v", m)
		}
		got = append(got, m.RunID+" "+string(m.Data))
	}
	want := []string{
		`r1 {"status":"running","run_id":"r1"}`, `r1 {"status":"running","run_id":"r1"}`,
		`r1 {"status":"completed","run_id":"r1","result":{"pages":7}}`,
		`r2 {"status":"failed","run_id":"r2","error":"` + secretPayload + `"}`,
		`r3 {"status":"running","run_id":"r3"}`, `r3 {"status":"cancelled","run_id":"r3"}`,
	}
	if len(got) != len(want) {
		t.Fatalf("published %q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("published %s, want %s", got[i], want[i])
		}
	}
}

// runTold tests that readers get the run's status right after $open, whatever their topics, with
// the stream's position as the id.
func (s *suite) runTold(t *testing.T, srv *server) {
	token := srv.mint(auth.TokenRequest{Subscribe: schemas.Grants{{Channel: "c", Topics: []string{"status"}}}}).Token
	feed := srv.open(t, call{as: token, path: "topic=status"})
	open := feed.after("$open")
	run := feed.after("$run")
	if m := run.message(t); run.id != open.id || m.ID.String() == open.id || string(m.Data) != `{"status":"cancelled","run_id":"r3"}` {
		t.Errorf("run status %q after %q", run.raw, open.raw)
	}
	srv.publish("c", "tokens", "1")
	srv.check(t, call{method: "PUT", path: "/v1/channels/c/run", as: apiKey, body: `{"status":"running","run_id":"r4"}`, status: 200})
	live := feed.after("$run")
	if m := live.message(t); live.id != m.ID.String() || m.RunID != "r4" {
		t.Errorf("live run status %q", live.raw)
	}
	feed.close()
	lines := srv.open(t, call{as: token, header: map[string]string{"Accept": "application/x-ndjson"}})
	lines.after("$open")
	if m := lines.after("$run").message(t); m.RunID != "r4" {
		t.Errorf("run status %+v", m)
	}
	lines.close()
}
