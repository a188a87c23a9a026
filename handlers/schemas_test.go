package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// schemas tests definitions and how they affect publishes.
func (s *suite) schemas(t *testing.T) {
	srv := s.start(t)
	const path = "/v1/schemas/pipeline:%7Brun%7D"
	put := func(name, path, body string, status int) call {
		return call{name: name, method: "PUT", path: path, as: apiKey, body: body, status: status, header: map[string]string{"Content-Type": "application/json"}}
	}
	refused := func(name, path, body string, status int, problem string, fields ...string) call {
		c := put(name, path, body, status)
		c.problem, c.fields = problem, fields
		return c
	}
	const definition = `{"topics":{"status":{"schema":{"type":"object","required":["message"],"properties":{"message":{"type":"string"},"n/~":{"type":"integer"}}}},"tokens":{}},"replay":{"messages":2},"strict":true}`
	only := srv.mint(auth.TokenRequest{Publish: schemas.Grants{{Channel: "elsewhere", Topics: []string{"t"}}}})
	typed := func(c call, media string) call {
		c.header = map[string]string{"Content-Type": media}
		return c
	}
	const inYAML = "topics:\n  status: {schema: {type: object, required: [message]}}\n  tokens:\nstrict: true\n"
	aBomb := "a: &a [" + strings.Repeat("x,", 1000) + "]\nb: &b [" + strings.Repeat("*a,", 1000) + "]\ntopics: {t: {schema: {enum: [*b, *b]}}}\n"
	srv.run(t, []call{
		{name: "none yet", method: "GET", path: "/v1/schemas", as: srv.token("c", "t"), status: 200, says: `{"schemas":[]}`},
		put("a dry run", path+"?dry_run=true", definition, 201),
		{name: "which adds nothing", method: "GET", path: path, as: apiKey, status: 404, problem: "not-found"},
		put("add", path, definition, 201),
		put("a dry run of another one", path+"?dry_run=true", `{"strict":false}`, 200),
		refused("a dry run that finds a fault", path+"?dry_run=true", `{"topics":{"t":{"schema":{"required":"a"}}}}`, 422, "bad-schema", "/topics/t/schema/required"),
		refused("a dry run that finds a tie", "/v1/schemas/pipeline:%7Bother%7D?dry_run=true", `{}`, 422, "bad-schema", "/name"),
		refused("a run that is neither dry nor not", path+"?dry_run=yes", definition, 400, "malformed"),
		{name: "still as it was added", method: "GET", path: path, as: apiKey, status: 200, says: `"message"`},
		{name: "listed for who may only publish elsewhere", method: "GET", path: "/v1/schemas", as: only.Token, status: 200, says: `{"name":"pipeline:{run}","topics":{`},
		{name: "listed for nobody", method: "GET", path: "/v1/schemas", status: 401, problem: "unauthorized"},
		put("replace", path, definition, 200),
		put("with its name", path, `{"name":"pipeline:{run}",`+definition[1:], 200),
		{name: "read", method: "GET", path: path, as: srv.token("c", "t"), status: 200, says: `{"name":"pipeline:{run}","topics":{`},
		{name: "read unescaped", method: "GET", path: "/v1/schemas/pipeline:{run}", as: apiKey, status: 200},
		{name: "list", method: "GET", path: "/v1/schemas", as: apiKey, status: 200, says: `"strict":true`},
		{name: "unknown", method: "GET", path: "/v1/schemas/none", as: apiKey, status: 404, problem: "not-found"},
		refused("another name", path, `{"name":"x"}`, 422, "bad-schema", "/name"),
		refused("unknown members", path, `{"topic":{},"replay":{"size":1}}`, 422, "bad-schema", "/topic", "/replay/size"),
		refused("bad topics", path, `{"topics":{"open":{},"a b":{}}}`, 422, "bad-schema", "/topics/a b", "/topics/open"),
		refused("a schema that does not compile", path, `{"topics":{"t":{"schema":{"required":"a"}}}}`, 422, "bad-schema", "/topics/t/schema/required"),
		refused("a reference to the outside", path, `{"topics":{"t":{"schema":{"$ref":"https://example.com/s"}}}}`, 422, "bad-schema"),
		refused("a reference to a file", path, `{"topics":{"t":{"schema":{"$ref":"file:///etc/passwd"}}}}`, 422, "bad-schema"),
		refused("a bad template", "/v1/schemas/%7Ba%7D%7Bb%7D", `{}`, 422, "bad-schema"),
		refused("a tie", "/v1/schemas/pipeline:%7Bother%7D", `{}`, 422, "bad-schema", "/name"),
		refused("not JSON", path, `{"topics":`, 400, "malformed"),
		refused("nothing", path, ``, 400, "malformed"),
		typed(refused("another type", path, definition, 415, "unsupported-media-type"), "text/plain"),
		typed(put("in YAML, dry", path+"?dry_run=true", inYAML, 200), "application/yaml"),
		typed(refused("faulty YAML", path, "topics:\n  t: {schema: {required: a}}", 422, "bad-schema", "/topics/t/schema/required"), "application/yaml"),
		typed(refused("no YAML", path, "topics: {", 422, "bad-schema", ""), "application/yaml"),
		typed(refused("YAML that stands for very much", path, aBomb, 422, "bad-schema", ""), "application/yaml"),
		typed(refused("YAML called JSON", path, inYAML, 400, "malformed"), "application/json"),
		{name: "still as it was", method: "GET", path: path, as: apiKey, status: 200, says: `"replay":{"messages":2}`},
		typed(put("another one in YAML", "/v1/schemas/yaml:%7Brun%7D", inYAML, 201), "application/yaml; charset=utf-8"),
		{
			name: "which is the same in JSON", method: "GET", path: "/v1/schemas/yaml:%7Brun%7D", as: apiKey, status: 200,
			says: `{"name":"yaml:{run}","topics":{"status":{"schema":{"type":"object","required":["message"]}},"tokens":{}},"strict":true}`,
		},
		{name: "delete that one", method: "DELETE", path: "/v1/schemas/yaml:%7Brun%7D", as: apiKey, status: 204},
	})
	srv.run(t, []call{
		put("a schema of many parts", "/v1/schemas/parts", `{"topics":{"t":{"schema":{"items":{"allOf":[`+strings.TrimSuffix(strings.Repeat(`{"minimum":0},`, 4000), ",")+`]}}}}}`, 201),
		{
			name: "too much work", method: "POST", path: "/v1/publish/parts/t", as: apiKey, body: "[" + strings.Repeat("1,", 20_000) + "1]",
			status: 422, problem: "schema-violation", detail: "checking the message takes too much work", header: map[string]string{"Idempotency-Key": "k"},
		},
		{name: "delete it", method: "DELETE", path: "/v1/schemas/parts", as: apiKey, status: 204},
	})
	s.schemaChecks(t, srv, put("a more specific one", "/v1/schemas/pipeline:1", `{"topics":{"status":{"schema":{"type":"integer"}}}}`, 201))
}

// schemaChecks publishes to a channel with a definition, and again when there is a more specific
// one.
func (s *suite) schemaChecks(t *testing.T, srv *server, more call) {
	publish := func(name, topic, body string, status int, problem string, fields ...string) call {
		return call{name: name, method: "POST", path: "/v1/publish/pipeline:1/" + topic, as: apiKey, body: body, status: status, problem: problem, fields: fields}
	}
	srv.run(t, []call{
		publish("good", "status", `{"message":"a"}`, 201, ""),
		publish("without a schema", "tokens", `1`, 201, ""),
		publish("bad", "status", `{"message":1,"n/~":1.5}`, 422, "schema-violation", "/message", "/n~1~0"),
		publish("incomplete", "status", `{}`, 422, "schema-violation", ""),
		publish("unknown topic", "other", `1`, 422, "unknown-topic"),
		{name: "text", method: "POST", path: "/v1/publish/pipeline:1/status", as: apiKey, body: "x", header: map[string]string{"Content-Type": "text/plain"}, status: 422, problem: "schema-violation"},
		{name: "in the body", method: "POST", path: "/v1/publish", as: apiKey, body: `{"channel":"pipeline:1","topic":"status","data":1}`, status: 422, problem: "schema-violation"},
		publish("good again", "status", `{"message":"b"}`, 201, ""),
		{name: "run", method: "PUT", path: "/v1/channels/pipeline:1/run", as: apiKey, body: `{"status":"running"}`, status: 200},
		{name: "another channel", method: "POST", path: "/v1/publish/other:1/anything", as: apiKey, body: "1", status: 201},
	})
	// Two, as the definition says, and the latest message of a topic.
	if held := srv.messages("pipeline:1"); len(held) != 3 || string(held[0].Data) != `1` || string(held[1].Data) != `{"message":"b"}` {
		t.Errorf("the channel holds %+v", held)
	}
	srv.run(t, []call{
		more,
		publish("by the more specific one", "status", `1`, 201, ""),
		publish("not by the other", "status", `{"message":"a"}`, 422, "schema-violation", ""),
		{name: "delete", method: "DELETE", path: "/v1/schemas/pipeline:1", as: apiKey, status: 204},
		{name: "delete again", method: "DELETE", path: "/v1/schemas/pipeline:1", as: apiKey, status: 404, problem: "not-found"},
		publish("by the other again", "status", `{"message":"a"}`, 201, ""),
	})
}
