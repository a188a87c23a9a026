package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// route is a way from a reader to the server.
type route struct {
	name string
	to   func(t testing.TB, s *server) *cutter
}

func routes() []route {
	return []route{
		{"direct", func(t testing.TB, s *server) *cutter { return newCutter(t, "tcp", s.address()) }},
		{"nginx", func(t testing.TB, s *server) *cutter { return newCutter(t, "unix", startNginx(t, s, withKeepAlive)) }},
		{"nginx-bare", func(t testing.TB, s *server) *cutter { return newCutter(t, "unix", startNginx(t, s, withNothing)) }},
	}
}

// TestInterop shows that readers that others made get every message once and
// nothing else, also over connections that break.
func TestInterop(t *testing.T) {
	for _, r := range readers() {
		for _, via := range routes() {
			for name, flags := range paths() {
				t.Run(r.name+"/"+via.name+"/"+name, func(t *testing.T) {
					t.Parallel()
					s := start(t, append(flags, "--heartbeat=300ms")...)
					wire := via.to(t, s)
					in := listen(t, r, wire.url, s.token(t, runChannel, "*"))
					in.staysWhole(s, wire, r)
				})
			}
		}
	}
}

// staysWhole breaks the reader's connections while numbers are published.
func (l *listener) staysWhole(s *server, wire *cutter, r reader) {
	l.Helper()
	l.expectOpen(false) // before there is any message
	l.expectBeats(wire, r.beat)
	s.count(l, 1, 5)
	l.expectMessages(1, 5)

	wire.cut()
	s.count(l, 6, 10)
	wire.mend()
	l.expectOpen(true)
	l.expectMessages(6, 10)

	if !r.losesHalves {
		cut := wire.cutAfter(`"data":{"n":12`)
		s.count(l, 11, 12)
		l.expectMessages(11, 11)
		<-cut
		s.count(l, 13, 15)
		wire.mend()
		l.expectOpen(true)
		l.expectMessages(12, 15)
	}
	l.expectBeats(wire, r.beat)
	s.count(l, 16, 16)
	l.expectMessages(16, 16)
}

// count publishes the numbers from first to last, to two topics in turn, and
// returns the id of the first.
func (s *server) count(t testing.TB, first, last int) (id string) {
	t.Helper()
	for n := first; n <= last; n++ {
		this := s.publish(t, runChannel, topicOf(n), fmt.Sprintf(`{"n":%d}`, n))
		if n == first {
			id = this
		}
	}
	return id
}

func topicOf(n int) string { return []string{"status", "tokens"}[n%2] }

// listener is what a reader hears.
type listener struct {
	testing.TB
	events chan event
	lastID string
}

// listen starts a reader of [runChannel] that ends with the test.
func listen(t testing.TB, r reader, server, credential string) *listener {
	l := &listener{TB: t, events: make(chan event)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		r.read(ctx, t, server+"/v1/subscribe?channel="+runChannel, credential, func(e event) {
			if e.Type == "$live" { // it may stand between any two events
				return
			}
			select {
			case l.events <- e:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return l
}

// next waits for the next event, which must be of the given type.
func (l *listener) next(kind string) event {
	l.Helper()
	select {
	case e := <-l.events:
		if e.Type != kind {
			l.Fatalf("the reader wants %q, it got %+v", kind, e)
		}
		l.lastID = e.ID
		return e
	case <-within(l, patience).Done():
		l.Fatalf("the reader wants %q, it got nothing", kind)
		return event{}
	}
}

// expectOpen wants the beginning of a stream, where the last one ended.
func (l *listener) expectOpen(resumed bool) {
	l.Helper()
	was := l.lastID
	e := l.next("$open")
	if resumed && e.ID != was {
		l.Fatalf("the stream goes on after %q, it was at %q", e.ID, was)
	}
	if says := strings.Contains(e.Data, `"resumed":true`); says != resumed || e.ID == "" {
		l.Fatalf("$open is %+v, wanted resumed %t", e, resumed)
	}
}

// expectMessages wants the numbers from first to last and nothing in between.
func (l *listener) expectMessages(first, last int) {
	l.Helper()
	for n := first; n <= last; n++ {
		e := l.next(topicOf(n))
		var m struct {
			ID      string
			Channel string
			Topic   string
			Data    struct{ N int }
		}
		if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
			l.Fatalf("%+v: %v", e, err)
		}
		if m.Data.N != n || m.ID != e.ID || m.Topic != e.Type || m.Channel != runChannel {
			l.Fatalf("wanted number %d, got %+v", n, e)
		}
	}
}

// expectBeats waits until two heartbeats have gone to the reader. That it makes
// no events of them shows when it is asked for the next one.
func (l *listener) expectBeats(wire *cutter, beat string) {
	l.Helper()
	if _, err := wire.seen.wait(within(l, patience), wire.seen.len(), beat+"(?s:.*)"+beat); err != nil {
		l.Fatal(err)
	}
}
