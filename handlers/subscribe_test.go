package handlers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// subscribeRefusals checks the refusals of requests before a stream begins.
func (s *suite) subscribeRefusals(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.broker.MaxChannelsPerStream = 3 })
	token := srv.token("pipeline:1", "status")
	two := srv.mint(auth.TokenRequest{Subscribe: schemas.Grants{{Channel: "a", Topics: []string{"*"}}, {Channel: "b", Topics: []string{"*"}}}}).Token
	get := func(name, query, as string, status int, problem, detail string) call {
		return call{name: name, method: "GET", path: "/v1/subscribe?" + query, as: as, status: status, problem: problem, detail: detail}
	}
	malformed := func(name, query, as, detail string) call { return get(name, query, as, 400, "malformed", detail) }
	forbidden := func(name, query, detail string) call { return get(name, query, token, 403, "forbidden", detail) }
	revoked := srv.mint(auth.TokenRequest{Subscribe: schemas.AllowAll()})
	if err := srv.auth.Revoke(revoked.ID); err != nil {
		t.Fatal(err)
	}
	invalid := map[string]string{"WWW-Authenticate": `Bearer realm="sluice", error="invalid_token"`}
	inQuery := get("an API key in the query", "channel=a&access_token="+apiKey, "", 401, "unauthorized", "")
	inQuery.sets = invalid
	bad := get("a bad token in the query", "channel=a&access_token="+secretQuery, "", 401, "unauthorized", "")
	bad.sets = invalid
	none := get("no credential", "channel=a", "", 401, "unauthorized", "")
	none.sets = map[string]string{"WWW-Authenticate": `Bearer realm="sluice"`}
	calls := []call{
		none, inQuery, bad,
		get("an empty token", "channel=a&access_token=", "", 401, "unauthorized", ""),
		get("a revoked token", "channel=a", revoked.Token, 401, "unauthorized", ""),
		malformed("two credentials", "channel=a&access_token="+token, token, "more than one credential"),
		malformed("two tokens", "channel=a&access_token="+token+"&access_token="+token, "", "more than one credential"),
		malformed("no channel and a token for two", "", two, "channel"),
		malformed("no channel and a token for a pattern", "", srv.token("a:*", "*"), "channel"),
		malformed("no channel and an API key", "", apiKey, "channel"),
		malformed("a bad escape", "channel=%zz", token, "query"),
		malformed("a semicolon", "channel=a;b", token, "query"),
		malformed("an empty channel", "channel=", apiKey, "channel"),
		malformed("a bad channel", "channel=$a", apiKey, "channel"),
		malformed("a star inside", "channel=a*b", apiKey, ""),
		malformed("a star without a colon", "channel=a*", apiKey, ""),
		malformed("a bad topic", "channel=a&topic=a%20b", apiKey, "topic"),
		malformed("a topic of clients", "channel=a&topic=message", apiKey, "topic"),
		malformed("an empty topic", "channel=a&topic=", apiKey, "topic"),
		malformed("too many channels", "channel=a&channel=b&channel=c&channel=d", apiKey, "at most 3"),
		forbidden("another channel", "channel=pipeline:2", `channel "pipeline:2"`),
		forbidden("another channel besides", "channel=pipeline:1&channel=pipeline:2", `channel "pipeline:2"`),
		forbidden("a pattern", "channel=pipeline:*", `channel "pipeline:*"`),
		forbidden("all channels", "channel=*", `channel "*"`),
		forbidden("another topic", "channel=pipeline:1&topic=status&topic=tokens", `channel "pipeline:1", topic "tokens"`),
		forbidden("all topics", "topic=*", `channel "pipeline:1", topic "*"`),
	}
	for _, replay := range []string{"-1", "1.5", "some", "99999999999999999999", "ALL", secretQuery} {
		calls = append(calls, malformed("replay "+replay, "channel=a&replay="+replay, apiKey, "replay"))
	}
	srv.run(t, calls)
	for i := range calls { // the format asked for changes nothing
		calls[i].header = map[string]string{"Accept": "application/x-ndjson"}
	}
	srv.run(t, calls)
}

func (s *suite) subscribe(t *testing.T) {
	t.Run("selection", s.selection)
	t.Run("formats", s.formats)
	t.Run("replay", s.replay)
	t.Run("resume", s.resume)
	t.Run("gap", s.gap)
	t.Run("merge", s.merge)
	t.Run("head", func(t *testing.T) {
		srv := s.start(t)
		feed := srv.open(t, call{as: srv.token("c", "*")})
		open := feed.after("$open")
		want := fmt.Sprintf("retry: 1000\nid: %s\nevent: $open\ndata: {\"id\":\"%[1]s\",\"resumed\":false,\"channels\":[\"c\"],\"expires_at\":\"", srv.broker.Head("c"))
		if !strings.HasPrefix(open.raw, want) || !strings.HasSuffix(open.raw, "Z\",\"heartbeat_ms\":15000}\n\n") {
			t.Errorf("$open is %q", open.raw)
		}
		r := srv.publish("c", "status", `{"a":"é"}`)
		m := fmt.Sprintf(`{"id":"%s","channel":"c","topic":"status","kind":"data","data":{"a":"é"},"created_at":"%s"}`, r.ID, r.CreatedAt)
		if got, want := feed.next().raw, fmt.Sprintf("id: %s\nevent: status\ndata: %s\n\n", r.ID, m); got != want {
			t.Errorf("event %q, want %q", got, want)
		}
		feed.close()
	})
}

// selection opens streams over channels, patterns and topics.
func (s *suite) selection(t *testing.T) {
	srv := s.start(t)
	wide := srv.mint(auth.TokenRequest{Subscribe: schemas.Grants{{Channel: "a:*", Topics: []string{"*"}}, {Channel: "b", Topics: []string{"t", "u"}}}}).Token
	all := []string{"a:1 t", "a:1 u", "a:2 t", "b t", "b u", "b v", "a t", "c/ü t"}
	for _, tt := range []struct{ name, query, as, want string }{
		{"one channel", "channel=b", apiKey, "b t,b u,b v"},
		{"many channels", "channel=b&channel=a:2", apiKey, "a:2 t,b t,b u,b v"},
		{"the same channel twice", "channel=b&channel=b", apiKey, "b t,b u,b v"},
		{"a pattern", "channel=a:*", apiKey, "a:1 t,a:1 u,a:2 t"},
		{"a pattern and a channel in it", "channel=a:*&channel=a:1", apiKey, "a:1 t,a:1 u,a:2 t"},
		{"everything", "channel=*", apiKey, "a:1 t,a:1 u,a:2 t,b t,b u,b v,a t,c/ü t"},
		{"escaped", "channel=c%2F%C3%BC", apiKey, "c/ü t"},
		{"a topic", "channel=*&topic=u", apiKey, "a:1 u,b u"},
		{"topics", "channel=b&topic=u&topic=v&topic=u", apiKey, "b u,b v"},
		{"any topic", "channel=b&topic=*", apiKey, "b t,b u,b v"},
		{"what the grant allows", "channel=b", wide, "b t,b u"},
		{"grants of different topics", "channel=b&channel=a:1", wide, "a:1 t,a:1 u,b t,b u"},
		{"below a granted pattern", "channel=a:2&topic=t", wide, "a:2 t"},
		{"token in the query", "channel=b&access_token=" + wide, "", "b t,b u"},
		{"the token's only channel", "", srv.token("b", "v"), "b v"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			feed := srv.open(t, call{as: tt.as, path: tt.query})
			open := control[opened](feed, "$open")
			if (open.ExpiresAt == "") != (tt.as == apiKey) || open.Resumed || len(open.Channels) == 0 {
				t.Errorf("$open says %+v", open)
			}
			for _, m := range all {
				channel, topic, _ := strings.Cut(m, " ")
				srv.publish(channel, topic, `"`+m+`"`)
			}
			for want := range strings.SplitSeq(tt.want, ",") {
				feed.gets(`"` + want + `"`)
			}
			feed.close()
		})
	}
}

// formats checks that a stream has the format that the Accept header asks for.
func (s *suite) formats(t *testing.T) {
	srv := s.start(t)
	for accept, ndjson := range map[string]bool{
		"": false, "text/event-stream": false, "*/*": false, "text/html": false, "application/json": false,
		"application/x-ndjson": true, "Application/X-NDJSON": true, "application/x-ndjson, */*;q=0.1": true,
		"text/event-stream, application/x-ndjson": false,
	} {
		t.Run(accept, func(t *testing.T) {
			c := call{as: apiKey, path: "channel=c", header: map[string]string{"Accept": accept}}
			if accept == "" {
				c.header = nil
			}
			resp, err := srv.http.Do(srv.request(t, call{method: "GET", path: "/v1/subscribe?" + c.path, as: c.as, header: c.header}, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			want := "text/event-stream"
			if ndjson {
				want = "application/x-ndjson"
			}
			if got := resp.Header.Get("Content-Type"); got != want {
				t.Errorf("Content-Type %q, want %q", got, want)
			}
		})
	}
	feed := srv.open(t, call{as: srv.token("c", "*"), header: map[string]string{"Accept": "application/x-ndjson"}})
	open := feed.after("$open")
	s.described.validate(t, "/components/schemas/ControlLine", open.raw)
	srv.publish("c", "t", "1")
	m := feed.after("t")
	s.described.validate(t, "/components/schemas/Message", m.raw)
	srv.check(t, call{method: "DELETE", path: "/v1/channels/c", as: apiKey, status: 204})
	end := feed.after("$close")
	s.described.validate(t, "/components/schemas/ControlLine", end.raw)
	feed.ends()
	for _, proto := range []string{"HTTP/1.0", "HTTP/1.1"} {
		t.Run(proto, func(t *testing.T) { s.plainHTTP(t, srv, proto) })
	}
}

// plainHTTP reads a stream from a bare connection, without an HTTP client.
func (s *suite) plainHTTP(t *testing.T, srv *server, proto string) {
	conn := srv.connect(t)
	if _, err := fmt.Fprintf(conn, "GET /v1/subscribe?channel=c HTTP/%s\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", proto[5:], apiKey); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 0, 4096)
	for !strings.Contains(string(got), "event: $open\n") {
		n, err := conn.Read(got[len(got):cap(got)])
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)+n]
	}
	chunked := strings.Contains(string(got), "Transfer-Encoding: chunked")
	if !strings.Contains(string(got), " 200 OK\r\n") || chunked != (proto == "HTTP/1.1") {
		t.Errorf("answer %q", got)
	}
}

// endings checks that open streams can be ended from outside.
func (s *suite) endings(t *testing.T, srv *server) {
	no := false
	for _, tt := range []struct {
		code   int
		reason string
		end    call
	}{
		{4401, "token_revoked", call{method: "DELETE", path: "/v1/tokens/{jti}", status: 204}},
		{4403, "disconnected", call{method: "DELETE", path: "/v1/subscribers?sub=user-7", status: 200, says: `{"disconnected":2}`}},
		{4410, "channel_deleted", call{method: "DELETE", path: "/v1/channels/c", status: 204}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			srv.publish("c", "t", "1")
			token := srv.mint(auth.TokenRequest{Subject: "user-7", Subscribe: schemas.Grants{{Channel: "c", Topics: []string{"*"}}}})
			feeds := []*feed{
				srv.open(t, call{as: token.Token}),
				srv.open(t, call{as: token.Token, header: map[string]string{"Accept": "application/x-ndjson"}}),
			}
			other := srv.open(t, call{as: srv.mint(auth.TokenRequest{Subject: "user-8", Subscribe: schemas.AllowAll()}).Token, path: "channel=d"})
			for _, f := range append(slices.Clone(feeds), other) {
				f.after("$open")
			}
			tt.end.as, tt.end.path = apiKey, strings.ReplaceAll(tt.end.path, "{jti}", token.ID)
			srv.check(t, tt.end)
			began := time.Now()
			for _, f := range feeds {
				e := f.after("$close")
				s.described.validate(t, "/components/schemas/CloseEvent", e.data)
				if c := decoded[closed](t, &answer{body: e.data}); c.Code != tt.code || c.Reason != tt.reason || c.Reconnect == nil || *c.Reconnect != no || strings.Contains(e.raw, "retry") {
					t.Errorf("the stream ends with %q", e.raw)
				}
				f.ends()
			}
			if took := time.Since(began); took > 10*time.Second { // a heartbeat, which comes after 15 s, would end it, too
				t.Errorf("it took %v", took)
			}
			srv.publish("d", "t", "1")
			other.gets("1")
			other.close()
		})
	}
}
