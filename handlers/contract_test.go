package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/handlers"
)

// suite is the conformance suite. It tests what other programs rely on, over real HTTP. It also
// checks every answer against the OpenAPI document, and the log for anything that must never be
// in it.
type suite struct {
	described *description
	log       *journal
	path      path // of its streams over HTTP/1.x
}

// start runs a server for the suite until the test ends.
func (s *suite) start(t *testing.T, change ...func(*setup)) *server {
	t.Helper()
	srv := start(t, append([]func(*setup){s.path.change, func(o *setup) { o.log = s.log }}, change...)...)
	srv.observe = func(a *answer) { s.described.check(t, a) }
	return srv
}

func TestContract(t *testing.T) {
	for _, p := range append(paths(), path{"front", func(o *setup) { o.front = true }}) {
		t.Run(p.name, (&suite{described: readDescription(t), log: new(journal), path: p}).all)
	}
}

func (s *suite) all(t *testing.T) {
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"credentials", s.credentials},
		{"routes", s.routes},
		{"doubled headers", s.doubledHeaders},
		{"queries", s.queries},
		{"disconnect of a channel", s.disconnectOfChannel},
		{"names in the query", s.namesInQuery},
		{"publish", s.publish},
		{"publish idempotent", s.publishIdempotent},
		{"publish one in the body", s.publishOne},
		{"publish array", s.publishArray},
		{"publish lines", s.publishLines},
		{"publish stream", s.publishStream},
		{"attempts at a text", s.attempts},
		{"subject", s.subject},
		{"long subject", s.longSubject},
		{"run", s.run},
		{"subscribe refusals", s.subscribeRefusals},
		{"subscribe", s.subscribe},
		{"shapes", s.shapes},
		{"merged", s.merged},
		{"until the end", s.untilEnd},
		{"subscribe with a body", s.subscribeBody},
		{"token cookie", s.tokenCookie},
		{"history", s.history},
		{"tokens", s.tokens},
		{"subscribers", s.subscribers},
		{"channels", s.channels},
		{"presence", s.presence},
		{"system", s.system},
		{"webhooks", s.webhooks},
		{"schemas", s.schemas},
		{"limits", s.limits},
		{"rates", s.rates},
		{"draining", s.draining},
		{"not taken over", s.notTakenOver},
		{"uncertain", s.uncertain},
		{"cors", s.cors},
		{"host", s.host},
		{"operation", s.operation},
	} {
		t.Run(part.name, part.test)
	}
	if t.Failed() {
		return // what follows would only repeat it
	}
	t.Run("document", func(t *testing.T) {
		s.described.checkRoutes(t, handlers.Routes(s.start(t).service))
		s.described.checkMet(t)
	})
	t.Run("log", s.checkLog)
}

// Words that occur only in payloads, query strings and tokens of the suite.
const (
	secretPayload = "payload-3b9f"
	secretQuery   = "query-91ce"
)

func (s *suite) checkLog(t *testing.T) {
	if len(s.log.lines(`"msg":"stream finished"`)) == 0 || len(s.log.lines(`"status":500`, "stack")) == 0 {
		t.Error("the log has neither a stream nor a panic in it")
	}
	for _, secret := range []string{secretPayload, secretQuery, apiKey, "access_token", "eyJ"} {
		for _, line := range s.log.lines(secret) {
			t.Errorf("%q is in the log: %s", secret, strings.TrimSpace(line))
		}
	}
}
