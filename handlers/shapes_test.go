package handlers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// shapes tests events without an envelope and without names.
func (s *suite) shapes(t *testing.T) {
	srv := s.start(t)
	r := srv.publish("c", "status", `{"a":",\"data\":1","kind":"x"}`)
	message := fmt.Sprintf(`{"id":"%s","channel":"c","topic":"status","kind":"data","data":{"a":",\"data\":1","kind":"x"},"created_at":"%s"}`, r.ID, r.CreatedAt)
	const data = `{"a":",\"data\":1","kind":"x"}`
	lines := map[string]string{"Accept": "application/x-ndjson"}
	for _, tt := range []struct {
		query  string
		header map[string]string
		want   string
	}{
		{"", nil, "id: ID\nevent: status\ndata: " + message + "\n\n"},
		{"&envelope=none", nil, "id: ID\nevent: status\ndata: " + data + "\n\n"},
		{"&event=message", nil, "id: ID\ndata: " + message + "\n\n"},
		{"&event=message&envelope=none", nil, "id: ID\ndata: " + data + "\n\n"},
		{"", lines, message + "\n"},
		{"&envelope=none", lines, data + "\n"},
		{"&event=message", lines, message + "\n"},
	} {
		for _, how := range []string{"replayed", "live"} {
			t.Run(how+tt.query, func(t *testing.T) {
				query := "channel=c&replay=all" + tt.query
				want := strings.ReplaceAll(tt.want, "ID", r.ID.String())
				if how == "live" {
					query = "channel=c" + tt.query
				}
				feed := srv.open(t, call{as: apiKey, path: query, header: tt.header})
				defer feed.close()
				feed.lives, feed.anonymous = true, strings.Contains(tt.query, "event=")
				if open := feed.next(); open.name != "$open" {
					t.Fatalf("begins with %q", open.raw)
				}
				if how == "live" {
					feed.after("$live")
					again := srv.publish("c", "status", data)
					want = strings.NewReplacer(r.ID.String(), again.ID.String(), r.CreatedAt.String(), again.CreatedAt.String()).Replace(want)
				}
				got := feed.next()
				for how == "replayed" && !strings.Contains(got.raw, data) { // others that the tests before have published
					got = feed.next()
				}
				if got.raw != want {
					t.Errorf("got  %q\nwant %q", got.raw, want)
				}
			})
		}
	}
	malformed := func(name, query string) call {
		return call{name: name, method: "GET", path: "/v1/subscribe?" + query, as: apiKey, status: 400, problem: "malformed"}
	}
	srv.run(t, []call{
		malformed("envelope of what", "channel=c&envelope=some"),
		malformed("event of what", "channel=c&event=status"),
		malformed("no envelope, several channels", "channel=c&channel=d&envelope=none"),
		malformed("no envelope, a pattern", "channel=c:*&envelope=none"),
		malformed("until when", "channel=c&until=never"),
		malformed("until the end of several", "channel=c&channel=d&until=end"),
		malformed("until the end of a pattern", "channel=*&until=end"),
	})
}

// untilEnd tests streams that end with the run.
func (s *suite) untilEnd(t *testing.T) {
	srv := s.start(t)
	set := func(status schemas.RunStatus) schemas.Receipt {
		t.Helper()
		r, err := srv.broker.SetRun(t.Context(), broker.RunPublication{Channel: "c", Change: schemas.RunChange{Status: status}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	srv.publish("c", "t", "1")
	feed := srv.open(t, call{as: srv.token("c", "*"), path: "until=end"})
	feed.after("$open")
	srv.publish("c", "t", "2")
	end := set(schemas.RunCompleted)
	feed.gets("2")
	feed.after("$run")
	last := feed.after("$close")
	if last.data != `{"code":4000,"reason":"run_ended","reconnect":false}` || last.id != end.ID.String() {
		t.Errorf("closed with %q", last.raw)
	}
	feed.ends()

	lines := map[string]string{"Accept": "application/x-ndjson"}
	srv.run(t, []call{
		{name: "again with that id", method: "GET", path: "/v1/subscribe?channel=c&until=end&replay=all", as: apiKey, header: map[string]string{"Last-Event-ID": last.id}, status: 204},
		{name: "with nothing to replay", method: "GET", path: "/v1/subscribe?channel=c&until=end", as: apiKey, status: 204},
		{name: "lines", method: "GET", path: "/v1/subscribe?channel=c&until=end", as: apiKey, header: lines, status: 204},
	})
	feed = srv.open(t, call{as: apiKey, path: "channel=c&until=end&replay=all"})
	feed.after("$open")
	feed.after("$run")
	feed.gets("1")
	feed.gets("2")
	feed.after("$close")
	feed.ends()

	if _, err := srv.broker.SetRun(t.Context(), broker.RunPublication{Channel: "c", Change: schemas.RunChange{Status: schemas.RunRunning, RunID: "2"}}); err != nil {
		t.Fatal(err)
	}
	feed = srv.open(t, call{as: apiKey, path: "channel=c&until=end"})
	feed.after("$open")
	feed.after("$run") // a run that has started over is awaited
	feed.close()
}

// subscribeBody tests streams that are requested with POST.
func (s *suite) subscribeBody(t *testing.T) {
	srv := s.start(t)
	post := func(as, body string) call {
		return call{method: "POST", path: "/v1/subscribe", as: as, body: body, header: map[string]string{"Content-Type": "application/json"}}
	}
	for _, m := range []string{"a t", "a u", "b t", "b u"} {
		channel, topic, _ := strings.Cut(m, " ")
		srv.publish(channel, topic, `"`+m+`"`)
	}
	for _, tt := range []struct{ name, body, want string }{
		{"topics for each channel", `{"channels":[{"channel":"a","topics":["t"]},{"channel":"b","topics":["u"]}],"replay":"all"}`, "a t,b u"},
		{"all topics", `{"channels":[{"channel":"a"},{"channel":"b","topics":["t"]}],"replay":"all"}`, "a t,a u,b t"},
		{"a number", `{"channels":[{"channel":"b"}],"replay":1}`, "b u"},
		{"without names", `{"channels":[{"channel":"b"}],"replay":"all","event":"message"}`, "b t,b u"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			feed := srv.open(t, post(apiKey, tt.body))
			defer feed.close()
			feed.anonymous = strings.Contains(tt.body, "event")
			feed.after("$open")
			for want := range strings.SplitSeq(tt.want, ",") {
				if e := feed.next(); !strings.Contains(e.data, `"data":"`+want+`"`) {
					t.Errorf("got %q, want %s", e.raw, want)
				}
			}
		})
	}
	t.Run("the token's only channel", func(t *testing.T) {
		feed := srv.open(t, post(srv.token("b", "u"), `{"replay":"all"}`))
		defer feed.close()
		feed.after("$open")
		feed.gets(`"b u"`)
	})
	refused := func(name, as, body string, status int, problem string) call {
		c := post(as, body)
		c.name, c.status, c.problem = name, status, problem
		return c
	}
	srv.run(t, []call{
		refused("not granted", srv.token("a", "*"), `{"channels":[{"channel":"b"}]}`, 403, "forbidden"),
		refused("topic not granted", srv.token("a", "t"), `{"channels":[{"channel":"a","topics":["u"]}]}`, 403, "forbidden"),
		refused("unknown member", apiKey, `{"channel":"a"}`, 400, "malformed"),
		refused("unknown member of a channel", apiKey, `{"channels":[{"channel":"a","topic":"t"}]}`, 400, "malformed"),
		refused("a bad name", apiKey, `{"channels":[{"channel":"a b"}]}`, 400, "malformed"),
		refused("a bad topic", apiKey, `{"channels":[{"channel":"a","topics":["a b"]}]}`, 400, "malformed"),
		refused("replay of what", apiKey, `{"channels":[{"channel":"a"}],"replay":true}`, 400, "malformed"),
		refused("no channel", apiKey, `{}`, 400, "malformed"),
		refused("no credential", "", `{"channels":[{"channel":"a"}]}`, 401, "unauthorized"),
		refused("too large", apiKey, `{"last_event_id":"`+strings.Repeat("x", 1<<20)+`"}`, 413, "too-large"),
		{name: "no JSON", method: "POST", path: "/v1/subscribe", as: apiKey, body: "<a/>", header: map[string]string{"Content-Type": "text/xml"}, status: 415, problem: "unsupported-media-type"},
	})
	if _, err := srv.broker.SetRun(t.Context(), broker.RunPublication{Channel: "a", Change: schemas.RunChange{Status: schemas.RunFailed}}); err != nil {
		t.Fatal(err)
	}
	ended := post(apiKey, `{"channels":[{"channel":"a"}],"until":"end"}`)
	ended.status = 204
	srv.check(t, ended)

	one := s.start(t, func(o *setup) { o.broker.MaxStreams = 1 })
	lines := refused("too many", apiKey, `{"channels":[{"channel":"a"}]}`, 429, "too-many-streams")
	lines.header["Accept"] = "application/x-ndjson"
	feed := one.open(t, post(apiKey, `{"channels":[{"channel":"a"}]}`))
	feed.after("$open")
	one.check(t, lines)
	one.broker.StopAccepting()
	lines.status, lines.problem = 503, "draining"
	one.check(t, lines)
	feed.close()
}

// tokenCookie tests tokens in a cookie.
func (s *suite) tokenCookie(t *testing.T) {
	with := func(o *setup) {
		o.handlers.TokenCookie, o.handlers.CORSOrigins = "sluice", []string{"https://app.example.com"}
	}
	srv := s.start(t, with)
	token := srv.mint(auth.TokenRequest{Subscribe: schemas.Grants{{Channel: "c", Topics: []string{"*"}}}}).Token
	ask := func(name string, status int, header map[string]string) call {
		if header["Cookie"] == "" {
			header["Cookie"] = "sluice=" + token
		}
		c := call{name: name, method: "HEAD", path: "/v1/subscribe", header: header, status: status}
		if status == 401 {
			c.method, c.path, c.problem = "GET", "/v1/subscribe?channel=c", "unauthorized"
		}
		return c
	}
	srv.run(t, []call{
		ask("an allowed origin", 200, map[string]string{"Origin": "https://app.example.com"}),
		ask("the server's own", 200, map[string]string{"Origin": srv.url}),
		ask("same origin, without the header", 200, map[string]string{"Sec-Fetch-Site": "same-origin"}),
		ask("no browser", 200, map[string]string{}),
		ask("another origin", 401, map[string]string{"Origin": "https://evil.example.com"}),
		ask("another site, without the header", 401, map[string]string{"Sec-Fetch-Site": "cross-site"}),
		ask("an API key", 401, map[string]string{"Cookie": "sluice=" + apiKey}),
		ask("two cookies", 401, map[string]string{"Cookie": "sluice=" + token + "; sluice=" + token}),
		{name: "another route", method: "GET", path: "/v1/channels/c/messages", header: map[string]string{"Cookie": "sluice=" + token}, status: 401, problem: "unauthorized"},
		{name: "to publish", method: "POST", path: "/v1/publish/c/t", body: "1", header: map[string]string{"Cookie": "sluice=" + token, "Content-Type": "application/json"}, status: 401, problem: "unauthorized"},
	})
	off := s.start(t)
	off.check(t, call{method: "GET", path: "/v1/subscribe?channel=c", header: map[string]string{"Cookie": "sluice=" + token}, status: 401, problem: "unauthorized"})
}
