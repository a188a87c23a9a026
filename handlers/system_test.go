package handlers_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/internal/system"
	"github.com/sluicehq/sluice/schemas"
)

// system reads what the node tells of itself.
func (s *suite) system(t *testing.T) {
	srv := s.start(t, func(o *setup) {
		o.handlers.Node = system.Node{Name: "one", Engine: "memory", StartedAt: schemas.TimeOf(time.Now())}
	})
	token := srv.mint(auth.TokenRequest{Subject: "user", Subscribe: schemas.AllowAll(), Publish: schemas.AllowAll()}).Token
	get := func(name, query, as string, status int, problem, detail string) call {
		return call{name: name, method: "GET", path: "/v1/subscribe?channel=$system" + query, as: as, status: status, problem: problem, detail: detail}
	}
	srv.run(t, []call{
		get("a token", "", token, 403, "forbidden", `channel "$system"`),
		get("nobody", "", "", 401, "unauthorized", ""),
		get("with others", "&channel=c", apiKey, 400, "malformed", "a stream of its own"),
		get("until the end", "&until=end", apiKey, 400, "malformed", "no run"),
		{name: "a head", method: "HEAD", path: "/v1/subscribe?channel=$system", as: apiKey, status: 200},
		{name: "publish", method: "POST", path: "/v1/publish/$system/overview", as: apiKey, body: "1", status: 400, problem: "malformed", detail: "$"},
		{name: "publish several", method: "POST", path: "/v1/publish", as: apiKey, body: `{"channel":"$system","topic":"overview","data":1}`, status: 400, problem: "malformed", detail: "$"},
		{name: "run", method: "PUT", path: "/v1/channels/$system/run", as: apiKey, body: `{"status":"running"}`, status: 400, problem: "malformed", detail: "$"},
		{name: "history", method: "GET", path: "/v1/channels/$system/messages", as: apiKey, status: 400, problem: "malformed", detail: "$"},
		{name: "grant", method: "POST", path: "/v1/tokens", as: apiKey, body: `{"channel":"$system"}`, status: 400, problem: "malformed", detail: "$"},
	})
	srv.publish("c", "t", "1")
	for _, c := range []call{
		{path: "channel=$system&topic=overview"},
		{method: "POST", path: "/v1/subscribe", body: `{"channels":[{"channel":"$system","topics":["overview"]}],"replay":"all"}`},
	} {
		c.as = apiKey
		f := srv.open(t, c)
		f.after("$open")
		m := f.after("overview").message(t)
		s.described.validate(t, "/components/schemas/Overview", string(m.Data))
		var o system.Overview
		if err := json.Unmarshal(m.Data, &o); err != nil {
			t.Fatal(err)
		}
		if m.Channel != "$system" || o.Node.Name != "one" || o.Published != 1 || o.Channels != 1 || o.Streams != 0 || o.ClientErrors == 0 || o.Why != "" {
			t.Errorf("%+v in %+v", o, m)
		}
		f.close()
	}
	f := srv.open(t, call{as: apiKey, path: "channel=$system&topic=channels"})
	f.after("$open")
	srv.publish("c", "t", "2")
	s.described.validate(t, "/components/schemas/BusyChannels", string(f.after("channels").message(t).Data))
	f.close()
	f = srv.open(t, call{as: apiKey, path: "channel=$system&topic=nodes"})
	f.after("$open")
	s.described.validate(t, "/components/schemas/Nodes", string(f.after("nodes").message(t).Data))
	f.close()
	srv.run(t, []call{
		{name: "it is no subscriber", method: "GET", path: "/v1/subscribers", as: apiKey, status: 200, says: `"subscribers":[]`},
		{name: "it is no channel", method: "GET", path: "/v1/channels?prefix=$", as: apiKey, status: 200, says: `"channels":[]`},
	})
}

// TestSystem_drain ends the streams of the channel, and opens no further one.
func TestSystem_drain(t *testing.T) {
	srv := start(t)
	f := srv.open(t, call{as: apiKey, path: "channel=$system&topic=channels"})
	f.after("$open")
	if err := srv.service.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for e := f.next(); e.name != "$close"; e = f.next() {
	}
	f.ends()
	late := srv.open(t, call{as: apiKey, path: "channel=$system"})
	late.after("$close")
	late.ends()
}
