package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// subject tests that readers learn who published with a token, from the server alone.
func (s *suite) subject(t *testing.T) {
	srv := s.start(t)
	grants := schemas.Grants{{Channel: "*", Topics: []string{"*", string(schemas.TopicRun)}}}
	as := func(sub string) string {
		return srv.mint(auth.TokenRequest{Subject: sub, Subscribe: grants, Publish: grants}).Token
	}
	for name, who := range map[string]struct{ credential, sub string }{
		"token":     {as("user-7"), "user-7"},
		"odd":       {as("a\r\n\n\x00\x7f\u2028\"\\ü🙂"), "a\r\n\n\x00\x7f\u2028\"\\ü🙂"},
		"anonymous": {as(""), ""},
		"key":       {apiKey, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range publishes(name) {
				c.as = who.credential
				if c.header == nil {
					c.header = map[string]string{}
				}
				c.header["Traceparent"] = traceparent
				srv.check(t, c)
			}
			messages := srv.messages(name)
			if len(messages) != 9 { // a stream of text is three
				t.Errorf("%d messages", len(messages))
			}
			for _, m := range messages {
				if m.Sub != who.sub {
					t.Errorf("%s %s has the subject %q, want %q", m.Kind, m.Data, m.Sub, who.sub)
				}
				ofText := m.Kind == schemas.KindChunk || m.Kind == schemas.KindStreamEnd
				if want := map[bool]string{false: traceparent}[ofText]; m.Traceparent != want {
					t.Errorf("%s %s has the traceparent %q, want %q", m.Kind, m.Data, m.Traceparent, want)
				}
			}
		})
	}
	s.forgedSubject(t, srv, as("user-7"))
}

// publishes returns one call for each way to publish to a channel.
func publishes(channel string) []call {
	item := `{"channel":"` + channel + `","topic":"t","data":1}`
	lines := map[string]string{"Content-Type": "application/x-ndjson"}
	return []call{
		{method: "POST", path: "/v1/publish/" + channel + "/t", body: "1", status: 201},
		{method: "POST", path: "/v1/publish/" + channel + "/t", body: "1", header: map[string]string{"Idempotency-Key": "k"}, status: 201},
		{method: "POST", path: "/v1/publish", body: item, status: 201},
		{method: "POST", path: "/v1/publish", body: "[" + item + "]", status: 200},
		{method: "POST", path: "/v1/publish", body: item, header: lines, status: 200},
		{method: "PUT", path: "/v1/publish/" + channel + "/t/stream", body: "text", status: 200},
		{method: "PUT", path: "/v1/channels/" + channel + "/run", body: `{"status":"running"}`, status: 200},
	}
}

// forgedSubject tests that a publisher cannot name a subject.
func (s *suite) forgedSubject(t *testing.T, srv *server, token string) {
	item := `{"channel":"forged","topic":"t","data":1,"sub":"boss"}`
	lines := map[string]string{"Content-Type": "application/x-ndjson"}
	for _, credential := range []string{token, apiKey} {
		for _, c := range []call{
			{name: "in the query", method: "POST", path: "/v1/publish/forged/t?sub=boss", body: "1", status: 400, problem: "malformed"},
			{name: "in the body", method: "POST", path: "/v1/publish", body: item, status: 400, problem: "malformed", fields: []string{"/sub"}},
			{name: "in an array", method: "POST", path: "/v1/publish", body: "[" + item + "]", status: 200, says: `"/sub"`},
			{name: "in a line", method: "POST", path: "/v1/publish", body: item, header: lines, status: 200, says: `"/sub"`},
			{name: "of a stream", method: "PUT", path: "/v1/publish/forged/t/stream?sub=boss", body: "1", status: 400, problem: "malformed"},
			{name: "of a run", method: "PUT", path: "/v1/channels/forged/run", body: `{"status":"running","sub":"boss"}`, status: 400, problem: "malformed", fields: []string{"/sub"}},
		} {
			c.as = credential
			t.Run("forged "+c.name, func(t *testing.T) { srv.check(t, c) })
		}
	}
	if messages := srv.messages("forged"); len(messages) > 0 {
		t.Errorf("published %+v", messages)
	}
	data := `{"sub":"boss"},"sub":"boss"`
	srv.check(t, call{method: "POST", path: "/v1/publish/forged/t", as: token, body: data, status: 400, problem: "malformed"})
	srv.check(t, call{method: "POST", path: "/v1/publish/forged/t", as: token, body: data[:len(`{"sub":"boss"}`)], status: 201})
	if messages := srv.messages("forged"); len(messages) != 1 || messages[0].Sub != "user-7" {
		t.Errorf("published %+v", messages)
	}
}

// A text whose pieces need six times their length fits, beside a subject that does too.
func (s *suite) longSubject(t *testing.T) {
	const limit = 3 << 10
	srv := s.start(t, func(o *setup) { o.broker.MaxEventBytes, o.handlers.MaxMessageBytes = limit, limit })
	grants := schemas.Grants{{Channel: "*", Topics: []string{"*"}}}
	token := srv.mint(auth.TokenRequest{Subject: strings.Repeat("\x01", 255), Publish: grants}).Token
	text := strings.Repeat("\x02", 10_000)
	srv.check(t, call{method: "PUT", path: "/v1/publish/c/t/stream?run_id=" + strings.Repeat("%22", 256), as: token, body: text, status: 200})
	checkStream(t, srv.messages("c"), text, "complete")
}
