package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// historyPage is one page of a history.
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
	s.historyRefusals(t, srv, get)
	// Who may read one topic sees how far the channel goes with all of them.
	p := decoded[historyPage](t, srv.check(t, call{method: "GET", path: get(""), as: srv.token("c/1", "none"), status: 200}))
	if len(p.Messages) != 0 || p.FirstID == nil || *p.FirstID != ids[2] || *p.LastID != ids[7] {
		t.Errorf("a token for a topic without messages: %+v", p)
	}
	srv.check(t, call{method: "GET", path: "/v1/channels/c%2F1", as: srv.token("c/1", "none"), status: 200, says: `"messages":6`})
}

func (s *suite) historyRefusals(t *testing.T, srv *server, get func(query string) string) {
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

// A history does not include expired messages.
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
