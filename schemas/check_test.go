package schemas_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// compiled returns the one definition of a catalog, for the topic "t".
func compiled(t testing.TB, schema string) *schemas.Compiled {
	t.Helper()
	c := schemas.NewCatalog(schemas.Limits{})
	if err := c.Put(define("c", schema)); err != nil {
		t.Fatal(err)
	}
	return c.For("c")
}

func define(name, schema string) schemas.Definition {
	return schemas.Definition{Name: name, Topics: map[string]schemas.TopicDefinition{"t": {Schema: json.RawMessage(schema)}}}
}

func TestCompiled_Check(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tests := []struct {
		name   string
		schema string
		data   string
		faults []string // pointer, a space and the detail; nil: good
	}{
		{"good", `{"type":"object","required":["message"]}`, `{"message":1}`, nil},
		{"true", `true`, `[1]`, nil},
		{"false", `false`, `1`, []string{" is not allowed here"}},
		{"missing property", `{"required":["message","step"]}`, `{}`, []string{` property "message" is missing`, ` property "step" is missing`}},
		{"missing below", `{"properties":{"a":{"required":["b"]}}}`, `{"a":{}}`, []string{`/a property "b" is missing`}},
		{"wrong type", `{"properties":{"message":{"type":"string"}}}`, `{"message":7}`, []string{"/message is a number, must be a string"}},
		{"one of two types", `{"type":["integer","null"]}`, `"a"`, []string{" is a string, must be null or an integer"}},
		{"enum", `{"properties":{"s":{"enum":["a",1,null]}}}`, `{"s":"b"}`, []string{`/s must be one of "a", 1 or null`}},
		{"enum of one", `{"enum":["a"]}`, `1`, []string{` must be one of "a"`}},
		{"long enum", `{"enum":[1,2,3,4,5,6,7,8,9,10]}`, `0`, []string{" must be one of 1, 2, 3, 4, 5, 6, 7, 8 or 2 more"}},
		{"const", `{"const":{"a":"<"}}`, `1`, []string{` must be {"a":"<"}`}},
		{
			"nested array items", `{"properties":{"rows":{"items":{"items":{"type":"integer"}}}}}`, `{"rows":[[1],[2,"x",3.5]]}`,
			[]string{"/rows/1/1 is a string, must be an integer", "/rows/1/2 is a number, must be an integer"},
		},
		{"additional property", `{"properties":{"a":{}},"additionalProperties":false}`, `{"a":1,"b":2,"c":3}`, []string{"/b is not an allowed property", "/c is not an allowed property"}},
		{"unevaluated property", `{"unevaluatedProperties":false}`, `{"a":1}`, []string{"/a is not allowed here"}},
		{"escaped pointer", `{"additionalProperties":{"type":"null"}}`, `{"a/b~c":1,"%":null," ":2}`, []string{"/  is a number, must be null", "/a~1b~0c is a number, must be null"}},
		{"pattern", `{"pattern":"^a+$"}`, `"b"`, []string{` does not match the pattern "^a+$"`}},
		{"short string", `{"minLength":2}`, `"é"`, []string{" has 1 character, at least 2 required"}},
		{"long string", `{"maxLength":3}`, `"` + long + `"`, []string{" has 5000 characters, at most 3 allowed"}},
		{"minimum", `{"minimum":0.5}`, `0.49999999999999999999999`, []string{" must be at least 0.5"}},
		{"maximum", `{"maximum":10}`, `11`, []string{" must be at most 10"}},
		{"exclusive minimum", `{"exclusiveMinimum":-1}`, `-1`, []string{" must be more than -1"}},
		{"exclusive maximum", `{"exclusiveMaximum":1e2}`, `100`, []string{" must be less than 100"}},
		{"multiple", `{"multipleOf":0.01}`, `0.015`, []string{" must be a multiple of 0.01"}},
		{"multiple, exactly", `{"multipleOf":0.01}`, `4.35`, nil},
		{"beyond a float's integers", `{"maximum":9007199254740993}`, `9007199254740994`, []string{" must be at most 9007199254740993"}},
		{"equal beyond a float's integers", `{"const":9007199254740993}`, `9007199254740993`, nil},
		{"a float's neighbours differ", `{"const":9007199254740993}`, `9007199254740992`, []string{" must be 9007199254740993"}},
		{"too few items", `{"minItems":2}`, `[1]`, []string{" has 1 item, at least 2 required"}},
		{"too many items", `{"maxItems":1}`, `[1,2]`, []string{" has 2 items, at most 1 allowed"}},
		{"equal items", `{"uniqueItems":true}`, `[1,2,1.0]`, []string{" has equal items, 0 and 2"}},
		{"contains", `{"contains":{"type":"string"}}`, `[1,2]`, []string{" has no item that matches contains"}},
		{"contains more", `{"contains":{"type":"string"},"minContains":2}`, `["a",2]`, []string{" has 1 item matching contains, at least 2 required"}},
		{"contains less", `{"contains":{"type":"string"},"maxContains":1}`, `["a","b"]`, []string{" has 2 items matching contains, at most 1 allowed"}},
		{"too few properties", `{"minProperties":1}`, `{}`, []string{" has 0 properties, at least 1 required"}},
		{"too many properties", `{"maxProperties":0}`, `{"a":1}`, []string{" has 1 properties, at most 0 allowed"}},
		{"dependent", `{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, []string{` property "b" is missing, which is required beside "a"`}},
		{"property names", `{"propertyNames":{"maxLength":1}}`, `{"ab":1}`, []string{` has a property "ab" whose name has 2 characters, at most 1 allowed`}},
		{
			"property names below the top", `{"additionalProperties":{"propertyNames":{"maxLength":1}}}`, `{"x":{"ab":1},"y":{},"z":{"a":1}}`,
			[]string{`/x has a property "ab" whose name has 2 characters, at most 1 allowed`},
		},
		{"not", `{"not":{"type":"null"}}`, `null`, []string{" is what the schema excludes (not)"}},
		{
			"anyOf", `{"anyOf":[{"type":"string"},{"properties":{"a":{"type":"null"}},"type":"object"}]}`, `{"a":1}`,
			[]string{" is an object, must be a string (alternative 1 of anyOf)", "/a is a number, must be null (alternative 2 of anyOf)"},
		},
		{"oneOf, none", `{"oneOf":[{"type":"string"},false]}`, `1`, []string{" is a number, must be a string (alternative 1 of oneOf)", " is not allowed here (alternative 2 of oneOf)"}},
		{"oneOf, two", `{"oneOf":[{},false,{}]}`, `1`, []string{" matches alternatives 1 and 3 of oneOf, only one is allowed"}},
		{"allOf", `{"allOf":[{"minimum":2},{"maximum":0}]}`, `1`, []string{" must be at least 2", " must be at most 0"}},
		{"if, then, else", `{"if":{"type":"string"},"then":{"minLength":1},"else":{"minimum":1}}`, `0`, []string{" must be at least 1"}},
		{"reference within", `{"properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"minimum":1}}}`, `{"a":0}`, []string{"/a must be at least 1"}},
		{"recursion", `{"properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}`, `{"next":{"next":{"v":"x"}}}`, []string{"/next/next/v is a string, must be an integer"}},
		{"recursion without end", `{"$ref":"#"}`, `1`, []string{" cannot be checked: the schema refers to itself without end"}},
		{"format", `{"properties":{"at":{"format":"date-time"}}}`, `{"at":"yesterday"}`, []string{"/at is not a valid date-time"}},
		{"format that is met", `{"format":"date-time"}`, `"2026-11-23T06:18:03Z"`, nil},
		{"format that nobody knows", `{"format":"colour"}`, `"x"`, nil},
		{"a word of the user's own", `{"x-mine":1}`, `1`, nil},
		{"not JSON", `{"type":"object"}`, `{`, []string{" is not JSON"}},
		{"two values", `{"type":"object"}`, `{}{}`, []string{" is not JSON"}},
		{"huge exponents", `{"minimum":0}`, `[{"a/b":1e1001},-1E-1001,1e99999999999999999999]`, []string{
			"/0/a~1b is a number whose exponent is beyond 1000", "/1 is a number whose exponent is beyond 1000", "/2 is a number whose exponent is beyond 1000",
		}},
		{"large exponents", `{"items":{"minimum":0,"multipleOf":1}}`, `[1e1000,"1e1001",true]`, nil},
		{"long number", `{"minimum":0}`, strings.Repeat("1", 1001), []string{" is a number of 1001 characters, at most 1000 are allowed"}},
		{"long numbers that are just long enough", `{"items":{"minimum":0}}`, `[` + strings.Repeat("1", 1000) + `,0.` + strings.Repeat("1", 998) + `]`, nil},
		{"64 levels", `{"type":"array"}`, strings.Repeat("[", 64) + strings.Repeat("]", 64), nil},
		{"65 levels", `{"type":"array"}`, strings.Repeat("[", 65) + strings.Repeat("]", 65), []string{" is nested more than 64 levels deep"}},
		{"brackets in strings are no levels", `{"items":{"type":"string"}}`, `["` + strings.Repeat(`[\"{`, 70) + `"]`, nil},
		{"pointer that would be long", `{"additionalProperties":{"additionalProperties":{"type":"null"}}}`, `{"a":{"` + long + `":1}}`, []string{"/a is a number, must be null"}},
		{"name that would be long", `{"dependentRequired":{"` + long + `":["b"]}}`, `{"` + long + `":1}`, []string{` property "b" is missing, which is required beside "` + strings.Repeat("x", 64) + `…"`}},
		{"const that would be long", `{"const":"` + long + `"}`, `1`, []string{` must be "` + strings.Repeat("x", 63) + `…`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := compiled(t, tt.schema).Check(t.Context(), "t", []byte(tt.data))
			checkViolation(t, err, tt.faults)
		})
	}
}

func checkViolation(t *testing.T, err error, want []string) {
	t.Helper()
	var got []string
	var v *schemas.Violation
	if errors.As(err, &v) {
		for _, f := range v.Errors {
			got = append(got, f.Pointer+" "+f.Detail)
		}
		if !errors.Is(err, schemas.ErrSchemaViolation) || v.Topic != "t" || v.More {
			t.Errorf("bad violation %+v", v)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCompiled_Check_manyFaults(t *testing.T) {
	data := "[" + strings.TrimSuffix(strings.Repeat(`"x",`, 100), ",") + "]"
	err := compiled(t, `{"items":{"type":"null"}}`).Check(t.Context(), "t", []byte(data))
	var v *schemas.Violation
	if !errors.As(err, &v) || len(v.Errors) != 32 || !v.More {
		t.Fatalf("got %+v", err)
	}
	if text := v.Error(); !strings.HasSuffix(text, "; and more") ||
		!strings.HasPrefix(text, `schemas: message does not match its schema: topic "t": /0 is a string, must be null; /1 is`) {
		t.Errorf("got %s", text)
	}
}

func TestCompiled_Check_topics(t *testing.T) {
	c := schemas.NewCatalog(schemas.Limits{})
	topics := map[string]schemas.TopicDefinition{"free": {}, "held": {Schema: json.RawMessage(`{"type":"string"}`)}}
	for _, def := range []schemas.Definition{{Name: "open", Topics: topics}, {Name: "strict:{x}", Topics: topics, Strict: true}} {
		if err := c.Put(def); err != nil {
			t.Fatal(err)
		}
	}
	for _, channel := range []schemas.Channel{"open", "strict:1"} {
		d := c.For(channel)
		if err := errors.Join(d.Check(t.Context(), "free", []byte(`not even JSON`)), d.Check(t.Context(), "held", []byte(`"a"`)), d.Check(t.Context(), schemas.TopicRun, []byte(`{}`))); err != nil {
			t.Errorf("%s: %v", channel, err)
		}
		if err := d.Check(t.Context(), "held", []byte(`1`)); !errors.Is(err, schemas.ErrSchemaViolation) {
			t.Errorf("%s: got %v", channel, err)
		}
	}
	if err := c.For("open").Check(t.Context(), "other", []byte(`1`)); err != nil {
		t.Errorf("a definition that is not strict refuses: %v", err)
	}
	err := c.For("strict:1").Check(t.Context(), "other", []byte(`1`))
	if !errors.Is(err, schemas.ErrUnknownTopic) {
		t.Errorf("got %v", err)
	}
	if err != nil && err.Error() != `schemas: topic is not defined: "strict:{x}" does not have topic "other"` {
		t.Errorf("got %v", err)
	}
}

func TestCatalog_Put_badSchema(t *testing.T) {
	tests := []struct {
		name   string
		schema string
		faults []string // below /topics/t/schema
	}{
		{"not JSON", `{`, []string{" is not JSON: unexpected end of JSON input"}},
		{"neither object nor boolean", `3`, []string{" is a number, must be a boolean or an object"}},
		{"unknown type", `{"properties":{"a":{"minLength":-1}}}`, []string{"/properties/a/minLength must be at least 0"}},
		{"look-ahead", `{"pattern":"(?=a)"}`, []string{"/pattern is not a valid regex"}},
		{"back-reference", `{"properties":{"a":{"pattern":"(a)\\1"}}}`, []string{"/properties/a/pattern is not a valid regex"}},
		{"bad pattern of names", `{"patternProperties":{"(":{}}}`, []string{`/patternProperties has a property "(" whose name is not a valid regex`}},
		{"older draft", `{"$schema":"http://json-schema.org/draft-07/schema#"}`, []string{"/$schema is not https://json-schema.org/draft/2020-12/schema, the only draft that is supported"}},
		{"older draft within", `{"$ref":"x","$defs":{"a":{"$id":"x","$schema":"http://json-schema.org/draft-07/schema#","type":"string"}}}`, []string{` refers to "sluice:///schema#/$defs/a", which is of another draft`}},
		{"a reference to an older draft", `{"$ref":"http://json-schema.org/draft-07/schema#"}`, []string{` refers to "http://json-schema.org/draft-07/schema#", which is of another draft`}},
		{"dangling pointer", `{"$ref":"#/$defs/none"}`, []string{` refers to "#/$defs/none", which is not there`}},
		{"dangling anchor", `{"$ref":"#none"}`, []string{` refers to "#none", which is not there`}},
		{"exponent", `{"minimum":1e99999999}`, []string{"/minimum is a number whose exponent is beyond 1000"}},
		{"a member twice", `{"type":"null","type":"string"}`, []string{"/type stands there twice"}},
		{"two of one id", `{"$defs":{"a":{"$id":"x"},"b":{"$id":"x"}}}`, nil},
		{"65 levels", strings.Repeat(`{"not":`, 64) + `{}` + strings.Repeat(`}`, 64), []string{" has 65 levels, at most 64 are allowed"}},
		{"10,001 values", `{"enum":[` + strings.Repeat("1,", 9998) + `1]}`, []string{" has 10001 values, at most 10000 are allowed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := schemas.NewCatalog(schemas.Limits{})
			err := c.Put(define("c", tt.schema))
			var e *schemas.DefinitionError
			if !errors.As(err, &e) || !errors.Is(err, schemas.ErrBadSchema) || errors.Is(err, schemas.ErrBadDefinition) {
				t.Fatalf("got %v, want ErrBadSchema", err)
			}
			if tt.faults != nil {
				for i := range tt.faults {
					tt.faults[i] = "/topics/t/schema" + tt.faults[i]
				}
				checkFaults(t, err, schemas.ErrBadSchema, tt.faults)
			}
			if c.For("c") != nil {
				t.Error("it was taken")
			}
		})
	}
	good := []string{
		strings.Repeat(`{"not":`, 63) + `{}` + strings.Repeat(`}`, 63),
		`{"enum":[` + strings.Repeat("1,", 9997) + `1]}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema"}`,
		`{"$id":"https://example.com/a","$ref":"b","$defs":{"b":{"$id":"b"}}}`,
	}
	for _, schema := range good {
		compiled(t, schema)
	}
}

// TestCatalog_Put_fetchesNothing offers what references ask for and sees that
// nobody comes.
func TestCatalog_Put_fetchesNothing(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	server.Config.ConnState = func(net.Conn, http.ConnState) { asked.Add(1) }
	defer server.Close()
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{server.URL + "/a.json", "file://" + file, file, "other.json", "../x.json#/a", "urn:a:b", "sluice:///other"} {
		quoted := strconv.Quote(url)
		for _, schema := range []string{
			`{"$ref":` + quoted + `}`, `{"$dynamicRef":` + quoted + `}`, `{"properties":{"a":{"items":{"$ref":` + quoted + `}}}}`,
			`{"$schema":` + quoted + `}`, `{"$id":"file:///tmp/","$ref":` + quoted + `}`, `{"$id":"` + server.URL + `/","$ref":"a.json"}`,
		} {
			c := schemas.NewCatalog(schemas.Limits{})
			err := c.Put(define("c", schema))
			if !errors.Is(err, schemas.ErrBadSchema) ||
				!strings.Contains(err.Error(), "references are resolved within the schema only") && !strings.Contains(err.Error(), "the only draft") {
				t.Errorf("%s: got %v", schema, err)
			}
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// BenchmarkCompiled_Check compares with the library that schemas are compiled with,
// and with decoding the message alone.
func BenchmarkCompiled_Check(b *testing.B) {
	const schema = `{"type":"object","required":["message"],"properties":{"message":{"type":"string"},"step":{"type":"string"}}}`
	d, valid := compiled(b, schema), library(b, []byte(schema))
	data := []byte(`{"message":"Fetching the second page of results","step":"fetch"}`)
	b.Run("schema", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := d.Check(b.Context(), "t", data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !valid(data) {
				b.Fatal("it finds it bad")
			}
		}
	})
	b.Run("decoding alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := json.Unmarshal(data, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
