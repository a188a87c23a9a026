package handlers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// historyPage is the answer of a history.
type historyPage struct {
	Messages []schemas.Message `json:"messages"`
	FirstID  *string           `json:"first_id"`
	LastID   *string           `json:"last_id"`
	Gap      bool              `json:"gap"`
	Next     *string           `json:"next"`
}

func (p historyPage) texts() string {
	var all []string
	for _, m := range p.Messages {
		all = append(all, string(m.Data))
	}
	return strings.Join(all, ",")
}

func (s *suite) history(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.broker.Replay.Messages = 6 })
	var ids []string
	for i := range 8 {
		topic := []string{"t", "u"}[i%2]
		ids = append(ids, srv.publish("c/1", topic, fmt.Sprint(i)).ID.String())
	}
	get := func(query string) string { return "/v1/channels/c%2F1/messages?" + query }
	for _, tt := range []struct {
		query, want, next string
		gap               bool
	}{
		{"", "2,3,4,5,6,7", "", false},
		{"order=desc", "7,6,5,4,3,2", "", false},
		{"limit=2", "2,3", ids[3], false},
		{"limit=2&order=desc", "7,6", ids[6], false},
		{"limit=6", "2,3,4,5,6,7", "", false},
		{"limit=1000", "2,3,4,5,6,7", "", false},
		{"after=" + ids[4], "5,6,7", "", false},
		{"before=" + ids[4], "2,3", "", false},
		{"after=" + ids[3] + "&before=" + ids[6], "4,5", "", false},
		{"after=" + ids[7], "", "", false},
		{"before=" + ids[2], "", "", false},
		{"after=" + ids[0], "2,3,4,5,6,7", "", true},
		{"after=nonsense", "2,3,4,5,6,7", "", true},
		{"after=zzz-1", "2,3,4,5,6,7", "", true},
		{"topic=t", "2,4,6", "", false},
		{"topic=t&topic=u&limit=3", "2,3,4", ids[4], false},
		{"topic=*", "2,3,4,5,6,7", "", false},
		{"topic=none", "", "", false},
		{"topic=u&after=" + ids[3] + "&limit=1", "5", ids[5], false},
	} {
		t.Run(tt.query, func(t *testing.T) {
			p := decoded[historyPage](t, srv.check(t, call{method: "GET", path: get(tt.query), as: apiKey, status: 200, sets: map[string]string{"Cache-Control": "no-store", "Content-Type": "application/json"}}))
			next := ""
			if p.Next != nil {
				next = *p.Next
			}
			if p.texts() != tt.want || next != tt.next || p.Gap != tt.gap {
				t.Errorf("got %s next %s gap %t, want %s next %s gap %t", p.texts(), next, p.Gap, tt.want, tt.next, tt.gap)
			}
			if p.FirstID == nil || *p.FirstID != ids[2] || *p.LastID != ids[7] {
				t.Errorf("first and last are %v and %v", p.FirstID, p.LastID)
			}
		})
	}
	refused := func(name, query string, status int, problem, detail string) call {
		return call{name: name, method: "GET", path: get(query), as: srv.token("c/1", "t"), status: status, problem: problem, detail: detail}
	}
	calls := []call{
		refused("another topic", "topic=u", 403, "forbidden", `channel "c/1", topic "u"`),
		refused("any topic", "topic=*", 403, "forbidden", `topic "*"`),
		{name: "another channel", method: "GET", path: "/v1/channels/d/messages", as: srv.token("c/1", "t"), status: 403, problem: "forbidden", detail: `channel "d"`},
		{name: "bad channel", method: "GET", path: "/v1/channels/$d/messages", as: apiKey, status: 400, problem: "malformed"},
		{name: "pattern as channel", method: "GET", path: "/v1/channels/d:*/messages", as: apiKey, status: 400, problem: "malformed"},
		{name: "nothing there", method: "GET", path: "/v1/channels/d/messages", as: apiKey, status: 200, says: `{"messages":[],"first_id":null,"last_id":null,"gap":false,"next":null}`},
		{name: "what is granted", method: "GET", path: get(""), as: srv.token("c/1", "t"), status: 200},
		{name: "token in the query", method: "GET", path: get("access_token=" + srv.token("c/1", "t")), status: 401, problem: "unauthorized"},
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=-1", "limit=x", "limit=1e2", "order=up", "order=DESC", "topic=a%20b"} {
		calls = append(calls, refused(query, query, 400, "malformed", ""))
	}
	srv.run(t, calls)
}

// TestHistory_expired asks for what has grown too old.
func TestHistory_expired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, inMemory, func(o *setup) { o.broker.Replay.Age = time.Minute })
		first := srv.publish("c", "t", "1").ID.String()
		second := srv.publish("c", "t", "2").ID.String()
		time.Sleep(2 * time.Minute) // of the bubble's clock
		for _, after := range []string{first, second} {
			p := decoded[historyPage](t, srv.check(t, call{method: "GET", path: "/v1/channels/c/messages?after=" + after, as: apiKey, status: 200}))
			if p.Gap != (after == first) || len(p.Messages) != 0 || p.FirstID != nil {
				t.Errorf("after %s: %+v", after, p)
			}
		}
		feed := srv.open(t, call{as: apiKey, path: "channel=c", header: map[string]string{"Last-Event-ID": first}})
		feed.after("$open")
		if g := control[lost](feed, "$gap"); g.Reason != "expired" || g.ResumesAt != nil || g.After != first {
			t.Errorf("gap %+v", g)
		}
		feed.close()
	})
}

func (s *suite) subscribers(t *testing.T) {
	srv := s.start(t)
	feeds := []*feed{
		srv.open(t, call{as: srv.token("a:*", "t", "u"), path: "channel=a:*&topic=u&topic=t"}),
		srv.open(t, call{as: apiKey, path: "channel=a:1&channel=b", header: map[string]string{"Accept": "application/x-ndjson"}}),
	}
	for _, f := range feeds {
		f.after("$open")
	}
	list := func(query string, want ...string) {
		t.Helper()
		a := srv.check(t, call{method: "GET", path: "/v1/subscribers" + query, as: apiKey, status: 200})
		all := decoded[struct {
			Subscribers []struct {
				Sub      string   `json:"sub"`
				JTI      string   `json:"jti"`
				Address  string   `json:"address"`
				Channels []string `json:"channels"`
				Topics   []string `json:"topics"`
				Format   string   `json:"format"`
				Position string   `json:"position"`
			} `json:"subscribers"`
		}](t, a).Subscribers
		var got []string
		for _, f := range all {
			if f.Address != "127.0.0.1" || f.Position != srv.broker.Head().String() || (f.JTI == "") != (f.Sub == "") {
				t.Errorf("%+v", f)
			}
			got = append(got, fmt.Sprint(f.Sub, f.Channels, f.Topics, f.Format))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	user, key := "user-7[a:*] [t u]sse", "[a:1 b] [*]ndjson"
	list("", user, key)
	list("?channel=a:1", user, key)
	list("?channel=a:2", user)
	list("?channel=b", key)
	list("?channel=c")
	list("?sub=user-7", user)
	list("?sub=user-7&channel=b")
	list("?limit=1", user)
	bad := func(name, method, query string) call {
		return call{name: name, method: method, path: "/v1/subscribers" + query, as: apiKey, status: 400, problem: "malformed"}
	}
	srv.run(t, []call{
		bad("a bad channel", "GET", "?channel=$a"), bad("a pattern", "GET", "?channel=a:*"), bad("a bad limit", "GET", "?limit=0"),
		bad("disconnect everybody", "DELETE", ""), bad("disconnect nobody", "DELETE", "?sub="),
		{name: "disconnect somebody else", method: "DELETE", path: "/v1/subscribers?sub=user-8", as: apiKey, status: 200, says: `{"disconnected":0}`},
	})
	for _, f := range feeds {
		f.close()
	}
	s.endings(t, s.start(t))
}

func (s *suite) channels(t *testing.T) {
	srv := s.start(t)
	for _, channel := range []string{"b", "a:2", "a:1", "c/é"} {
		srv.publish(channel, "t", "1")
	}
	srv.check(t, call{method: "PUT", path: "/v1/channels/b/run", as: apiKey, body: `{"status":"running","run_id":"r"}`, status: 200})
	feed := srv.open(t, call{as: apiKey, path: "channel=b"})
	feed.after("$open")
	feed.after("$run")
	type info struct {
		Channel     string  `json:"channel"`
		Subscribers int     `json:"subscribers"`
		Messages    int     `json:"messages"`
		Bytes       int     `json:"bytes"`
		FirstID     *string `json:"first_id"`
		LastID      *string `json:"last_id"`
		Run         *struct {
			Status string `json:"status"`
			RunID  string `json:"run_id"`
			ID     string `json:"id"`
		} `json:"run"`
	}
	list := func(query, want, next string) {
		t.Helper()
		page := decoded[struct {
			Channels []info  `json:"channels"`
			Next     *string `json:"next"`
		}](t, srv.check(t, call{method: "GET", path: "/v1/channels" + query, as: apiKey, status: 200}))
		var got []string
		for _, c := range page.Channels {
			got = append(got, c.Channel)
		}
		if strings.Join(got, ",") != want || (page.Next == nil) != (next == "") || page.Next != nil && *page.Next != next {
			t.Errorf("%s: got %q, want %s, then %q", query, got, want, next)
		}
	}
	list("", "a:1,a:2,b,c/é", "")
	list("?limit=2", "a:1,a:2", "a:2")
	list("?limit=2&after=a:2", "b,c/é", "")
	list("?prefix=a:", "a:1,a:2", "")
	list("?prefix=a:&limit=1", "a:1", "a:1")
	list("?after=c%2F%C3%A9", "", "")
	one := decoded[info](t, srv.check(t, call{method: "GET", path: "/v1/channels/b", as: srv.token("b", "t"), status: 200}))
	if one.Subscribers != 1 || one.Messages != 2 || one.Bytes == 0 || one.FirstID == nil || one.LastID == nil || one.Run == nil || one.Run.Status != "running" || one.Run.RunID != "r" {
		t.Errorf("channel %+v", one)
	}
	if other := decoded[info](t, srv.check(t, call{method: "GET", path: "/v1/channels/c%2F%C3%A9", as: apiKey, status: 200})); other.Run != nil || other.Subscribers != 0 {
		t.Errorf("channel %+v", other)
	}
	srv.run(t, []call{
		{name: "unknown", method: "GET", path: "/v1/channels/nowhere", as: apiKey, status: 404, problem: "not-found"},
		{name: "bad name", method: "GET", path: "/v1/channels/$b", as: apiKey, status: 400, problem: "malformed"},
		{name: "not granted", method: "GET", path: "/v1/channels/b", as: srv.token("c", "t"), status: 403, problem: "forbidden", detail: `channel "b"`},
		{name: "bad limit", method: "GET", path: "/v1/channels?limit=1001", as: apiKey, status: 400, problem: "malformed"},
		{name: "delete", method: "DELETE", path: "/v1/channels/b", as: apiKey, status: 204},
		{name: "deleted", method: "GET", path: "/v1/channels/b", as: apiKey, status: 404, problem: "not-found"},
		{name: "delete again", method: "DELETE", path: "/v1/channels/b", as: apiKey, status: 404, problem: "not-found"},
		{name: "delete a bad name", method: "DELETE", path: "/v1/channels/$b", as: apiKey, status: 400, problem: "malformed"},
		{name: "its messages", method: "GET", path: "/v1/channels/b/messages", as: apiKey, status: 200, says: `"messages":[]`},
	})
	if e := feed.after("$close"); !strings.Contains(e.data, "4410") {
		t.Errorf("the stream ends with %q", e.raw)
	}
	feed.ends()
}

// schemas holds definitions and what they do to publishes.
func (s *suite) schemas(t *testing.T) {
	srv := s.start(t)
	const path = "/v1/schemas/pipeline:%7Brun%7D"
	put := func(name, path, body string, status int) call {
		return call{name: name, method: "PUT", path: path, as: apiKey, body: body, status: status, header: map[string]string{"Content-Type": "application/json"}}
	}
	refused := func(name, path, body string, status int, problem string, fields ...string) call {
		c := put(name, path, body, status)
		c.problem, c.fields = problem, fields
		return c
	}
	const definition = `{"topics":{"status":{"schema":{"type":"object","required":["message"],"properties":{"message":{"type":"string"},"n/~":{"type":"integer"}}}},"tokens":{}},"replay":{"messages":2},"strict":true}`
	other := refused("another type", path, definition, 415, "unsupported-media-type")
	other.header = map[string]string{"Content-Type": "application/yaml"}
	publish := func(name, topic, body string, status int, problem string, fields ...string) call {
		return call{name: name, method: "POST", path: "/v1/publish/pipeline:1/" + topic, as: apiKey, body: body, status: status, problem: problem, fields: fields}
	}
	srv.run(t, []call{
		{name: "none yet", method: "GET", path: "/v1/schemas", as: srv.token("c", "t"), status: 200, says: `{"schemas":[]}`},
		put("add", path, definition, 201),
		put("replace", path, definition, 200),
		put("with its name", path, `{"name":"pipeline:{run}",`+definition[1:], 200),
		{name: "read", method: "GET", path: path, as: srv.token("c", "t"), status: 200, says: `{"name":"pipeline:{run}","topics":{`},
		{name: "read unescaped", method: "GET", path: "/v1/schemas/pipeline:{run}", as: apiKey, status: 200},
		{name: "list", method: "GET", path: "/v1/schemas", as: apiKey, status: 200, says: `"strict":true`},
		{name: "unknown", method: "GET", path: "/v1/schemas/none", as: apiKey, status: 404, problem: "not-found"},
		refused("another name", path, `{"name":"x"}`, 422, "bad-schema", "/name"),
		refused("unknown members", path, `{"topic":{},"replay":{"size":1}}`, 422, "bad-schema", "/topic", "/replay/size"),
		refused("bad topics", path, `{"topics":{"open":{},"a b":{}}}`, 422, "bad-schema", "/topics/a b", "/topics/open"),
		refused("a schema that does not compile", path, `{"topics":{"t":{"schema":{"required":"a"}}}}`, 422, "bad-schema", "/topics/t/schema/required"),
		refused("a reference to the outside", path, `{"topics":{"t":{"schema":{"$ref":"https://example.com/s"}}}}`, 422, "bad-schema"),
		refused("a reference to a file", path, `{"topics":{"t":{"schema":{"$ref":"file:///etc/passwd"}}}}`, 422, "bad-schema"),
		refused("a bad template", "/v1/schemas/%7Ba%7D%7Bb%7D", `{}`, 422, "bad-schema"),
		refused("a tie", "/v1/schemas/pipeline:%7Bother%7D", `{}`, 422, "bad-schema", "/name"),
		refused("not JSON", path, `{"topics":`, 400, "malformed"),
		refused("nothing", path, ``, 400, "malformed"),
		other,
		{name: "still as it was", method: "GET", path: path, as: apiKey, status: 200, says: `"message"`},

		publish("good", "status", `{"message":"a"}`, 201, ""),
		publish("without a schema", "tokens", `1`, 201, ""),
		publish("bad", "status", `{"message":1,"n/~":1.5}`, 422, "schema-violation", "/message", "/n~1~0"),
		publish("incomplete", "status", `{}`, 422, "schema-violation", ""),
		publish("unknown topic", "other", `1`, 422, "unknown-topic"),
		{name: "text", method: "POST", path: "/v1/publish/pipeline:1/status", as: apiKey, body: "x", header: map[string]string{"Content-Type": "text/plain"}, status: 422, problem: "schema-violation"},
		{name: "in the body", method: "POST", path: "/v1/publish", as: apiKey, body: `{"channel":"pipeline:1","topic":"status","data":1}`, status: 422, problem: "schema-violation"},
		publish("good again", "status", `{"message":"b"}`, 201, ""),
		{name: "run", method: "PUT", path: "/v1/channels/pipeline:1/run", as: apiKey, body: `{"status":"running"}`, status: 200},
		{name: "another channel", method: "POST", path: "/v1/publish/other:1/anything", as: apiKey, body: "1", status: 201},
	})
	if held := srv.messages("pipeline:1"); len(held) != 2 || string(held[0].Data) != `{"message":"b"}` {
		t.Errorf("the channel holds %+v", held)
	}
	more := put("a more specific one", "/v1/schemas/pipeline:1", `{"topics":{"status":{"schema":{"type":"integer"}}}}`, 201)
	srv.run(t, []call{
		more,
		publish("by the more specific one", "status", `1`, 201, ""),
		publish("not by the other", "status", `{"message":"a"}`, 422, "schema-violation", ""),
		{name: "delete", method: "DELETE", path: "/v1/schemas/pipeline:1", as: apiKey, status: 204},
		{name: "delete again", method: "DELETE", path: "/v1/schemas/pipeline:1", as: apiKey, status: 404, problem: "not-found"},
		publish("by the other again", "status", `{"message":"a"}`, 201, ""),
	})
}

// draining is what a server that is about to stop answers.
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
	if o := duplex.next(); o.Status != 503 || o.Type != "/problems/draining" {
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

// refused opens a stream that cannot be served now: one $close and the end.
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
		f.ends()
	}
}

// limitsOf is a change of a server's limits.
func limitsOf(change func(*broker.Options)) func(*setup) {
	return func(o *setup) { change(&o.broker) }
}
