package handlers_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// presenceEvent is the data of an event on the topic $presence.
type presenceEvent struct {
	Channel string   `json:"channel"`
	State   bool     `json:"state"`
	Joined  []string `json:"joined"`
	Left    []string `json:"left"`
	Count   int      `json:"count"`
}

// until reads events up to one with the given name, and returns it and the names of all.
func (f *feed) until(name string) (e event, names []string) {
	f.t.Helper()
	for {
		if e = f.next(); e.name != "" {
			names = append(names, e.name)
		}
		if e.name == name {
			return e, names
		}
	}
}

// presence tests who is told of the readers of a channel, and what.
func (s *suite) presence(t *testing.T) {
	srv := s.start(t)
	as := func(sub string, topics ...string) string {
		return srv.mint(auth.TokenRequest{Subject: sub, Subscribe: schemas.Grants{{Channel: "*", Topics: topics}}}).Token
	}
	ann, bob := as("ann", "*", "$presence"), as("bob", "*")
	s.presenceRefusals(t, srv, ann, bob)
	for name, header := range map[string]map[string]string{"sse": nil, "lines": {"Accept": "application/x-ndjson"}} {
		t.Run(name, func(t *testing.T) {
			channel := "room:" + name
			srv.publish(channel, "t", "1")
			srv.open(t, call{as: bob, path: "channel=room:*", header: header}).after("$open") // a pattern is nobody
			first := srv.open(t, call{as: ann, path: "channel=" + channel + "&topic=*&topic=$presence&replay=all", header: header})
			first.after("$open")
			first.gets("1")
			e, _ := first.until("$presence")
			want := `{"channel":"` + channel + `","state":true,"joined":["ann"],"left":[],"count":1}`
			if e.data == `{"channel":"`+channel+`","state":true,"joined":[],"left":[],"count":0}` { // told before it had joined
				e, _ = first.until("$presence")
				want = strings.Replace(want, `"state":true,`, "", 1)
			}
			if e.data != want {
				t.Errorf("the state is %s, want %s", e.data, want)
			}
			if !first.ndjson && e.id != srv.messages(channel)[0].ID.String() {
				t.Errorf("the id of %q is not the position", e.raw)
			}
			other := srv.open(t, call{as: bob, path: "channel=" + channel})
			other.after("$open")
			srv.open(t, call{as: apiKey, path: "channel=" + channel}).after("$open")
			srv.publish(channel, "t", "2")
			count, joined := 0, []string(nil)
			for count < 3 {
				change := first.presence()
				if change.State || len(change.Left) > 0 {
					t.Errorf("told %+v", change)
				}
				count, joined = change.Count, append(joined, change.Joined...)
			}
			if !slices.Equal(joined, []string{"bob"}) {
				t.Errorf("%q joined", joined)
			}
			other.close()
			gone := first.presence()
			if want := fmt.Sprint(presenceEvent{Channel: channel, Left: []string{"bob"}, Count: 2}); fmt.Sprint(gone) != want {
				t.Errorf("told %+v, want %s", gone, want)
			}
			a := srv.check(t, call{method: "GET", path: "/v1/channels/" + channel + "/presence", as: ann, status: 200})
			if !strings.HasPrefix(a.body, `{"count":2,"subjects":[{"sub":"ann","streams":1,"since":"20`) || !strings.HasSuffix(a.body, `Z"}],"more":false}`+"\n") {
				t.Errorf("the list is %s", a.body)
			}
		})
	}
	s.presenceBody(t, srv, ann)
}

// presence returns what the next event about presence says. Messages before it are left out.
func (f *feed) presence() (told presenceEvent) {
	f.t.Helper()
	e, _ := f.until("$presence")
	if err := json.Unmarshal([]byte(e.data), &told); err != nil {
		f.t.Fatalf("%v: %q", err, e.raw)
	}
	return told
}

// Presence is the same over HTTP/2, whose streams net/http writes, with and without TLS, and when
// channels are spread over shards.
func TestPresence_everywhere(t *testing.T) {
	sharded := func(o *setup) { o.broker.Shards = []engine.Engine{new(relay), new(relay), new(relay)} }
	ways := []path{
		{"HTTP/2", func(o *setup) { o.h2 = true }},
		{"HTTP/2 over TLS", func(o *setup) { o.h2, o.secure = true, true }},
		{"HTTP/2, sharded", func(o *setup) { o.h2 = true; sharded(o) }},
	}
	for _, p := range paths() {
		ways = append(ways, path{p.name + ", sharded", func(o *setup) { p.change(o); sharded(o) }})
	}
	for _, p := range ways {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			(&suite{described: readDescription(t), log: new(journal), path: p}).presence(t)
		})
	}
}

// presenceRefusals tests who is not told.
func (s *suite) presenceRefusals(t *testing.T, srv *server, may, mayNot string) {
	named := "must be granted by its name"
	srv.run(t, []call{
		{name: "list without a credential", method: "GET", path: "/v1/channels/c/presence", status: 401, problem: "unauthorized"},
		{name: "list without the grant", method: "GET", path: "/v1/channels/c/presence", as: mayNot, status: 403, problem: "forbidden", detail: named},
		{name: "stream without the grant", method: "GET", path: "/v1/subscribe?channel=c&topic=$presence", as: mayNot, status: 403, problem: "forbidden", detail: named},
		{name: "a pattern", method: "GET", path: "/v1/subscribe?channel=room:*&topic=$presence", as: may, status: 400, problem: "malformed", detail: "is a pattern"},
		{name: "history", method: "GET", path: "/v1/channels/c/messages?topic=$presence", as: may, status: 400, problem: "malformed"},
		{name: "publishing", method: "POST", path: "/v1/publish/c/$presence", as: apiKey, body: "1", status: 400, problem: "malformed"},
		{name: "a bad channel", method: "GET", path: "/v1/channels/a*/presence", as: apiKey, status: 400, problem: "malformed"},
		{name: "nobody", method: "GET", path: "/v1/channels/c/presence", as: apiKey, status: 200, says: `{"count":0,"subjects":[],"more":false}`},
	})
}

// presenceBody tests the topic in a body, that a stream which does not ask is not told, and that
// one which does resumes from the id of what it was told.
func (s *suite) presenceBody(t *testing.T, srv *server, as string) {
	asked := call{
		method: "POST", path: "/v1/subscribe", as: as, header: map[string]string{"Content-Type": "application/json"},
		body: `{"channels":[{"channel":"x","topics":["$presence"]},{"channel":"y","topics":["t"]},{"channel":"z","topics":["t","$presence"]}]}`,
	}
	watch := srv.open(t, asked)
	watch.after("$open")
	states, there := map[string]bool{}, map[string]bool{}
	for len(states) < 2 || !there["z ann"] { // the stream itself may join before z has told its state, or after
		e := watch.presence()
		states[e.Channel] = states[e.Channel] || e.State
		for _, name := range e.Joined {
			there[e.Channel+" "+name] = true
		}
	}
	if !states["x"] || !states["z"] || len(there) != 1 {
		t.Errorf("told the states of %v, and of %v", states, there)
	}
	quiet := srv.open(t, call{as: as, path: "channel=z"})
	quiet.after("$open")
	srv.open(t, call{as: as, path: "channel=z&topic=$presence"}).presence()
	srv.publish("z", "t", "1")
	if _, names := quiet.until("t"); slices.Contains(names, "$presence") {
		t.Errorf("a stream that did not ask was sent %q", names)
	}
	srv.publish("y", "t", "2")
	watch.gets("1", "2")
	srv.open(t, call{as: apiKey, path: "channel=x"}).after("$open")
	told, _ := watch.until("$presence")
	watch.close()
	srv.publish("y", "t", "3")
	asked.header["Last-Event-ID"] = told.id
	back := srv.open(t, asked)
	if open := back.after("$open"); open.id != told.id || !strings.Contains(open.data, `"resumed":true`) {
		t.Errorf("opened with %q, want to resume at %s", open.raw, told.id)
	}
	if e, _ := back.until("t"); e.message(t).ID != srv.messages("y")[1].ID {
		t.Errorf("the first message is %s", e.data)
	}
}
