package handlers_test

import (
	"io"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// subscriber is what the tests of subscriptions know of a server.
type subscriber struct {
	*server

	token   string // for channel c, topics t and u
	revoked string
	middle  string // id of the second of three messages of channel c
}

// subscriberOf prepares a server.
func subscriberOf(t *testing.T, s *server) subscriber {
	t.Helper()
	grant := schemas.Grants{{Channel: "c", Topics: []string{"t", "u"}}}
	revoked := s.mint(auth.TokenRequest{Subject: "user-8", Subscribe: grant})
	if err := s.auth.Revoke(revoked.ID); err != nil {
		t.Fatal(err)
	}
	s.publish("c", "t", `1`)
	middle := s.publish("c", "u", `2`)
	s.publish("c", "t", `3`)
	return subscriber{s, s.token("c", "t", "u"), revoked.Token, middle.ID.String()}
}

// Every stream of the front begins as one of net/http, and so does every refusal.
func TestFront_sameStreams(t *testing.T) {
	servers := pairOf(t, func(o *setup) {
		o.handlers.CORSOrigins = []string{allowedOrigin, "*"}
		o.handlers.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.broker.MaxStreamsPerAddress = 1
	})
	with := [2]subscriber{subscriberOf(t, servers[0]), subscriberOf(t, servers[1])}
	const path = "/v1/subscribe"
	ndjson := "Accept: application/x-ndjson"
	streams := 0
	for _, tt := range []struct {
		name    string
		request func(s subscriber) string
		front   int64
	}{
		{"API key", func(s subscriber) string { return get(path+"?channel=c", apiKey) }, 1},
		{"token", func(s subscriber) string { return get(path+"?channel=c", s.token) }, 1},
		{"channel of the token", func(s subscriber) string { return get(path, s.token) }, 1},
		{"no channel", func(s subscriber) string { return get(path, apiKey) }, 1},
		{"token in the query", func(s subscriber) string {
			return strings.Replace(get(path+"?channel=c&access_token="+s.token, ""), "Authorization: Bearer", "User-Agent: x", 1)
		}, 1},
		{"key in the query", func(s subscriber) string {
			return strings.Replace(get(path+"?channel=c&access_token="+apiKey, ""), "Authorization: Bearer", "User-Agent: x", 1)
		}, 1},
		{"two tokens", func(s subscriber) string { return get(path+"?channel=c&access_token="+s.token, s.token) }, 0},
		{"two tokens in the query", func(s subscriber) string { return get(path+"?access_token=a&access_token=b", "") }, 0},
		{"no credential", func(s subscriber) string {
			return strings.Replace(get(path+"?channel=c", ""), "Authorization: Bearer", "User-Agent: x", 1)
		}, 0},
		{"wrong credential", func(s subscriber) string { return get(path+"?channel=c", "wrong") }, 1},
		{"revoked", func(s subscriber) string { return get(path+"?channel=c", s.revoked) }, 1},
		{"topic", func(s subscriber) string { return get(path+"?channel=c&topic=u&replay=all", s.token) }, 1},
		{"several channels", func(s subscriber) string {
			return get(path+"?channel=c&channel=d:*&channel=c&topic=t&topic=$run&replay=2", apiKey)
		}, 1},
		{"everything", func(s subscriber) string { return get(path+"?channel=*&replay=latest", apiKey) }, 1},
		{"escapes", func(s subscriber) string { return get(path+"?channel=%63&replay=%61ll", apiKey) }, 1},
		{"resume", func(s subscriber) string { return get(path+"?channel=c", s.token, "Last-Event-ID: "+s.middle) }, 1},
		{"resume by the query", func(s subscriber) string { return get(path+"?channel=c&last_event_id="+s.middle, s.token) }, 1},
		{"resume by the other name", func(s subscriber) string { return get(path+"?channel=c&lastEventId="+s.middle, s.token) }, 1},
		{"header before query", func(s subscriber) string {
			return get(path+"?channel=c&last_event_id=nonsense", s.token, "Last-Event-ID: "+s.middle)
		}, 1},
		{"both names", func(s subscriber) string { return get(path+"?channel=c&lastEventId=a&last_event_id=a", s.token) }, 0},
		{"another life", func(s subscriber) string { return get(path+"?channel=c", s.token, "Last-Event-ID: nonsense") }, 1},
		{"lines", func(s subscriber) string { return get(path+"?channel=c&replay=all", s.token, ndjson) }, 1},
		{"either", func(s subscriber) string { return get(path+"?channel=c", s.token, ndjson+", Text/Event-Stream") }, 1},
		{"shape", func(s subscriber) string {
			return get(path+"?channel=c&replay=all&envelope=none&event=message", s.token)
		}, 1},
		{"page", func(s subscriber) string {
			return get(path+"?channel=c", s.token, "Origin: "+allowedOrigin, "Sec-Fetch-Mode: cors")
		}, 1},
		{"any page", func(s subscriber) string { return get(path+"?channel=c", s.token, "Origin: https://other.example.com") }, 1},
		{"own id", func(s subscriber) string { return get(path+"?channel=c", s.token, "X-Request-ID: mine") }, 1},
		{"bad id", func(s subscriber) string { return get(path+"?channel=c", s.token, `X-Request-ID: a"b`) }, 0},
		{"channel not granted", func(s subscriber) string { return get(path+"?channel=d", s.token) }, 1},
		{"topic not granted", func(s subscriber) string { return get(path+"?channel=c&topic=v", s.token, "Origin: "+allowedOrigin) }, 1},
		{"bad channel", func(s subscriber) string { return get(path+"?channel=%20", s.token) }, 1},
		{"bad topic", func(s subscriber) string { return get(path+"?channel=c&topic=%20", s.token) }, 0},
		{"bad replay", func(s subscriber) string { return get(path+"?channel=c&replay=some", s.token) }, 1},
		{"bad shape", func(s subscriber) string { return get(path+"?channel=*&envelope=none", apiKey) }, 1},
		{"too many patterns", func(s subscriber) string { return get(path+"?"+strings.Repeat("channel=*&", 16)+"channel=*", apiKey) }, 1},
		{"unknown parameter", func(s subscriber) string { return get(path+"?channel=c&chanel=d", s.token) }, 0},
		{"doubled parameter", func(s subscriber) string { return get(path+"?channel=c&replay=all&replay=all", s.token) }, 0},
		{"empty parameter", func(s subscriber) string { return get(path+"?channel=c&topic=", s.token) }, 0},
		{"bad escape", func(s subscriber) string { return get(path+"?channel=%zz", s.token) }, 0},
		{"until the end", func(s subscriber) string { return get(path+"?channel=c&until=end", s.token) }, 0},
		{"body", func(s subscriber) string { return get(path+"?channel=c", s.token, "Content-Length: 2") + "{}" }, 0},
		{"chunks", func(s subscriber) string {
			return get(path+"?channel=c", s.token, "Transfer-Encoding: chunked") + "0\r\n\r\n"
		}, 0},
		{"expectation", func(s subscriber) string { return get(path+"?channel=c", s.token, "Expect: 100-continue") }, 0},
		{"closes", func(s subscriber) string { return get(path+"?channel=c", s.token, "Connection: close") }, 0},
		{"HTTP/1.0", func(s subscriber) string { return strings.Replace(get(path+"?channel=c", s.token), "/1.1", "/1.0", 1) }, 0},
		{"HEAD", func(s subscriber) string { return strings.Replace(get(path+"?channel=c", s.token), "GET", "HEAD", 1) }, 0},
		{"two ids", func(s subscriber) string {
			return get(path+"?channel=c", s.token, "Last-Event-ID: a", "Last-Event-ID: b")
		}, 0},
		{"slash at the end", func(s subscriber) string { return get(path+"/?channel=c", s.token) }, 0},
		{"escaped path", func(s subscriber) string { return get("/v1/%73ubscribe?channel=c", s.token) }, 0},
		{"another route", func(s subscriber) string { return get("/readyz", apiKey) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := servers[0].fronted.answers.Load()
			var answers [2][]string
			for i, s := range with {
				answers[i] = s.talk(t, tt.request(s), last)
			}
			if !reflect.DeepEqual(answers[0], answers[1]) {
				t.Errorf("got  %q\nwant %q", answers[0], answers[1])
			}
			servers[0].awaitAnswers(t, before+tt.front)
			if n := servers[0].fronted.answers.Load() - before; n != tt.front {
				t.Errorf("the front answered %d times, want %d", n, tt.front)
			}
			if strings.HasPrefix(answers[1][0], "200 OK") && !strings.HasPrefix(tt.request(with[1]), "HEAD") && tt.name != "another route" {
				streams++
				servers[0].countedStreams(t, streams) // its place is free
				servers[1].countedStreams(t, streams)
			}
		})
	}
	var traces [2]string
	for i, s := range servers {
		for len(s.log.lines("stream finished")) < streams { // it is counted before it is logged
			time.Sleep(time.Millisecond)
		}
		lines := slices.DeleteFunc(strings.Split(lengths.ReplaceAllString(s.traces(t), ""), "\n"), func(line string) bool {
			return strings.Contains(line, "/metrics") // the tests ask until they find what they wait for
		})
		slices.Sort(lines) // the end of a stream is logged when its client has left
		traces[i] = strings.Join(lines, "\n")
	}
	sameLines(t, traces[0], traces[1])
}

// lengths matches what depends on how long ids are.
var lengths = regexp.MustCompile(`sluice_delivered_bytes_total \d+|"bytes":\d+`)

// What cannot be served now is turned away as by net/http.
func TestFront_turnedAway(t *testing.T) {
	servers := pairOf(t, func(o *setup) { o.broker.MaxStreamsPerSubject = 1 })
	target := "/v1/subscribe?channel=c&last_event_id=" + url.QueryEscape("abc-7")
	check := func(name, credential string, fields ...string) {
		t.Helper()
		before := servers[0].fronted.answers.Load()
		request := get(target, credential, fields...)
		got, want := servers[0].talk(t, request, last), servers[1].talk(t, request, last)
		if !reflect.DeepEqual(got, want) || len(got) != 2 || got[1] != "closes" && got[1] != "closed" {
			t.Errorf("%s: got  %q\nwant %q", name, got, want)
		}
		if servers[0].fronted.answers.Load() != before+1 {
			t.Errorf("%s: not by the front", name)
		}
	}
	for _, s := range servers {
		conn := s.connect(t)
		if _, err := io.WriteString(conn, get("/v1/subscribe?channel=c", s.token("c", "t"))); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		var answers [2][]string
		for i, s := range servers {
			answers[i] = s.talk(t, get(target, s.token("c", "t"), "Accept: "+accept), last)
		}
		if !reflect.DeepEqual(answers[0], answers[1]) || len(answers[0]) != 2 || !strings.HasPrefix(answers[0][1], "close") {
			t.Errorf("got  %q\nwant %q", answers[0], answers[1])
		}
	}
	for _, s := range servers {
		s.broker.StopAccepting()
	}
	check("draining", apiKey)
	check("draining, lines", apiKey, "Accept: application/x-ndjson")
	for _, s := range servers {
		a := s.check(t, call{method: "GET", path: "/metrics", status: 200})
		for _, want := range []string{`sluice_streams_refused_total{reason="too_many_streams"} 1`, `sluice_streams_refused_total{reason="server_draining"} 1`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("no %s", want)
			}
		}
	}
}

// awaitAnswers waits until the front has answered n times: a stream is there before it is
// counted.
func (s *server) awaitAnswers(t testing.TB, n int64) {
	t.Helper()
	for began := time.Now(); s.fronted.answers.Load() < n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 2*patience {
			t.Fatalf("the front answered %d times, want %d", s.fronted.answers.Load(), n)
		}
	}
}

// The place of a client that leaves as soon as it has asked, or says that it will send
// nothing more, is free again.
func TestFront_leaves(t *testing.T) {
	s := start(t, func(o *setup) { o.front = true })
	for i := range 20 {
		conn := s.connect(t).(*net.TCPConn)
		if _, err := io.WriteString(conn, get("/v1/subscribe?channel=c", apiKey)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			conn.Close()
		} else if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	s.countedStreams(t, 20)
	if n := s.broker.Stats().Streams; n != 0 {
		t.Errorf("%d streams", n)
	}
}

// Messages reach a stream of the front, and revocation ends it.
func TestFront_streams(t *testing.T) {
	s := start(t, func(o *setup) { o.front = true })
	token := s.mint(auth.TokenRequest{Subject: "user-7", Subscribe: schemas.Grants{{Channel: "c", Topics: []string{"*"}}}})
	feed := s.open(t, call{as: token.Token, path: "channel=c"})
	feed.after("$open")
	if infos := s.broker.Streams(broker.Filter{Subject: "user-7"}, 10); len(infos) != 1 || infos[0].Address != "127.0.0.1" || infos[0].TokenID != token.ID {
		t.Errorf("the broker knows %+v", infos)
	}
	s.publish("c", "t", "1")
	feed.gets("1")
	s.broker.Disconnect(broker.Filter{TokenID: token.ID}, broker.TokenRevoked())
	feed.after("$close")
	feed.ends()
	s.awaitAnswers(t, 1)
}
