package handlers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// replay checks that a stream begins with the stored messages that the client asks for.
func (s *suite) replay(t *testing.T) {
	srv := s.start(t)
	var ids []schemas.ID
	for _, m := range []string{"c t", "c u", "c t", "d t", "c v"} {
		channel, topic, _ := strings.Cut(m, " ")
		ids = append(ids, srv.publish(channel, topic, fmt.Sprint(len(ids))).ID)
	}
	for _, tt := range []struct{ query, want string }{
		{"channel=c", ""},
		{"channel=c&replay=none", ""},
		{"channel=c&replay=0", ""},
		{"channel=c&replay=all", "0,1,2,4"},
		{"channel=c&replay=latest", "1,2,4"},
		{"channel=c&replay=2", "2,4"},
		{"channel=c&replay=100", "0,1,2,4"},
		{"channel=c&topic=t&replay=1", "2"},
		{"channel=c&topic=t&topic=u&replay=latest", "1,2"},
		{"channel=c&channel=d&replay=1", "3,4"},
		{"channel=*&replay=all", "0,1,2,3,4"},
		{"channel=nowhere&replay=all", ""},
		{"channel=c&replay=all&last_event_id=" + ids[2].String(), "4"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			feed := srv.open(t, call{as: apiKey, path: tt.query})
			open := control[opened](feed, "$open")
			var want []string
			if tt.want != "" {
				want = strings.Split(tt.want, ",")
			}
			first := srv.broker.Head("c")
			for _, text := range want {
				m := feed.next().message(t)
				if string(m.Data) != text {
					t.Errorf("replayed %s, want %s", m.Data, text)
				}
				if m.ID.Seq < first.Seq {
					first = schemas.ID{Epoch: m.ID.Epoch, Seq: m.ID.Seq - 1}
				}
			}
			if !strings.Contains(tt.query, "last_event_id") && open.ID != first.String() {
				t.Errorf("$open stands at %s, want %s", open.ID, first)
			}
			feed.close()
		})
	}
	for srv.broker.Stats().Streams > 0 {
		srv.send(t, call{method: "GET", path: "/healthz"}) // until the server has seen that they are closed
	}
	if info, err := srv.broker.Channel(context.Background(), "nowhere"); err == nil {
		t.Errorf("a reader made a channel: %+v", info)
	}
}

// resume checks that a stream resumes after an id, whichever way the client sends it.
func (s *suite) resume(t *testing.T) {
	srv := s.start(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, srv.publish("c", "t", fmt.Sprint(i)).ID.String())
	}
	for _, tt := range []struct{ name, query, header, want string }{
		{"header", "", ids[2], "3,4"},
		{"query", "&last_event_id=" + ids[3], "", "4"},
		{"the other query", "&lastEventId=" + ids[3], "", "4"},
		{"the header wins", "&last_event_id=" + ids[0], ids[3], "4"},
		{"the newest", "&replay=all", ids[4], ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := call{as: apiKey, path: "channel=c" + tt.query}
			if tt.header != "" {
				c.header = map[string]string{"Last-Event-ID": tt.header}
			}
			feed := srv.open(t, c)
			if open := control[opened](feed, "$open"); !open.Resumed {
				t.Errorf("$open says %+v", open)
			}
			if tt.want != "" {
				feed.gets(strings.Split(tt.want, ",")...)
			}
			feed.close()
		})
	}
	feed := srv.open(t, call{as: apiKey, path: "channel=c", header: map[string]string{"Last-Event-ID": ids[4]}})
	feed.after("$open")
	last := srv.publish("c", "t", "5")
	if e := feed.after("t"); e.id != last.ID.String() {
		t.Errorf("after the resume came %q", e.raw)
	}
	feed.close()
}

// gap checks that a stream that resumes before a loss reports it.
func (s *suite) gap(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.broker.Replay.Messages = 3 })
	var ids []string
	for i := range 6 {
		ids = append(ids, srv.publish("c", "t", fmt.Sprint(i)).ID.String())
	}
	head := srv.broker.Head("c")
	foreign := schemas.ID{Epoch: head.Epoch + 1, Seq: 1}.String()
	future := schemas.ID{Epoch: head.Epoch, Seq: head.Seq + 100}.String()
	for _, tt := range []struct{ name, after, reason string }{
		{"overrun", ids[0], "overrun"},
		{"malformed", "nonsense", "restarted"},
		{"another life", foreign, "restarted"},
		{"not yet", future, "restarted"},
		{"of another system", "1700000000-5-x", "restarted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			feed := srv.open(t, call{as: apiKey, path: "channel=c", header: map[string]string{"Last-Event-ID": tt.after}})
			if open := control[opened](feed, "$open"); open.Resumed != (tt.reason == "overrun") {
				t.Errorf("$open says %+v", open)
			}
			e := feed.after("$gap")
			s.described.validate(t, "/components/schemas/GapEvent", e.data)
			want := fmt.Sprintf(`{"channel":"c","after":"%s","resumes_at":"%s","reason":"%s"}`, tt.after, ids[3], tt.reason)
			if e.data != want {
				t.Errorf("gap %s, want %s", e.data, want)
			}
			feed.gets("3", "4", "5")
			feed.close()
		})
	}
	feed := srv.open(t, call{as: apiKey, path: "channel=empty", header: map[string]string{"Last-Event-ID": foreign}})
	feed.after("$open")
	if g := control[lost](feed, "$gap"); g.ResumesAt != nil || g.Reason != "restarted" || g.Channel != "empty" || g.After != foreign {
		t.Errorf("gap %+v", g)
	}
	feed.close()
}

// merge reads many channels in one stream while all are being published to.
func (s *suite) merge(t *testing.T) {
	srv := s.start(t)
	feed := srv.open(t, call{as: apiKey, path: "channel=a&channel=b:*&channel=c"})
	feed.after("$open")
	const each = 200
	for _, channel := range []string{"a", "b:1", "b:2", "c"} {
		go func() {
			for i := range each {
				_, err := srv.broker.Publish(t.Context(), broker.Publication{Channel: schemas.Channel(channel), Topic: "t", Data: fmt.Appendf(nil, "%d", i)})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	got := map[schemas.Channel][]string{}
	last := uint64(0)
	for range 4 * each {
		m := feed.after("t").message(t)
		if m.ID.Seq <= last {
			t.Fatalf("%s after %d", m.ID, last)
		}
		last = m.ID.Seq
		got[m.Channel] = append(got[m.Channel], string(m.Data))
	}
	for channel, data := range got {
		for i, text := range data {
			if text != fmt.Sprint(i) {
				t.Fatalf("%s: %q", channel, data)
			}
		}
	}
	if channels := len(got); channels != 4 {
		t.Errorf("%d channels", channels)
	}
	feed.close()
}
