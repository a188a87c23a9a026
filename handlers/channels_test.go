package handlers_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

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
			if f.Address != "127.0.0.1" || f.Position != srv.broker.Head("c").String() || (f.JTI == "") != (f.Sub == "") {
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
	s.addresses(t)
}

// addresses tests the addresses of streams: a header counts only if a trusted proxy sends it.
func (s *suite) addresses(t *testing.T) {
	for _, tt := range []struct{ trusted, header, want string }{
		{"", "203.0.113.7", "127.0.0.1"},
		{"127.0.0.0/8", "203.0.113.7", "203.0.113.7"},
		{"127.0.0.0/8", "198.51.100.1, 203.0.113.7", "203.0.113.7"},
		{"127.0.0.0/8", "203.0.113.7, 127.0.0.2", "203.0.113.7"},
		{"10.0.0.0/8", "203.0.113.7", "127.0.0.1"},
		{"127.0.0.0/8", "203.0.113.7:51234", "203.0.113.7"},
		{"127.0.0.0/8", "198.51.100.1:1, 203.0.113.7:51234, 127.0.0.2:80", "203.0.113.7"},
		{"127.0.0.0/8", "[2001:db8::1]:443", "2001:db8::1"},
		{"127.0.0.0/8", "[2001:db8::1]", "2001:db8::1"},
		{"127.0.0.0/8", "2001:DB8:0::1", "2001:db8::1"},
		{"127.0.0.0/8", `"[2001:db8::1]:443"`, "2001:db8::1"},
		{"127.0.0.0/8", `"203.0.113.7"`, "203.0.113.7"},
		{"127.0.0.0/8", "::ffff:203.0.113.7", "203.0.113.7"},
		{"127.0.0.0/8", "203.0.113.7, ::ffff:127.0.0.2", "203.0.113.7"},
		{"127.0.0.0/8", "unknown", "127.0.0.1"},
		{"127.0.0.0/8", "203.0.113.7, unknown, 127.0.0.2", "127.0.0.2"},
		{"127.0.0.0/8", "127.0.0.3, 127.0.0.2", "127.0.0.3"},
		{"127.0.0.0/8", "203.0.113.7,", "127.0.0.1"},
		{"127.0.0.0/8", "", "127.0.0.1"},
	} {
		srv := s.start(t, func(o *setup) {
			if tt.trusted != "" {
				o.handlers.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(tt.trusted)}
			}
		})
		feed := srv.open(t, call{as: apiKey, path: "channel=c", header: map[string]string{"X-Forwarded-For": tt.header}})
		feed.after("$open")
		srv.check(t, call{method: "GET", path: "/v1/subscribers", as: apiKey, status: 200, says: `"address":"` + tt.want + `"`})
		feed.close()
	}
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
	s.channelDeleted(t, srv, feed)

	// A channel that only has readers is one too, and nothing is left of it without them.
	waiting := srv.open(t, call{as: apiKey, path: "channel=w:1"})
	waiting.after("$open")
	list("?prefix=w", "w:1", "")
	if w := decoded[info](t, srv.check(t, call{method: "GET", path: "/v1/channels/w:1", as: apiKey, status: 200})); w.Subscribers != 1 || w.Messages != 0 || w.FirstID != nil {
		t.Errorf("channel %+v", w)
	}
	srv.check(t, call{method: "DELETE", path: "/v1/channels/w:1", as: apiKey, status: 204})
	waiting.after("$close")
	list("?prefix=w", "", "")
}

// channelDeleted tests that deleting channel b ends feed, which reads it.
func (s *suite) channelDeleted(t *testing.T, srv *server, feed *feed) {
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
