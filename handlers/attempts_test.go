package handlers_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// attempt returns the call that publishes an attempt at a text.
func attempt(query string) call {
	return call{method: "POST", path: "/v1/publish/c/log/stream?stream_id=run:7.a_b-c&" + query, as: apiKey, status: 200}
}

// expectText checks what HEAD says of the text.
func (s *server) expectText(t testing.TB, query, attempt, offset, state string) {
	t.Helper()
	s.check(t, call{
		method: "HEAD", path: "/v1/publish/c/log/stream?stream_id=run:7.a_b-c" + query, as: apiKey, status: 200,
		sets: map[string]string{"Stream-Attempt": attempt, "Stream-Offset": offset, "Stream-State": state, "Cache-Control": "no-store"},
	})
}

// halfText is an attempt at a text whose publisher has written something and is connected.
type halfText struct {
	feed     *feed // of a reader, who has heard what there is
	start    schemas.Message
	body     *io.PipeWriter
	answered <-chan *answer
}

// half begins an attempt.
func (s *server) half(t testing.TB, query, text string) halfText {
	t.Helper()
	h := halfText{feed: s.open(t, call{as: apiKey, path: "channel=c"})}
	h.feed.after("$open")
	var body *io.PipeReader
	body, h.body = io.Pipe()
	h.answered = s.later(t, attempt(query), body)
	h.start = h.feed.after("log").message(t)
	if _, err := h.body.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	h.feed.after("log")
	return h
}

// cut breaks the connection of the publisher off.
func (h *halfText) cut() {
	h.body.CloseWithError(io.ErrClosedPipe)
	<-h.answered
}

// ends checks how the text has ended for the reader.
func (h *halfText) ends(t testing.TB, reason string) {
	t.Helper()
	if m := h.feed.after("log").message(t); m.Kind != schemas.KindStreamEnd || string(m.Data) != `{"reason":"`+reason+`"}` {
		t.Errorf("the text ends with %+v %s, want %s", m, m.Data, reason)
	}
}

// attempts tests how texts go on and are taken over.
func (s *suite) attempts(t *testing.T) {
	for name, change := range map[string]func(*setup){"HTTP1": func(*setup) {}, "HTTP2": func(o *setup) { o.h2 = true }} {
		t.Run(name, func(t *testing.T) {
			s.attemptGoesOn(t, s.start(t, change))
			s.attemptTakesOver(t, s.start(t, change))
			s.attemptGivenUp(t, s.start(t, change))
			s.attemptLost(t, s.start(t, change, func(o *setup) { o.broker.TextGrace = 50 * time.Millisecond }))
		})
	}
	s.attemptRefused(t, s.start(t))
}

// attemptGoesOn cuts a publisher, which goes on at what the server has.
func (s *suite) attemptGoesOn(t *testing.T, srv *server) {
	half := srv.half(t, "", "aé \xc3") // half of a character
	start := half.start
	if start.StreamID != "run:7.a_b-c" || string(start.Data) != `{"attempt":1}` {
		t.Errorf("start %+v %s", start, start.Data)
	}
	srv.expectText(t, "", "1", "4", "open")
	half.cut()
	srv.expectText(t, "", "1", "4", "open")

	again := attempt("attempt=1&offset=1")
	again.body = "é and on"
	receipt := decoded[streamReceipt](t, srv.check(t, again))
	if receipt.Bytes != 10 || receipt.Chunks != 2 || receipt.FirstID != start.ID || receipt.Duplicate {
		t.Errorf("receipt %+v", receipt)
	}
	srv.expectText(t, "", "1", "10", "complete")
	again.body = "whatever"
	repeated := decoded[streamReceipt](t, srv.check(t, again))
	if receipt.Duplicate = true; repeated != receipt {
		t.Errorf("repeated: %+v, want %+v", repeated, receipt)
	}
	var text strings.Builder
	for _, m := range srv.messages("c") {
		if m.Kind == schemas.KindChunk {
			text.Write(m.Text())
		}
	}
	if text.String() != "aé and on" {
		t.Errorf("the text is %q", &text)
	}
	half.feed.close()
}

// attemptTakesOver lets a later attempt take the text from one that is in the middle.
func (s *suite) attemptTakesOver(t *testing.T, srv *server) {
	old := srv.half(t, "attempt=2", "old")
	later := attempt("attempt=3")
	later.body = "new"
	srv.check(t, later)
	old.ends(t, "superseded")
	if m := old.feed.after("log").message(t); m.Kind != schemas.KindStreamStart || string(m.Data) != `{"attempt":3}` {
		t.Errorf("the new attempt begins with %+v %s", m, m.Data)
	}
	_, _ = old.body.Write([]byte(" late")) // HTTP/1 may have closed the body already
	if a := <-old.answered; a != nil && a.status != 409 || a != nil && !strings.Contains(a.body, "/problems/superseded") {
		t.Errorf("the old attempt is answered %d %s", a.status, a.body)
	}
	old.body.Close()
	srv.expectText(t, "", "3", "3", "complete")
	srv.expectText(t, "&attempt=2", "3", "3", "superseded")
	early := attempt("attempt=1")
	early.status, early.problem = 409, "superseded"
	srv.check(t, early)
	for _, m := range srv.messages("c") {
		if strings.Contains(string(m.Data), "late") {
			t.Error("the old attempt has written after it was superseded")
		}
	}
	old.feed.close()
}

// attemptLost loses a publisher for good.
func (s *suite) attemptLost(t *testing.T, srv *server) {
	half := srv.half(t, "", "half")
	half.cut()
	half.ends(t, "aborted")
	half.feed.close()
	again := attempt("offset=4")
	again.status, again.problem, again.says = 409, "conflict", `"state":"aborted"`
	srv.check(t, again)
	next := attempt("attempt=2")
	next.body = "whole"
	srv.check(t, next)
}

// attemptGivenUp lets a publisher give its text up.
func (s *suite) attemptGivenUp(t *testing.T, srv *server) {
	half := srv.half(t, "attempt=2", "half")
	half.cut()
	giveUp := attempt("attempt=1")
	giveUp.method, giveUp.status, giveUp.problem = "DELETE", 409, "superseded"
	srv.check(t, giveUp)
	srv.expectText(t, "", "2", "4", "open")
	giveUp = attempt("attempt=2")
	giveUp.method, giveUp.status = "DELETE", 204
	for range 2 { // it can be repeated
		srv.check(t, giveUp)
		srv.expectText(t, "", "2", "4", "aborted")
	}
	half.ends(t, "aborted")
	next := attempt("attempt=3")
	next.body = "whole"
	srv.check(t, next)
	giveUp = attempt("attempt=3")
	giveUp.method, giveUp.status = "DELETE", 204
	srv.check(t, giveUp) // it is complete, and stays so
	srv.expectText(t, "", "3", "5", "complete")
	half.feed.close()
}

func (s *suite) attemptRefused(t *testing.T, srv *server) {
	const path = "/v1/publish/c/log/stream"
	refused := func(name, query, says string) call {
		return call{name: name, method: "PUT", path: path + "?" + query, as: apiKey, body: "x", status: 400, problem: "malformed", says: says}
	}
	differs := attempt("")
	differs.name, differs.path, differs.status, differs.problem = "differs", strings.Replace(differs.path, "/c/", "/open/", 1), 409, "conflict"
	r, w := io.Pipe()
	defer w.Close()
	feed := srv.open(t, call{as: apiKey, path: "channel=open"})
	feed.after("$open")
	started := call{method: "POST", path: strings.Replace(attempt("").path, "/c/", "/open/", 1), as: apiKey}
	held := srv.later(t, started, r)
	feed.after("log")
	if _, err := w.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	feed.after("log")
	beyond := differs
	beyond.name, beyond.path, beyond.says = "beyond", beyond.path+"offset=5", `"offset":4`
	differs.body = "tent"
	srv.run(t, []call{
		refused("no id", "attempt=1", "stream_id"),
		refused("no id for an offset", "offset=1", "stream_id"),
		refused("empty", "stream_id=", "stream_id"),
		refused("long", "stream_id="+strings.Repeat("x", 65), "64"),
		refused("bad", "stream_id=a/b", "stream id"),
		refused("attempt 0", "stream_id=a&attempt=0", "attempt"),
		refused("attempt x", "stream_id=a&attempt=x", "attempt"),
		refused("attempt of 2⁵³", "stream_id=a&attempt=9007199254740992", "attempt"),
		refused("offset -1", "stream_id=a&offset=-1", "offset"),
		refused("twice", "stream_id=a&stream_id=b", "stream_id"),
		{name: "status without an id", method: "HEAD", path: path, as: apiKey, status: 400},
		{name: "status of an unknown text", method: "HEAD", path: path + "?stream_id=nobody", as: apiKey, status: 404},
		{name: "give up without an id", method: "DELETE", path: path, as: apiKey, status: 400, problem: "malformed", says: "stream_id"},
		{name: "give up an unknown text", method: "DELETE", path: path + "?stream_id=nobody", as: apiKey, status: 404, problem: "not-found"},
		{name: "give up an attempt to come", method: "DELETE", path: differs.path + "attempt=2", as: apiKey, status: 404, problem: "not-found"},
		{name: "give up without a grant", method: "DELETE", path: path + "?stream_id=nobody", as: srv.token("*", "other"), status: 403, problem: "forbidden"},
		{name: "give up without a credential", method: "DELETE", path: path + "?stream_id=nobody", status: 401, problem: "unauthorized"},
		{name: "status without a credential", method: "HEAD", path: path + "?stream_id=nobody", status: 401},
		{name: "status without a grant", method: "HEAD", path: path + "?stream_id=nobody", as: srv.token("*", "other"), status: 403},
		{name: "begins beyond its beginning", method: "PUT", path: path + "?stream_id=new&offset=3", as: apiKey, body: "x", status: 409, problem: "conflict", says: `"offset":0`},
		beyond, differs,
	})
	w.Close()
	if a := <-held; a == nil || a.status != 409 || !strings.Contains(a.body, "/problems/conflict") {
		t.Errorf("the publisher that the text was taken from is answered %+v", a)
	}
	feed.close()
	if err := srv.broker.Drain(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	srv.check(t, call{method: "DELETE", path: path + "?stream_id=nobody", as: apiKey, status: 503, problem: "draining"})
	srv.check(t, call{method: "HEAD", path: path + "?stream_id=nobody", as: apiKey, status: 503, sets: map[string]string{"Retry-After": "1"}})
}
