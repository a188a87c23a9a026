package handlers_test

import (
	"bufio"
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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/internal/door"
	"github.com/sluicehq/sluice/internal/front"
	"github.com/sluicehq/sluice/schemas"
)

// fronted counts what the front answers.
type fronted struct {
	front.Handler

	answers atomic.Int64
}

func (f *fronted) Answer(ctx context.Context, r *front.Request, out []byte) ([]byte, bool) {
	answer, ok := f.Handler.Answer(ctx, r, out)
	if ok {
		f.answers.Add(1)
	}
	return answer, ok
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

// varying are the members of an answer that differ from time to time.
var varying = regexp.MustCompile(`("(?:id|stream_id|first_id|last_id|created_at|instance)":)"[^"]*"`)

// summary returns an answer without ids and times.
func summary(resp *http.Response, body string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		value := strings.Join(resp.Header[name], ", ")
		if name == "Date" || name == "X-Request-Id" && value != "mine" {
			_, err := http.ParseTime(value)
			value = fmt.Sprint(name == "Date" && err == nil, len(value))
		}
		lines = append(lines, name+": "+value)
	}
	return fmt.Sprintf("%s %d %s %d\n%s", resp.Status, resp.ContentLength, strings.Join(lines, "\n"), len(resp.TransferEncoding), varying.ReplaceAllString(body, "$1"))
}

// effect returns what a channel has, without ids and times.
func (s *server) effect(channel string) (effect []string) {
	for _, m := range s.messages(channel) {
		effect = append(effect, fmt.Sprintf("%s %s %s %s %s", m.Topic, m.Data, m.Sub, m.Traceparent, m.RunID))
	}
	return effect
}

// post returns a publish to channel c with additional fields.
func post(path, body string, fields ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + apiKey + "\r\n" +
		strings.Join(append(fields, fmt.Sprintf("Content-Length: %d", len(body))), "\r\n") + "\r\n\r\n" + body
}

// Every answer of the front is the one of net/http, and so is what it did.
func TestFront_sameAnswers(t *testing.T) {
	definition := must(schemas.ParseDefinition("defined:{id}", []byte(`{"topics":{"t":{"schema":{"type":"object"}}}}`)))
	servers := pairOf(t, func(o *setup) { o.broker.MaxChannels = 3 })
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
		{"a channel too many", post("/v1/publish/x/t", `1`) + post("/v1/publish/y/t", `1`), 2},

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
		{"origin", post("/v1/publish/c/t", `1`, "Origin: http://localhost"), 0},
		{"no credential", strings.Replace(post("/v1/publish/c/t", `1`), "Authorization: Bearer", "Accept:", 1), 0},
		{"wrong credential", strings.Replace(post("/v1/publish/c/t", `1`), apiKey, "wrong", 1), 0},
		{"other scheme", strings.Replace(post("/v1/publish/c/t", `1`), "Bearer", "Basic", 1), 0},
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
			for _, channel := range []string{"c", "a:b/c", "defined:1", "x", "y"} {
				if got, want := servers[0].effect(channel), servers[1].effect(channel); !reflect.DeepEqual(got, want) {
					t.Errorf("%s has %q, want %q", channel, got, want)
				}
			}
		})
	}
}

// failing is an engine that stores nothing.
type failing struct {
	*disk.Engine

	why error
}

// Append implements [engine.Engine].
func (e failing) Append(context.Context, engine.Entry) (schemas.Receipt, error) {
	return schemas.Receipt{}, e.why
}

// A publish that the engine refuses gets the same answer from the front: it must not be
// tried again.
func TestFront_engineFails(t *testing.T) {
	for _, why := range []error{engine.ErrUnavailable, engine.ErrUncertain, engine.ErrReadOnly, errors.New("unknown")} {
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
		})
	}
}

// FuzzFront sends any bytes to a server with and to one without a front. Both answer the
// same and do the same.
func FuzzFront(f *testing.F) {
	for _, input := range []string{
		post("/v1/publish/c/t", `1`), post("/v1/publish/c/t", `1`) + post("/v1/publish/c/t", `{`),
		post("/v1/publish/c/t", `1`, "Transfer-Encoding: chunked"), post("/v1/publish/c/t", `1`, "Content-Length: 4"),
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n", post("/v1/publish/c/t", "1\r\n\r\n"),
	} {
		f.Add([]byte(input))
	}
	servers := pairOf(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		const wait = 300 * time.Millisecond
		got, want := servers[0].exchange(t, string(input)+last, wait), servers[1].exchange(t, string(input)+last, wait)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if got, want := servers[0].effect("c"), servers[1].effect("c"); !reflect.DeepEqual(got, want) {
			t.Errorf("there is %q, want %q", got, want)
		}
	})
}
