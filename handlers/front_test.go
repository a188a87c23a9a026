package handlers_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/internal/door"
	"github.com/sluicehq/sluice/internal/front"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/schemas"
)

// fronted counts what the front answers.
type fronted struct {
	front.Handler

	answers atomic.Int64
}

func (f *fronted) Answer(ctx context.Context, r *front.Request, out []byte) ([]byte, front.Outcome) {
	answer, o := f.Handler.Answer(ctx, r, out)
	if o != front.Declined {
		f.answers.Add(1)
	}
	return answer, o
}

// putInFront puts a front before net/http, if the test wants one.
func (s *server) putInFront(o *setup, srv *http.Server) {
	if !o.front {
		return
	}
	entrance := door.New(o.handlers.Log)
	srv.ConnState = entrance.State
	s.fronted = &fronted{Handler: s.service}
	f := front.New(front.Options{Door: entrance, Handler: s.fronted, Log: o.handlers.Log, FirstRequest: 10 * time.Second, Idle: 10 * time.Second})
	s.t.Cleanup(f.Close) // before the server is closed it would be too early: this runs later
	o.listener = f.Listener(o.listener)
}

// pairOf returns two equal servers, the first with a front.
func pairOf(t testing.TB, change ...func(*setup)) [2]*server {
	return [2]*server{
		start(t, append([]func(*setup){func(o *setup) { o.front = true }}, change...)...),
		start(t, change...),
	}
}

// last is a request after which a connection is closed.
const last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// exchange sends bytes over a connection of its own and returns all answers, without what
// differs from time to time. The server has patience to say something.
func (s *server) exchange(t testing.TB, input string, wait time.Duration) []string {
	t.Helper()
	conn := s.connect(t)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() { // ends with the connection
		defer close(sent)
		_, _ = io.WriteString(conn, input)
	}()
	defer func() {
		conn.Close()
		<-sent
	}()
	var answers []string
	for in := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodPost})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return append(answers, "waits")
		}
		if err != nil {
			return append(answers, "closes")
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return append(answers, "breaks off")
		}
		answers = append(answers, summary(resp, string(body)))
	}
}

// talk sends requests over a connection of its own, each after the answer to the one before,
// and returns all answers as exchange does. Of a stream, which is the last answer, it returns
// what comes until the reader is up to date.
func (s *server) talk(t testing.TB, requests ...string) []string {
	t.Helper()
	conn := s.connect(t)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var answers []string
	in := bufio.NewReader(conn)
	for _, request := range requests {
		if _, err := io.WriteString(conn, request); err != nil {
			return append(answers, "closed")
		}
		method, _, _ := strings.Cut(request, " ")
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return append(answers, "closes")
		}
		body, streams := untilLive(resp)
		if answers = append(answers, summary(resp, body)); streams {
			conn.Close() // else the body would be read to its end
			resp.Body.Close()
			return append(answers, "streams")
		}
		resp.Body.Close()
	}
	return answers
}

// untilLive reads the body, or what comes of a stream until the reader is up to date.
func untilLive(resp *http.Response) (body string, streams bool) {
	lines := bufio.NewScanner(resp.Body)
	for live := false; lines.Scan(); {
		body += lines.Text() + "\n"
		if live = live || strings.Contains(lines.Text(), "$live"); live && (lines.Text() == "" || strings.HasPrefix(lines.Text(), "{")) {
			return body, true
		}
	}
	return body, false
}

// varying is what differs from time to time in an answer: members, fields of an event, and
// parts of the text of a problem.
var varying = regexp.MustCompile(`("(?:id|stream_id|first_id|last_id|created_at|instance|after|resumes_at|expires_at)":)"[^"]*"|("retry_after_ms":)\d+|(?m:^(id|retry): .*$)`)

// summary returns an answer without ids and times.
func summary(resp *http.Response, body string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		value := strings.Join(resp.Header[name], ", ")
		if name == "Date" || name == "X-Request-Id" && value != "mine" {
			_, err := http.ParseTime(value)
			value = fmt.Sprint(name == "Date" && err == nil, len(value))
		}
		if name == "Content-Length" {
			value = fmt.Sprint(value == strconv.Itoa(len(body))) // ids are not all equally long
		}
		lines = append(lines, name+": "+value)
	}
	return fmt.Sprintf("%s %t %s %d\n%s", resp.Status, resp.ContentLength < 0, strings.Join(lines, "\n"), len(resp.TransferEncoding), varying.ReplaceAllString(body, "$1$2$3"))
}

// effect returns what a channel has, without ids and times.
func (s *server) effect(channel string) (effect []string) {
	for _, m := range s.messages(channel) {
		effect = append(effect, fmt.Sprintf("%s %s %s %s %s", m.Topic, m.Data, m.Sub, m.Traceparent, m.RunID))
	}
	return effect
}

// allowedOrigin is the origin of a page that may use the service.
const allowedOrigin = "https://app.example.com"

// get returns a request with a credential.
func get(target, credential string, fields ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" +
		strings.Join(append(fields, "Authorization: Bearer "+credential), "\r\n") + "\r\n\r\n"
}

// post returns a publish to channel c with additional fields.
func post(path, body string, fields ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + apiKey + "\r\n" +
		strings.Join(append(fields, fmt.Sprintf("Content-Length: %d", len(body))), "\r\n") + "\r\n\r\n" + body
}

// Every answer of the front is the one of net/http, and so is what it did.
func TestFront_sameAnswers(t *testing.T) {
	definition := must(schemas.ParseDefinition("defined:{id}", []byte(`{"topics":{"t":{"schema":{"type":"object"}}}}`)))
	servers := pairOf(t, func(o *setup) { o.handlers.CORSOrigins = []string{allowedOrigin} })
	for _, s := range servers {
		if err := s.catalog.Put(definition); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		input string
		front int64 // how many answers are the front's
	}{
		{"one", post("/v1/publish/c/t", `{"a": 1}`), 1},
		{"two at once", post("/v1/publish/c/t", `1`) + post("/v1/publish/c/t", `2`), 2},
		{"JSON", post("/v1/publish/c/t", `"<&>\u2028"`, "Content-Type: application/json"), 1},
		{"escapes", post("/v1/publish/a%3Ab%2Fc/t%2e1", `1`), 1},
		{"own id", post("/v1/publish/c/t", `1`, "X-Request-Id: mine"), 1},
		{"trace", post("/v1/publish/c/t", `1`, "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), 1},
		{"bad trace", post("/v1/publish/c/t", `1`, "Traceparent: nonsense"), 1},
		{"durable twice", post("/v1/publish/c/t", `1`, "Idempotency-Key: k") + post("/v1/publish/c/t", `2`, "Idempotency-Key: k"), 2},
		{"matches its schema", post("/v1/publish/defined:1/t", `{}`), 1},
		{"too large for the broker", post("/v1/publish/c/t", `"`+strings.Repeat("\u2028", 2000)+`"`), 1},

		{"breaks its schema", post("/v1/publish/defined:1/t", `1`), 1},
		{"text", post("/v1/publish/c/t", `hello`, "Content-Type: text/plain"), 0},
		{"not JSON", post("/v1/publish/c/t", `{`), 0},
		{"not UTF-8", post("/v1/publish/c/t", "\"\xff\""), 0},
		{"bad channel", post("/v1/publish/c%00/t", `1`), 0},
		{"dots", post("/v1/publish/%2e%2e/t", `1`), 0},
		{"in the query", post("/v1/publish/$/t?channel=c", `1`), 0},
		{"slash at the end", post("/v1/publish/c/t/", `1`), 0},
		{"stream", post("/v1/publish/c/t/stream", `hello`), 0},
		{"reserved topic", post("/v1/publish/c/$run", `1`), 0},
		{"no such route", post("/v1/other/c/t", `1`), 0},
		{"bad key", post("/v1/publish/c/t", `1`, "Idempotency-Key: "+strings.Repeat("k", 300)), 0},
		{"page", post("/v1/publish/c/t", `1`, "Origin: http://localhost"), 1},
		{"page of an allowed origin", post("/v1/publish/c/t", `1`, "Origin: "+allowedOrigin), 1},
		{"two pages", post("/v1/publish/c/t", `1`, "Origin: "+allowedOrigin, "Origin: null"), 0},
		{"proxy", post("/v1/publish/c/t", `1`, "X-Forwarded-For: 10.0.0.1"), 1},
		{"no credential", strings.Replace(post("/v1/publish/c/t", `1`), "Authorization: Bearer", "Accept:", 1), 1},
		{"wrong credential", strings.Replace(post("/v1/publish/c/t", `1`), apiKey, "wrong", 1), 1},
		{"other scheme", strings.Replace(post("/v1/publish/c/t", `1`), "Bearer", "Basic", 1), 1},
		{"blank lines after a body", post("/v1/publish/c/t", `1`) + "\r\n" + post("/v1/publish/c/t", `2`) + "\n\r\n\r" + post("/v1/publish/c/t", `3`), 3},
		{"blank lines before another method", post("/v1/publish/c/t", `1`) + "\r\n\r\n", 1},
		{"too many blank lines", post("/v1/publish/c/t", `1`) + "\r\n\r\n\r\n" + post("/v1/publish/c/t", `2`), 1},
		{"line feed at the end", post("/v1/publish/c/t", "{}\n"), 1},
		{"nested too deep", post("/v1/publish/c/t", strings.Repeat("[", 501)+strings.Repeat("]", 501)), 1},
		{"too deep, durable", post("/v1/publish/c/t", strings.Repeat("[", 501)+strings.Repeat("]", 501), "Idempotency-Key: k"), 1},
		{"byte order mark", post("/v1/publish/c/t", "\ufeff1"), 0},
		{"blank", post("/v1/publish/c/t", " "), 0},
		{"form", post("/v1/publish/c/t", "a=b", "Content-Type: application/x-www-form-urlencoded"), 0},
		{"upgrade to HTTP/2", post("/v1/publish/c/t", `1`) + post("/v1/publish/c/t", `2`, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), 1},
		{"expectation", post("/v1/publish/c/t", `1`, "Expect: 100-continue"), 0},
		{"good, then bad", post("/v1/publish/c/t", `1`) + post("/v1/publish/c/t", `{`) + post("/v1/publish/c/t", `3`), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := servers[0].fronted.answers.Load()
			got, want := servers[0].exchange(t, tt.input+last, patience), servers[1].exchange(t, tt.input+last, patience)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if n := servers[0].fronted.answers.Load() - before; n != tt.front {
				t.Errorf("the front answered %d times, want %d", n, tt.front)
			}
			for _, channel := range []string{"c", "a:b/c", "defined:1"} {
				if got, want := servers[0].effect(channel), servers[1].effect(channel); !reflect.DeepEqual(got, want) {
					t.Errorf("%s has %q, want %q", channel, got, want)
				}
			}
		})
	}
}

// White space may make a body twice as long as a message, and no longer.
func TestFront_bodyLimit(t *testing.T) {
	servers := pairOf(t, func(o *setup) { o.handlers.MaxMessageBytes, o.broker.MaxEventBytes = 1<<10, 1<<10 })
	for extra, answers := range []int64{1, 0} {
		input := post("/v1/publish/c/t", strings.Repeat(" ", 2<<10-1+extra)+"1") + last
		got, want := servers[0].exchange(t, input, patience), servers[1].exchange(t, input, patience)
		if n := servers[0].fronted.answers.Swap(0); !reflect.DeepEqual(got, want) || n != answers {
			t.Errorf("%d too many: got %q, %d by the front\nwant %q", extra, got, n, want)
		}
	}
}

// A credential counts for the front as it does for the route, also in metrics and logs.
func TestFront_credentials(t *testing.T) {
	var traces [2]string
	servers := pairOf(t)
	for i, s := range servers {
		input, grant := "", schemas.Grants{{Channel: "c", Topics: []string{"t"}}}
		add := func(path, credential string) {
			input += strings.Replace(post(path, `1`), apiKey, credential, 1)
		}
		good, revoked := s.token("c", "t"), s.mint(auth.TokenRequest{Publish: grant})
		if err := s.auth.Revoke(revoked.ID); err != nil {
			t.Fatal(err)
		}
		add("/v1/publish/c/t", good)
		add("/v1/publish/c/other", good)
		add("/v1/publish/d/t", good)
		add("/v1/publish/c/t", s.mint(auth.TokenRequest{Subject: "reader", Subscribe: grant}).Token)
		add("/v1/publish/c/t", revoked.Token)
		add("/v1/publish/c/t", good[:strings.LastIndexByte(good, '.')]+revoked.Token[strings.LastIndexByte(revoked.Token, '.'):])
		add("/v1/publish/c/t", apiKey+"x")
		add("/v1/publish/c/t", strings.Repeat("k", 5000))
		add("/v1/publish/%20/t", apiKey+"x")
		answers := s.exchange(t, input+last, patience)
		traces[i] = strings.Join(answers, "\n") + strings.Join(s.effect("c"), "\n") + s.traces(t)
	}
	sameLines(t, traces[0], traces[1])
	if n := servers[0].fronted.answers.Load(); n != 8 {
		t.Errorf("the front answered %d times", n)
	}
}

// unequal matches what differs in two equal logs, and metrics.
var unequal = regexp.MustCompile(`"(?:time|request_id|address|stack)":"(?:[^"\\]|\\.)*"|"seconds":[^,}]*|(?m:^(?:#|go_|process_|sluice_\w+_seconds|sluice_reader_behind|sluice_ring_bytes).*\n)|id \w+`)

// traces returns the metrics and the log, without what differs from time to time.
func (s *server) traces(t *testing.T) string {
	t.Helper()
	metrics := s.check(t, call{method: "GET", path: "/metrics", status: 200}).body
	return unequal.ReplaceAllString(metrics+s.log.String(), "")
}

// sameLines compares two texts line by line.
func sameLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) != len(w) {
		t.Errorf("got %d lines, want %d:\n%s\n---\n%s", len(g), len(w), got, want)
		return
	}
	for i := range g {
		if g[i] != w[i] {
			t.Errorf("line %d is  %s\nwant %s", i+1, g[i], w[i])
		}
	}
}

// In development only this machine is served, whatever the credential.
func TestFront_dev(t *testing.T) {
	servers := pairOf(t, func(o *setup) { o.handlers.Dev, o.handlers.DevHosts = true, []string{"sluice"} })
	for host, answers := range map[string]int64{"sluice:80": 1, "SLUICE": 1, "sluice.": 0, "localhost:80": 1, "[::1]": 1, "127.0.0.1": 1, "rebound.example": 0, "[": 0, "localhost.": 0, "127.0.0.1.nip.io": 0} {
		input := strings.Replace(post("/v1/publish/c/t", `1`), "localhost", host, 1) + last
		got, want := servers[0].exchange(t, input, patience), servers[1].exchange(t, input, patience)
		if n := servers[0].fronted.answers.Swap(0); !reflect.DeepEqual(got, want) || n != answers {
			t.Errorf("%s: got %q, %d by the front\nwant %q", host, got, n, want)
		}
	}
}

// failing is an engine that stores nothing.
type failing struct {
	*disk.Engine

	why error // [errPanic]: it panics
}

// errPanic is what a failing engine panics with.
var errPanic = errors.New("engine panic")

// Append implements [engine.Engine].
func (e failing) Append(ctx context.Context, _ engine.Entry) (schemas.Receipt, error) {
	switch {
	case errors.Is(e.why, errPanic):
		panic(e.why)
	case errors.Is(e.why, context.Canceled):
		<-ctx.Done()
		return schemas.Receipt{}, ctx.Err()
	}
	return schemas.Receipt{}, e.why
}

// A publish that the engine refuses gets the same answer from the front: it must not be
// tried again.
func TestFront_engineFails(t *testing.T) {
	for _, why := range []error{engine.ErrUnavailable, engine.ErrUncertain, engine.ErrReadOnly, errPanic, errors.New("unknown")} {
		t.Run(why.Error(), func(t *testing.T) {
			servers := pairOf(t, func(o *setup) {
				e := must(disk.Open(t.TempDir(), disk.Options{}))
				t.Cleanup(func() { _ = e.Close() })
				o.broker.Engine = failing{e, why}
			})
			input := post("/v1/publish/c/t", `1`, "X-Request-Id: mine") + last
			got, want := servers[0].exchange(t, input, patience), servers[1].exchange(t, input, patience)
			if !reflect.DeepEqual(got, want) || servers[0].fronted.answers.Load() != 1 {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			sameLines(t, servers[0].traces(t), servers[1].traces(t))
		})
	}
}

// A publish that the end of the server cuts off is nobody's fault.
func TestFront_closed(t *testing.T) {
	s := start(t, func(o *setup) {
		e := must(disk.Open(t.TempDir(), disk.Options{}))
		t.Cleanup(func() { _ = e.Close() })
		o.broker.Engine = failing{e, context.Canceled}
	})
	ctx, cancel := context.WithCancel(t.Context())
	r := front.Request{
		Path: []byte("/v1/publish/c/t"), Host: []byte("localhost"), Authorization: []byte("Bearer " + apiKey), Body: []byte("1"), Remote: "127.0.0.1:1",
	}
	time.AfterFunc(time.Millisecond, cancel)
	if answer, o := s.service.Answer(ctx, &r, nil); o != front.Answered || len(answer) > 0 {
		t.Errorf("got %q, %d", answer, o)
	}
	if lines := s.log.lines(`"status":499`, "DEBUG"); len(lines) != 1 {
		t.Errorf("the log has %s", s.log)
	}
}

// cutOff reports whether net/http has refused bytes that are no request. It closes the
// connection with what it has not read, so the refusal, and answers before it, may be lost.
func cutOff(answers []string) bool {
	end := strings.Join(answers[max(0, len(answers)-2):], " ")
	return end == "closes" || strings.HasSuffix(end, "breaks off") || strings.Contains(end, "text/plain; charset=utf-8")
}

// isOneGet reports whether the input is a GET without a body, and nothing else: net/http
// answers it at once.
func isOneGet(input []byte) bool {
	in := bufio.NewReader(bytes.NewReader(input))
	r, err := http.ReadRequest(in)
	if err != nil || r.Method != http.MethodGet || r.ContentLength != 0 || len(r.TransferEncoding) > 0 || in.Buffered() > 0 {
		return false
	}
	return bytes.HasSuffix(input, []byte("\r\n\r\n"))
}

// FuzzFront sends any bytes to a server with and to one without a front. Both answer the
// same and do the same.
func FuzzFront(f *testing.F) {
	for _, input := range []string{
		post("/v1/publish/c/t", `1`), post("/v1/publish/c/t", `1`) + post("/v1/publish/c/t", `{`),
		post("/v1/publish/c/t", `1`, "Transfer-Encoding: chunked"), post("/v1/publish/c/t", `1`, "Content-Length: 4"),
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n", post("/v1/publish/c/t", "1\r\n\r\n"),
		get("/v1/subscribe?channel=c&replay=all", apiKey), get("/v1/subscribe?channel=c&channel=d:*&topic=t&event=message", apiKey, "Accept: application/x-ndjson"),
		get("/v1/subscribe?channel=c&replay=latest&access_token=x", "x", "Last-Event-ID: a-1", "Origin: "+allowedOrigin),
	} {
		f.Add([]byte(input))
	}
	servers := pairOf(f, rates(ratelimit.Options{Key: ratelimit.Rate{Messages: 1 << 30}, Address: ratelimit.Rate{Bytes: 1 << 30}}))
	helpFor := func(t testing.TB) { servers[0].t, servers[1].t = t, t } // the methods of f may not be called while it runs
	defer helpFor(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		helpFor(t)
		if isOneGet(input) {
			if got, want := servers[0].talk(t, string(input), last), servers[1].talk(t, string(input), last); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			return
		}
		both := func(wait time.Duration) (got, want []string) {
			return servers[0].exchange(t, string(input)+last, wait), servers[1].exchange(t, string(input)+last, wait)
		}
		got, want := both(300 * time.Millisecond)
		if !reflect.DeepEqual(got, want) && (slices.Contains(got, "waits") || slices.Contains(want, "waits")) {
			got, want = both(patience) // one of them was only slow
		}
		if !reflect.DeepEqual(got, want) && (!cutOff(got) || !cutOff(want)) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if got, want := servers[0].effect("c"), servers[1].effect("c"); !reflect.DeepEqual(got, want) {
			t.Errorf("there is %q, want %q", got, want)
		}
	})
}
