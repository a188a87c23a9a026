package handlers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// names returns channel names, and how each is written in a path.
func names() map[string]string {
	return map[string]string{
		"pipeline:run_42":   "pipeline:run_42",
		"a/b":               "a%2Fb",
		"a/b%c":             "a%2Fb%25c",
		"100%":              "100%25",
		"a%2Fb":             "a%252Fb",
		"a%2fb/c":           "a%252fb%2fc",
		"café/été":          "caf%C3%A9%2F%C3%A9t%C3%A9",
		"日本":                "%E6%97%A5%E6%9C%AC",
		"a+b&c=d;e@f!'()$,": "a+b&c=d;e@f!'()$,",
		"...":               "%2E%2E%2E",
		"a:b":               "a%3Ab",
	}
}

func (s *suite) publish(t *testing.T) {
	srv := s.start(t)
	for name, path := range names() {
		t.Run("channel "+name, func(t *testing.T) {
			a := srv.check(t, call{method: "POST", path: "/v1/publish/" + path + "/t", as: srv.token(name, "t"), body: "1", status: 201})
			if r := decoded[schemas.Receipt](t, a); string(r.Channel) != name || len(srv.messages(name)) != 1 {
				t.Errorf("published to %q", r.Channel)
			}
		})
	}
	s.publishBodies(t, srv)
	var calls []call
	bad := func(name, path string) {
		calls = append(calls, call{name: name, method: "POST", path: path, as: apiKey, body: "1", status: 400, problem: "malformed"})
	}
	for name, path := range map[string]string{
		"empty": "", "system": "$a", "star": "a*", "brace": "%7Ba", "quote": "%22", "backslash": "%5C", "question mark": "%3F", "hash": "%23",
		"space": "a%20b", "line feed": "a%0Ab", "nul": "%00", "not UTF-8": "a%FF", "no-break space": "a%C2%A0b", "zero width": "a%E2%80%8Bb",
		"257 bytes": strings.Repeat("a", 257), "slash and not UTF-8": "a%2F%FF",
	} {
		bad("channel "+name, "/v1/publish/"+path+"/t")
	}
	for _, topic := range []string{"open", "error", "message", "close", "end", "abort", "retrying", "$run", "$x", "a%2Fb", "a%20b", "%C3%A9", "a:b", strings.Repeat("a", 65)} {
		bad("topic "+topic, "/v1/publish/c/"+topic)
	}
	bad("run id with a line feed", "/v1/publish/c/t?run_id=a%0Ab")
	bad("run id of 257 bytes", "/v1/publish/c/t?run_id="+strings.Repeat("a", 257))
	calls = append(calls,
		call{name: "channel of 256 bytes", method: "POST", path: "/v1/publish/" + strings.Repeat("a", 256) + "/t", as: apiKey, body: "1", status: 201},
		call{name: "topic of 64 bytes", method: "POST", path: "/v1/publish/c/" + strings.Repeat("a", 64), as: apiKey, body: "1", status: 201},
		call{name: "run id", method: "POST", path: "/v1/publish/run/t?run_id=a%20%22b%22", as: apiKey, body: "1", status: 201},
		call{
			name: "topic not granted", method: "POST", path: "/v1/publish/pipeline:1/tokens", as: srv.token("pipeline:1", "status"), body: "1",
			status: 403, problem: "forbidden", detail: `channel "pipeline:1", topic "tokens"`,
		},
		call{name: "pattern granted", method: "POST", path: "/v1/publish/pipeline:1/tokens", as: srv.token("pipeline:*", "*"), body: "1", status: 201},
		call{name: "outside of the pattern", method: "POST", path: "/v1/publish/pipelines/t", as: srv.token("pipeline:*", "*"), body: "1", status: 403, problem: "forbidden"},
	)
	srv.run(t, calls)
	if m := srv.messages("run"); len(m) != 1 || m[0].RunID != `a "b"` {
		t.Errorf("run id: %+v", m)
	}
}

// publishBodies tests what is published for each body and content type.
func (s *suite) publishBodies(t *testing.T, srv *server) {
	for i, tt := range []struct {
		name, media, body string
		data              string // "" for a refusal
		status            int
		problem           string
	}{
		{"object", "application/json", "{ \"a\" : [ 1 , 2.50e+1 ] ,\n\"<b>\":\"\\u00e9 \u2028\" }", "{\"a\":[1,2.50e+1],\"<b>\":\"\\u00e9 \u2028\"}", 201, ""},
		{"null", "application/json", "null", "null", 201, ""},
		{"no type", "", `"text"`, `"text"`, 201, ""},
		{"charset", "application/json; charset=UTF-8", "1", "1", 201, ""},
		{"text", "text/plain", "a <b> \"c\"\n\u2028", `"a <b> \"c\"\n\u2028"`, 201, ""},
		{"text with charset", "text/plain;charset=utf-8", "é", `"é"`, 201, ""},
		{"empty text", "text/plain", "", `""`, 201, ""},
		{"upper case type", "Application/JSON", "1", "1", 201, ""},
		{"members twice", "application/json", `{"a":1,"a":2}`, `{"a":1,"a":2}`, 201, ""},
		{"huge number", "application/json", "1e999999", "1e999999", 201, ""},
		{"empty", "application/json", "", "", 400, "malformed"},
		{"white space", "application/json", " \n", "", 400, "malformed"},
		{"no type and no JSON", "", secretPayload, "", 400, "malformed"},
		{"two values", "application/json", "1 2", "", 400, "malformed"},
		{"half", "application/json", `{"a":`, "", 400, "malformed"},
		{"not UTF-8", "application/json", "\"\xff\"", "", 400, "malformed"},
		{"byte order mark", "application/json", "\ufeff1", "", 400, "malformed"},
		{"text not UTF-8", "text/plain", "a\xffb", "", 400, "malformed"},
		{"form that is JSON", "application/x-www-form-urlencoded", `{"a": "b=c&d"}`, `{"a":"b=c&d"}`, 201, ""},
		{"form that is JSON, with a charset", "application/x-www-form-urlencoded; charset=UTF-8", "1", "1", 201, ""},
		{"form", "application/x-www-form-urlencoded", "a=1", "", 400, "malformed"},
		{"lines", "application/x-ndjson", "1", "", 415, "unsupported-media-type"},
		{"latin-1", "text/plain; charset=iso-8859-1", "1", "", 415, "unsupported-media-type"},
		{"unreadable type", "text/;;", "1", "", 415, "unsupported-media-type"},
		{"multipart", "multipart/form-data; boundary=x", "1", "", 415, "unsupported-media-type"},
	} {
		t.Run("body "+tt.name, func(t *testing.T) {
			channel := fmt.Sprint("body:", i)
			c := call{method: "POST", path: "/v1/publish/" + channel + "/t", as: apiKey, body: tt.body, status: tt.status, problem: tt.problem, header: map[string]string{}}
			if tt.media != "" {
				c.header["Content-Type"] = tt.media
			}
			a := srv.check(t, c)
			got := srv.messages(channel)
			if tt.data == "" && len(got) != 0 {
				t.Fatalf("published %s", got[0].Data)
			}
			if tt.data == "" {
				return
			}
			if len(got) != 1 || string(got[0].Data) != tt.data || got[0].Kind != schemas.KindData {
				t.Fatalf("published %+v, want %s", got, tt.data)
			}
			r := decoded[schemas.Receipt](t, a)
			want := schemas.Receipt{ID: got[0].ID, Channel: got[0].Channel, Topic: "t", Kind: schemas.KindData, CreatedAt: got[0].CreatedAt}
			if r != want {
				t.Errorf("receipt %+v, want %+v", r, want)
			}
		})
	}
	gzip := call{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", header: map[string]string{"Content-Encoding": "gzip"}, status: 415, problem: "unsupported-media-type"}
	srv.check(t, gzip)
}

func (s *suite) publishIdempotent(t *testing.T) {
	srv := s.start(t)
	key := func(value string) map[string]string { return map[string]string{"Idempotency-Key": value} }
	c := call{method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", header: key("k"), status: 201, sets: map[string]string{"Idempotent-Replayed": "-"}}
	first := decoded[schemas.Receipt](t, srv.check(t, c))
	if !first.Durable || first.Duplicate {
		t.Errorf("first receipt %+v", first)
	}
	c.status, c.body, c.sets = 200, `"another body"`, map[string]string{"Idempotent-Replayed": "true"}
	again := decoded[schemas.Receipt](t, srv.check(t, c))
	first.Duplicate = true
	if again != first || len(srv.messages("c")) != 1 {
		t.Errorf("the second call published, or got another receipt: %+v, %+v", again, first)
	}
	var calls []call
	for _, other := range []string{"/v1/publish/c/u", "/v1/publish/d/t", "/v1/publish/c/tt"} {
		calls = append(calls, call{name: "the same key at " + other, method: "POST", path: other, as: apiKey, body: "1", header: key("k"), status: 201})
	}
	for name, value := range map[string]string{"empty": "", "256 bytes": strings.Repeat("k", 256), "not ASCII": "é", "tab": "a\tb"} {
		calls = append(calls, call{name: name, method: "POST", path: "/v1/publish/bad/t", as: apiKey, body: "1", header: key(value), status: 400, problem: "malformed"})
	}
	calls = append(calls, call{name: "255 bytes", method: "POST", path: "/v1/publish/c/t", as: apiKey, body: "1", header: key(strings.Repeat("~", 255)), status: 201})
	srv.run(t, calls)
	twice := srv.request(t, call{method: "POST", path: "/v1/publish/bad/t", as: apiKey}, strings.NewReader("1"))
	twice.Header["Idempotency-Key"] = []string{"a", "b"}
	if a := must(srv.do(twice)); a.status != 400 {
		t.Errorf("two keys: %d", a.status)
	}
	if m := srv.messages("bad"); len(m) != 0 {
		t.Errorf("a bad key published %+v", m)
	}
	s.publishTogether(t, srv)
	s.publishAgain(t, srv)
}

// publishAgain repeats a durable publish with bodies that would have been refused the first time.
// Whatever the body, the answer is the first receipt.
func (s *suite) publishAgain(t *testing.T, srv *server) {
	c := call{method: "POST", path: "/v1/publish/again/t", as: apiKey, body: `{"a":1}`, header: map[string]string{"Idempotency-Key": "k"}, status: 201}
	item := call{method: "POST", path: "/v1/publish", as: apiKey, body: `{"channel":"again","topic":"t","data":1}`, header: c.header, status: 200}
	srv.check(t, c)
	srv.check(t, call{method: "PUT", path: "/v1/schemas/again", as: apiKey, body: `{"topics":{"t":{"schema":{"required":["b"]}}}}`, status: 201})
	for name, body := range map[string]string{"a schema of later": `{"a":1}`, "not JSON": "{", "nothing": "", "too long": strings.Repeat(" ", 3*maxEvent)} {
		c.name, c.body, c.status, c.says = name, body, 200, `"duplicate":true`
		srv.check(t, c)
	}
	srv.check(t, item)
	item.body, item.status, item.problem = `{"channel":"again","topic":"t","data":1,"idempotency_key":"other"}`, 400, "malformed"
	srv.check(t, item)
	for _, many := range []call{
		{method: "POST", path: "/v1/publish", body: `[]`},
		{method: "POST", path: "/v1/publish", body: "", header: map[string]string{"Content-Type": "application/x-ndjson"}},
		{method: "POST", path: "/v1/publish/again/t/stream", body: "text"},
	} {
		header := map[string]string{"Idempotency-Key": "k"}
		maps.Copy(header, many.header)
		many.as, many.header, many.status, many.problem = apiKey, header, 400, "malformed"
		srv.check(t, many)
	}
	if m := srv.messages("again"); len(m) != 1 {
		t.Errorf("published %+v", m)
	}
}

// publishTogether sends the same durable publish many times concurrently.
func (s *suite) publishTogether(t *testing.T, srv *server) {
	const calls = 16
	answers := make([]*answer, calls)
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			answers[i] = srv.send(t, call{method: "POST", path: "/v1/publish/together/t", as: apiKey, body: fmt.Sprint(i), header: map[string]string{"Idempotency-Key": "k"}})
		})
	}
	all.Wait()
	published := 0
	receipts := map[schemas.ID]bool{}
	for _, a := range answers {
		r := decoded[schemas.Receipt](t, a)
		receipts[r.ID] = true
		if a.status == 201 && !r.Duplicate {
			published++
		}
	}
	if published != 1 || len(receipts) != 1 || len(srv.messages("together")) != 1 {
		t.Errorf("%d calls published, %d receipts, %d messages", published, len(receipts), len(srv.messages("together")))
	}
}

// publishOne publishes one message with channel and topic in the body.
func (s *suite) publishOne(t *testing.T) {
	srv := s.start(t)
	good := func(name, body string, status int) call {
		return call{name: name, method: "POST", path: "/v1/publish", as: apiKey, body: body, header: map[string]string{"Content-Type": "application/json"}, status: status}
	}
	bad := func(name, body string, fields ...string) call {
		c := good(name, body, 400)
		c.problem, c.fields = "malformed", fields
		return c
	}
	other := good("another type", "{}", 415)
	other.header, other.problem = map[string]string{"Content-Type": "text/plain"}, "unsupported-media-type"
	forbidden := good("not granted", `{"channel":"d","topic":"t","data":1}`, 403)
	forbidden.as, forbidden.problem, forbidden.detail = srv.token("c", "t"), "forbidden", `channel "d", topic "t"`
	untyped := good("no type", `{"channel":"c","topic":"t","data":1}`, 201)
	untyped.header = nil
	srv.run(t, []call{
		good("all members", ` {"channel":"c","topic":"t","data":{"a": 1},"run_id":"r","idempotency_key":"k"}`, 201),
		good("again", `{"channel":"c","topic":"t","data":2,"idempotency_key":"k"}`, 200),
		good("null as data", `{"channel":"c","topic":"t","data":null}`, 201),
		untyped, other, forbidden,
		bad("nothing", ``), bad("null", `null`), bad("a number", `1`), bad("half", `{"channel":`), bad("two", `{"channel":"c","topic":"t","data":1} {}`),
		bad("not UTF-8", "{\"channel\":\"c\",\"topic\":\"t\",\"data\":\"\xff\"}"),
		bad("everything wrong", `{"channel":"$c","topic":"open","run_id":"\u0000","idempotency_key":""}`, "/channel", "/topic", "/run_id", "/idempotency_key", "/data"),
		bad("no data", `{"channel":"c","topic":"t"}`, "/data"),
		bad("a number as channel", `{"channel":1,"topic":"t","data":1}`, "/channel"),
		bad("unknown members", `{"channel":"c","topic":"t","data":1,"ttl":1,"a/~`+secretPayload+`":2}`, "/ttl", "/a~1~0"+secretPayload),
		bad("a member in another case", `{"Channel":"c","topic":"t","data":1}`),
		bad("a member twice", `{"channel":"c","channel":"d","topic":"t","data":1}`),
	})
	got := srv.messages("c")
	if len(got) != 3 || got[0].RunID != "r" || string(got[0].Data) != `{"a":1}` || string(got[1].Data) != "null" {
		t.Errorf("published %+v", got)
	}
}

func (s *suite) publishArray(t *testing.T) {
	srv := s.start(t)
	post := func(body string, status int) call {
		return call{method: "POST", path: "/v1/publish", as: srv.token("c", "t"), body: body, header: map[string]string{"Content-Type": "application/json"}, status: status}
	}
	a := srv.check(t, post(`[
		{"channel":"c","topic":"t","data":1,"idempotency_key":"k"},
		{"channel":"d","topic":"t","data":2},
		{"channel":"c","topic":"t","data":3,"idempotency_key":"k"},
		{"channel":"c","topic":"open","data":4},
		5,
		{"channel":"c","topic":"t","data":"`+strings.Repeat("x", maxEvent)+`"},
		{"channel":"c","topic":"t","data":6}]`, 200))
	var receipts []schemas.Receipt
	var problems []string
	for _, raw := range decoded[[]json.RawMessage](t, a) {
		var p schemas.Problem
		var r schemas.Receipt
		_, _ = json.Unmarshal(raw, &p), json.Unmarshal(raw, &r)
		receipts = append(receipts, r)
		problems = append(problems, fmt.Sprint(p.Status, p.Type))
	}
	want := "[0 403/problems/forbidden 0 400/problems/malformed 400/problems/malformed 413/problems/too-large 0]"
	if fmt.Sprint(problems) != want {
		t.Errorf("answers %s, want %s", problems, want)
	}
	if len(receipts) == 7 && (receipts[0].ID != receipts[2].ID || !receipts[2].Duplicate || receipts[6].Duplicate || receipts[6].ID.Seq != receipts[0].ID.Seq+1) {
		t.Errorf("receipts %+v", receipts)
	}
	if m := srv.messages("c"); len(m) != 2 || len(srv.messages("d")) != 0 {
		t.Errorf("%d messages", len(m))
	}
	srv.check(t, call{method: "POST", path: "/v1/publish", as: apiKey, body: "[]", status: 200, says: "[]"})
	for _, body := range []string{"[", "[1,]", `[{"channel":"c","topic":"t","data":1}] x`} {
		c := post(body, 400)
		c.problem = "malformed"
		srv.check(t, c)
	}
	if len(srv.messages("c")) != 2 {
		t.Error("a body that is not understood was published in part")
	}
}
