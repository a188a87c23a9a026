package handlers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

// limits tests every limit that is answered with a status, at the limit and one above it.
func (s *suite) limits(t *testing.T) {
	t.Run("event", s.limitOfEvent)
	t.Run("bodies", s.limitOfBodies)
	t.Run("streams", s.limitOfStreams)
	t.Run("holders", s.limitOfHolders)
	t.Run("channels", s.limitOfChannels)
	t.Run("definitions", s.limitOfDefinitions)
}

// limitOfEvent finds the largest message that is accepted. Its event must be as long as allowed,
// less what ids may still grow by.
func (s *suite) limitOfEvent(t *testing.T) {
	const limit = 4 << 10
	srv := s.start(t, func(o *setup) { o.broker.MaxEventBytes, o.handlers.MaxMessageBytes = limit, limit })
	feed := srv.open(t, call{as: apiKey, path: "channel=c"})
	feed.after("$open")
	largest := 0
	for low, high := 0, limit; low < high; {
		n := (low + high + 1) / 2
		a := srv.send(t, call{method: "POST", path: "/v1/publish/c/t?run_id=%22r%22", as: apiKey, body: strings.Repeat("1", n)})
		switch a.status {
		case 201:
			low = n
			largest = len(feed.after("t").raw)
		case 413:
			checkProblem(t, a, call{problem: "too-large", detail: fmt.Sprint(limit)})
			high = n - 1
		default:
			t.Fatalf("%d: %s", a.status, a.body)
		}
	}
	if largest != limit {
		t.Errorf("the largest event has %d bytes, the limit is %d", largest, limit)
	}
	feed.close()
}

func (s *suite) limitOfBodies(t *testing.T) {
	srv := s.start(t)
	pad := func(body string, size int) string { return strings.Repeat(" ", size-len(body)) + body }
	const one, many = 2 * maxEvent, 64 * 2 * maxEvent
	item := line(1)
	array := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]" }
	at := func(name, method, path, body string, limit, status int) []call {
		json := map[string]string{"Content-Type": "application/json"}
		fits := call{name: name + " fits", method: method, path: path, as: apiKey, header: json, body: pad(body, limit), status: status}
		over := fits
		over.name, over.body, over.status, over.problem, over.detail = name+" does not", pad(body, limit+1), 413, "too-large", fmt.Sprint(limit)
		return []call{fits, over}
	}
	srv.run(t, at("publish", "POST", "/v1/publish/c/t", "1", one, 201))
	srv.run(t, at("array", "POST", "/v1/publish", "["+item+"]", many, 200))
	srv.run(t, at("run", "PUT", "/v1/channels/c/run", `{"status":"running"}`, one, 200))
	srv.run(t, at("token", "POST", "/v1/tokens", `{"channel":"c","topics":["t"]}`, one, 201))
	srv.run(t, at("definition", "PUT", "/v1/schemas/d", `{}`, 512<<10, 201))
	text := func(name, body string, status int, problem string) call {
		return call{name: name, method: "POST", path: "/v1/publish/c/t", as: apiKey, header: map[string]string{"Content-Type": "text/plain"}, body: body, status: status, problem: problem}
	}
	srv.run(t, []call{
		text("text that grows by escaping", strings.Repeat("\x01", maxEvent/6), 413, "too-large"),
		text("text that does not", strings.Repeat("a", maxEvent*9/10), 201, ""),
		{name: "as many as an array may have", method: "POST", path: "/v1/publish", as: apiKey, body: array(handlers.MaxBatch), status: 200},
		{name: "one more", method: "POST", path: "/v1/publish", as: apiKey, body: array(handlers.MaxBatch + 1), status: 413, problem: "too-large", detail: fmt.Sprint(handlers.MaxBatch)},
		{name: "one item that is too large", method: "POST", path: "/v1/publish", as: apiKey, body: line(strings.Repeat("x", maxEvent)), status: 413, problem: "too-large"},
		{name: "a run that is too large", method: "PUT", path: "/v1/channels/c/run", as: apiKey, body: `{"status":"running","result":"` + strings.Repeat("x", maxEvent) + `"}`, status: 413, problem: "too-large"},
		{name: "a token that would be too large", method: "POST", path: "/v1/tokens", as: apiKey, body: `{"channel":"c","topics":["` + strings.Repeat(strings.Repeat("t", 60)+`","`, 250) + `t"]}`, status: 400, problem: "malformed"},
	})
}

func (s *suite) limitOfStreams(t *testing.T) {
	lines := map[string]string{"Accept": "application/x-ndjson"}
	for name, change := range map[string]func(*broker.Options){
		"total":   func(o *broker.Options) { o.MaxStreams = 2 },
		"subject": func(o *broker.Options) { o.MaxStreamsPerSubject = 2 },
		"address": func(o *broker.Options) { o.MaxStreamsPerAddress = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			srv := s.start(t, limitsOf(change))
			user := srv.mint(auth.TokenRequest{Subject: "u", Subscribe: schemas.AllowAll()}).Token
			r := srv.publish("c", "t", "1")
			open := call{as: user, path: "channel=c"}
			first, second := srv.open(t, open), srv.open(t, open)
			first.after("$open")
			second.after("$open")
			full := call{method: "GET", path: "/v1/subscribe?channel=c", as: user, header: lines, status: 429, problem: "too-many-streams", detail: "2", sets: map[string]string{"Retry-After": "5"}}
			srv.check(t, full)
			s.refused(t, srv, user, 4029, "too_many_streams", r.ID.String())
			if name == "subject" {
				other := srv.open(t, call{as: apiKey, path: "channel=c"})
				other.after("$open")
				other.close()
			}
			first.close()
			for srv.broker.Stats().Streams > 1 {
				srv.send(t, call{method: "GET", path: "/healthz"}) // until the server has seen it
			}
			third := srv.open(t, open)
			third.after("$open")
			third.close()
			second.close()
		})
	}
}

// limitOfChannels tests a server with room for one channel, which is being read.
func (s *suite) limitOfChannels(t *testing.T) {
	srv := s.start(t, func(o *setup) { o.broker.MaxChannels = 1 })
	feed := srv.open(t, call{as: apiKey, path: "channel=c"})
	feed.after("$open")
	srv.publish("c", "t", "1")
	full := func(method, path, body string) call {
		return call{name: method + " " + path, method: method, path: path, as: apiKey, body: body, status: 429, problem: "rate-limited", sets: map[string]string{"Retry-After": "5"}}
	}
	srv.run(t, []call{
		full("POST", "/v1/publish/d/t", "1"), full("POST", "/v1/publish", `{"channel":"d","topic":"t","data":1}`),
		full("POST", "/v1/publish/d/t/stream", "x"), full("PUT", "/v1/publish/d/t/stream", "x"), full("PUT", "/v1/channels/d/run", `{"status":"running"}`),
	})
	feed.gets("1")
	feed.close()
}

func (s *suite) limitOfDefinitions(t *testing.T) {
	srv := s.start(t, func(o *setup) {
		o.handlers.Catalog = schemas.NewCatalog(schemas.Limits{Definitions: 1, DocumentBytes: 200})
	})
	put := func(name, path, body string, status int, problem string) call {
		return call{name: name, method: "PUT", path: "/v1/schemas/" + path, as: apiKey, body: body, status: status, problem: problem}
	}
	srv.run(t, []call{
		put("the first", "a", "{}", 201, ""),
		put("too many", "b", "{}", 429, "rate-limited"),
		put("the first again", "a", "{}", 200, ""),
		put("too large a document", "a", `{"topics":{"`+strings.Repeat("t", 64)+`":{"schema":{"description":"`+strings.Repeat("x", 100)+`"}}}}`, 422, "bad-schema"),
	})
}

// limitsOf returns a setup with other limits.
func limitsOf(change func(*broker.Options)) func(*setup) {
	return func(o *setup) { change(&o.broker) }
}
