package schemas_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

func TestParseDefinition(t *testing.T) {
	got, err := schemas.ParseDefinition("", []byte(`{
		"name": "pipeline:{runId}",
		"topics": {"status": {"schema": {"type": "object", "b": "<", "a": 1e2}}, "tokens": {}, "log": null, "no": {"schema": false}},
		"replay": {"messages": 256, "bytes": "1MiB", "age": "10m"},
		"strict": true
	}`))
	if err != nil {
		t.Fatal(err)
	}
	want := schemas.Definition{
		Name: "pipeline:{runId}",
		Topics: map[string]schemas.TopicDefinition{
			"status": {Schema: json.RawMessage(`{"type":"object","b":"<","a":1e2}`)},
			"tokens": {}, "log": {},
			"no": {Schema: json.RawMessage(`false`)},
		},
		Replay: &schemas.ReplayLimits{Messages: 256, Bytes: schemas.MiB, Age: schemas.Duration(10 * time.Minute)},
		Strict: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	const text = `{"name":"pipeline:{runId}","topics":{"log":{},"no":{"schema":false},` +
		`"status":{"schema":{"type":"object","b":"<","a":1e2}},"tokens":{}},` +
		`"replay":{"messages":256,"bytes":"1MiB","age":"10m"},"strict":true}`
	if written := encode(t, got); written != text {
		t.Errorf("written as %s\nwant       %s", written, text)
	}
}

func TestParseDefinition_name(t *testing.T) {
	tests := []struct{ name, path, document, want, fault string }{
		{"of the document", "", `{"name":"a:{b}"}`, "a:{b}", ""},
		{"of the path", "a:{b}", `{}`, "a:{b}", ""},
		{"of both", "a:{b}", `{"name":"a:{b}"}`, "a:{b}", ""},
		{"two that differ", "a:{b}", `{"name":"a:{c}"}`, "", `/name is not the name "a:{b}" that the request is about`},
		{"none", "", `{}`, "", `property "name" is missing`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParseDefinition(tt.path, []byte(tt.document))
			if got.Name != tt.want || (err == nil) != (tt.fault == "") || err != nil && !strings.HasSuffix(err.Error(), ": "+tt.fault) {
				t.Errorf("got %q, %v", got.Name, err)
			}
		})
	}
}

func TestParseDefinition_faults(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 1100) + `{}` + strings.Repeat(`}`, 1100)
	tests := []struct {
		name     string
		document string
		err      error
		faults   []string // pointer, a space and the detail
	}{
		{"nothing", ``, schemas.ErrBadDefinition, []string{" is not JSON: unexpected end of JSON input"}},
		{"not JSON", `{"name":}`, schemas.ErrBadDefinition, []string{" is not JSON: invalid character '}' looking for beginning of value"}},
		{"two values", `{"name":"a"} {}`, schemas.ErrBadDefinition, []string{" is not JSON: invalid character '{' after top-level value"}},
		{"not UTF-8", "{\"name\":\"\xff\"}", schemas.ErrBadDefinition, []string{" is not UTF-8"}},
		{"a list", `[]`, schemas.ErrBadDefinition, []string{" must be an object with name, topics, replay, strict"}},
		{"a name twice", `{"name":"a","name":"b"}`, schemas.ErrBadDefinition, []string{"/name stands there twice"}},
		{
			"a topic twice", `{"name":"a","topics":{"x/y":{},"x/y":{}}}`, schemas.ErrBadDefinition,
			[]string{"/topics/x~1y stands there twice", "/topics/x~1y is not a topic's name: only A-Z a-z 0-9 _ . - are allowed"},
		},
		{"too deep", `{"name":"a","topics":{"t":{"schema":` + deep + `}}}`, schemas.ErrBadDefinition, []string{" is nested more than 500 levels deep"}},
		{
			"all at once",
			`{"nam":"a","topics":{"a b":{},"$run":{"schem":1},"open":[],"n":{"schema":null},"s":{"schema":{"type":"strin"}}},
			"replay":{"messages":0,"bytes":"1MB","age":"1d","x":1},"strict":"yes"}`,
			schemas.ErrBadDefinition,
			[]string{
				"/nam is unknown here; there are name, topics, replay and strict",
				"/topics/$run/schem is unknown here; there are schema and merge",
				"/topics/open must be an object with schema, merge",
				"/topics/n/schema must be a JSON Schema, which is an object, true or false",
				"/replay/messages must be a whole number of messages, at least 1",
				`/replay/bytes must be a number of bytes, at least 1, or a text such as "64KiB" or "1MiB"`,
				`/replay/age must be a duration longer than nothing, such as "90s" or "10m"`,
				"/replay/x is unknown here; there are messages, bytes and age",
				"/strict must be true or false",
				` property "name" is missing`,
				"/topics/$run is not a topic's name: only A-Z a-z 0-9 _ . - are allowed",
				"/topics/a b is not a topic's name: only A-Z a-z 0-9 _ . - are allowed",
				`/topics/open is not a topic's name: "open" is an event that clients use for themselves`,
				`/topics/s/schema/type is a string, must be an array (alternative 2 of anyOf)`,
				`/topics/s/schema/type must be one of "array", "boolean", "integer", "null", "number", "object" or "string" (alternative 1 of anyOf)`,
			},
		},
		{"wrong types", `{"name":1,"topics":[],"replay":3}`, schemas.ErrBadDefinition, []string{
			"/name must be a string", "/topics must be an object with a member for each topic", "/replay must be an object with messages, bytes, age",
		}},
		{"empty name", `{"name":""}`, schemas.ErrBadDefinition, []string{"/name is empty"}},
		{"schemas alone", `{"name":"a","topics":{"t":{"schema":{"minimum":"1"}}}}`, schemas.ErrBadSchema, []string{
			"/topics/t/schema/minimum is a string, must be a number",
		}},
		{"fraction of a message", `{"name":"a","replay":{"messages":1.5,"bytes":0,"age":"0s"}}`, schemas.ErrBadDefinition, []string{
			"/replay/messages must be a whole number of messages, at least 1",
			`/replay/bytes must be a number of bytes, at least 1, or a text such as "64KiB" or "1MiB"`,
			`/replay/age must be a duration longer than nothing, such as "90s" or "10m"`,
		}},
		{"negative age, text for a number", `{"name":"a","replay":{"messages":"1","bytes":-1,"age":"-1s"}}`, schemas.ErrBadDefinition, []string{
			"/replay/messages must be a whole number of messages, at least 1",
			`/replay/bytes must be a number of bytes, at least 1, or a text such as "64KiB" or "1MiB"`,
			`/replay/age must be a duration longer than nothing, such as "90s" or "10m"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := schemas.ParseDefinition("", []byte(tt.document))
			checkFaults(t, err, tt.err, tt.faults)
			var def schemas.Definition
			if json.Valid([]byte(tt.document)) && json.Unmarshal([]byte(tt.document), &def) == nil {
				t.Error("json.Unmarshal accepts it")
			}
		})
	}
}

func TestDefinitionError_Error(t *testing.T) {
	_, err := schemas.ParseDefinition("", []byte(`{"name":"a","replay":{"messages":0},"x":1}`))
	const want = "schemas: bad channel definition: /replay/messages must be a whole number of messages, at least 1; " +
		"/x is unknown here; there are name, topics, replay and strict"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// checkFaults holds a DefinitionError to a list of faults.
func checkFaults(t *testing.T, err, sentinel error, want []string) {
	t.Helper()
	var e *schemas.DefinitionError
	if !errors.As(err, &e) || !errors.Is(err, sentinel) {
		t.Fatalf("got %v, want a DefinitionError that is %v", err, sentinel)
	}
	var got []string
	for _, f := range e.Errors {
		got = append(got, f.Pointer+" "+f.Detail)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "channels.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadDefinitions(t *testing.T) {
	defs, err := schemas.LoadDefinitions(writeFile(t, `
# every way to write things
channels:
  - name: "pipeline:{runId}"
    topics:
      status: {schema: {type: object, required: [message], properties: {message: {type: string}, step: &step {type: integer, maximum: 0x10}}}}
      tokens: {schema: {type: object, required: [token, step], properties: {step: *step}}}
      log:
      when: {schema: {const: 2026-11-23, minimum: 0.10, enum: [1e3, .5, 1_000, ~, yes, "yes", true]}}
    replay: {messages: 256, bytes: 1MiB, age: 10m}
    strict: true
  - name: chat
    replay: {bytes: 65536}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"name":"pipeline:{runId}","topics":{"log":{},` +
			`"status":{"schema":{"type":"object","required":["message"],"properties":{"message":{"type":"string"},"step":{"type":"integer","maximum":16}}}},` +
			`"tokens":{"schema":{"type":"object","required":["token","step"],"properties":{"step":{"type":"integer","maximum":16}}}},` +
			`"when":{"schema":{"const":"2026-11-23","minimum":0.10,"enum":[1e3,0.5,1000,null,"yes","yes",true]}}},` +
			`"replay":{"messages":256,"bytes":"1MiB","age":"10m"},"strict":true}`,
		`{"name":"chat","replay":{"bytes":"64KiB"}}`,
	}
	if len(defs) != len(want) {
		t.Fatalf("got %d definitions", len(defs))
	}
	for i := range want {
		if got := encode(t, defs[i]); got != want[i] {
			t.Errorf("got  %s\nwant %s", got, want[i])
		}
	}
}

func TestLoadDefinitions_faults(t *testing.T) {
	tests := []struct {
		name   string
		text   string
		err    error
		faults []string
	}{
		{"empty", "", schemas.ErrBadDefinition, []string{" must be an object with channels (line 1, column 1)"}},
		{"not YAML", "channels: [", schemas.ErrBadDefinition, []string{" is not YAML: yaml: line 1: did not find expected node content"}},
		{"not UTF-8", "channels: \xff", schemas.ErrBadDefinition, []string{" is not UTF-8"}},
		{"two documents", "channels: []\n---\nchannels: []\n", schemas.ErrBadDefinition, []string{" has something after its end, or is more than one document"}},
		{"no list", "channels: {}", schemas.ErrBadDefinition, []string{"/channels must be a list of channel definitions (line 1, column 1)"}},
		{
			"faults of two definitions, with their lines",
			"channels:\n- name: a\n  topics:\n    t:\n      schema:\n        type: 1\n  repla: {}\n- name: 7\nchanels: []\n",
			schemas.ErrBadDefinition,
			[]string{
				"/channels/0/repla is unknown here; there are name, topics, replay and strict (line 7, column 3)",
				"/channels/1/name must be a string (line 8, column 3)",
				"/chanels is unknown here; there is only channels (line 9, column 1)",
				`/channels/0/topics/t/schema/type is a number, must be an array (alternative 2 of anyOf) (line 6, column 9)`,
				`/channels/0/topics/t/schema/type must be one of "array", "boolean", "integer", "null", "number", "object" or "string" (alternative 1 of anyOf) (line 6, column 9)`,
			},
		},
		{
			"schemas alone", "channels:\n- name: a\n  topics: {t: {schema: {$ref: '#/x'}}}\n", schemas.ErrBadSchema,
			[]string{`/channels/0/topics/t/schema refers to "#/x", which is not there (line 3, column 16)`},
		},
		{"a key twice", "channels: []\nchannels: []\n", schemas.ErrBadDefinition, []string{"/channels stands there twice (line 1, column 1)"}},
		{
			"merge key", "x: &x {strict: true}\nchannels:\n- <<: *x\n  name: a\n", schemas.ErrBadDefinition,
			[]string{"/channels/0/<< is a merge key, which is not supported (line 3, column 3)", "/x is unknown here; there is only channels (line 1, column 1)"},
		},
		{
			"key that is a list", "channels:\n- name: a\n  topics: {[a]: {}}\n", schemas.ErrBadDefinition,
			[]string{"/channels/0/topics/ has a key that is not a string (line 3, column 3)"},
		},
		{
			"numbers that JSON lacks", "channels:\n- name: a\n  topics: {t: {schema: {enum: [.inf, .nan]}}}\n", schemas.ErrBadDefinition,
			[]string{
				"/channels/0/topics/t/schema/enum/0 is not a number that JSON can write (line 3, column 32)",
				"/channels/0/topics/t/schema/enum/1 is not a number that JSON can write (line 3, column 38)",
			},
		},
		{
			"a value within itself", "channels: &c\n- *c\n", schemas.ErrBadDefinition,
			[]string{" is nested more than 500 levels deep"},
		},
		{
			"a bomb", "a: &a [0,0,0,0,0,0,0,0,0,0]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
				"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
			schemas.ErrBadDefinition,
			[]string{" has more than 1000000 values"},
		},
		{
			"a bomb of text", "a: &a " + strings.Repeat("x", 1000) + "\nb: [" + strings.Repeat("*a,", 20_000) + "]\n",
			schemas.ErrBadDefinition,
			[]string{" has more than 16777216 bytes of text"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, tt.text)
			_, err := schemas.LoadDefinitions(path)
			checkFaults(t, err, tt.err, tt.faults)
			if err != nil && !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("%v does not name the file", err)
			}
		})
	}
	if _, err := schemas.LoadDefinitions(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestParseDefinitionYAML reads what TestLoadDefinitions has in a list, without the list.
func TestParseDefinitionYAML(t *testing.T) {
	const text = "topics:\n  status: {schema: {type: object, required: [message]}}\n  tokens:\nreplay: {bytes: 64KiB, age: 90s}\nstrict: true\n"
	same, err := schemas.ParseDefinition("a:{b}", []byte(`{"topics":{"status":{"schema":{"type":"object","required":["message"]}},"tokens":{}},"replay":{"bytes":65536,"age":"90s"},"strict":true}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{text, "name: a:{b}\n" + text, "# a comment\n---\n" + text} {
		if got, err := schemas.ParseDefinitionYAML("a:{b}", []byte(text)); err != nil || !reflect.DeepEqual(got, same) {
			t.Errorf("%q: got %+v, %v; want %+v", text, got, err, same)
		}
	}
	for _, tt := range []struct {
		name, text string
		err        error
		faults     []string
	}{
		{"nothing", "# to do", schemas.ErrBadDefinition, []string{" must be an object with name, topics, replay, strict (line 1, column 1)"}},
		{"not YAML", "topics: [", schemas.ErrBadDefinition, []string{" is not YAML: yaml: line 1: did not find expected node content"}},
		{"another name", "name: x", schemas.ErrBadDefinition, []string{`/name is not the name "a:{b}" that the request is about (line 1, column 1)`}},
		{"a file", "channels: []", schemas.ErrBadDefinition, []string{"/channels is unknown here; there are name, topics, replay and strict (line 1, column 1)"}},
		{
			"a schema", "topics:\n  a: {schema: {type: object}}\n  b:\n    schema:\n      required: a\n", schemas.ErrBadSchema,
			[]string{"/topics/b/schema/required is a string, must be an array (line 5, column 7)"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := schemas.ParseDefinitionYAML("a:{b}", []byte(tt.text))
			checkFaults(t, err, tt.err, tt.faults)
		})
	}
}

func FuzzDefinition(f *testing.F) {
	f.Add(`{"name":"pipeline:{runId}","topics":{"status":{"schema":{"type":"object","required":["message"]}}},"strict":true}`, `{"message":1}`)
	f.Add(`{"name":"a","topics":{"status":{"schema":{"$ref":"#/$defs/x","$defs":{"x":{"minimum":1e3}}}}}}`, `1e1000000`)
	f.Add(`{"name":"{a}x","replay":{"bytes":"64KiB","age":"90s","messages":1}}`, `null`)
	f.Add(`{"name":"a","topics":{"status":{"schema":{"$id":"#x","uniqueItems":true}}}}`, `[1,1.0]`)
	f.Add(`{"name":"a","topics":{"status":{"schema":{"propertyNames":{"format":"date"}}}}}`, `{"a":{"b":1}}`)
	f.Fuzz(func(t *testing.T, document, message string) {
		if len(document)+len(message) > 4096 {
			return // what takes long is found elsewhere
		}
		def, err := schemas.ParseDefinition("", []byte(document))
		if err != nil {
			var e *schemas.DefinitionError
			if !errors.As(err, &e) || len(e.Errors) == 0 || !json.Valid([]byte(encode(t, e.Errors))) {
				t.Fatalf("%q: error %v lists nothing", document, err)
			}
			return
		}
		again, err := schemas.ParseDefinition(def.Name, []byte(encode(t, def)))
		if err != nil || !reflect.DeepEqual(again, def) {
			t.Fatalf("%q: written as %s and read back as %+v, %v", document, encode(t, def), again, err)
		}
		c := schemas.NewCatalog(schemas.Limits{})
		if err := c.Put(def); err != nil {
			return // over a limit
		}
		name := strings.NewReplacer("{", "", "}", "").Replace(def.Name)
		d := c.For(schemas.Channel(name))
		if d == nil || d.Name() != def.Name {
			t.Fatalf("%q does not match %q", def.Name, name)
		}
		var v *schemas.Violation
		if err := d.Check(t.Context(), "status", []byte(message)); errors.As(err, &v) && (len(v.Errors) == 0 || len(v.Errors) > 32) {
			t.Fatalf("%q, %q: bad violation %+v", document, message, v)
		}
	})
}
