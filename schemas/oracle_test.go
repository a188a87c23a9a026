package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluicehq/sluice/schemas"
)

// library returns the library's own validation: whether a message is good.
func library(t testing.TB, schema []byte) func(message []byte) bool {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("test:///schema", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("test:///schema")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return func(message []byte) bool {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		return compiled.Validate(value) == nil
	}
}

// TestCompiled_Check_asTheLibrary makes schemas and messages at random, and compares
// with the library's own validation, which has no bounds.
func TestCompiled_Check_asTheLibrary(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 200
	}
	good := 0
	for seed := range rounds {
		good += compareWithLibrary(t, uint64(seed))
	}
	if good < rounds || good > 9*rounds {
		t.Errorf("%d of %d messages are good: too few of one kind", good, 10*rounds)
	}
}

func FuzzCompiled_Check_asTheLibrary(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { compareWithLibrary(t, seed) })
}

// compareWithLibrary returns how many of ten messages are good.
func compareWithLibrary(t *testing.T, seed uint64) (good int) {
	t.Helper()
	g := generator{rand.New(rand.NewPCG(seed, 1)), 0}
	schema, err := json.Marshal(g.document())
	if err != nil {
		t.Fatal(err)
	}
	c := schemas.NewCatalog(schemas.Limits{})
	if err := c.Put(define("c", string(schema))); err != nil {
		t.Fatalf("seed %d: %s: %v", seed, schema, err)
	}
	valid := library(t, schema)
	for range 10 {
		message, err := json.Marshal(g.message(3))
		if err != nil {
			t.Fatal(err)
		}
		got := c.For("c").Check(t.Context(), "t", message)
		want := valid(message)
		var v *schemas.Violation
		if (got == nil) != want || got != nil && (!errors.As(got, &v) || len(v.Errors) == 0) {
			t.Fatalf("seed %d: schema %s, message %s: got %v; the library finds it good: %t", seed, schema, message, got, want)
		}
		if want {
			good++
		}
	}
	return good
}

// generator makes schemas of all keywords, and messages that meet them often.
type generator struct {
	*rand.Rand
	def int // of the definitions, those from here on may be referred to in place
}

const defs = 4

func (g *generator) document() any {
	root := g.object(3)
	all := map[string]any{}
	for i := range defs {
		g.def = i + 1 // so that no schema refers to itself in place
		all[fmt.Sprint("d", i)] = g.schema(2)
	}
	root["$defs"] = all
	return root
}

func (g *generator) schema(depth int) any {
	switch n := g.IntN(12); {
	case n == 0:
		return true
	case n == 1:
		return false
	case depth == 0:
		return map[string]any{"type": g.pick("object", "array", "string", "number", "integer", "null", "boolean")}
	}
	return g.object(depth)
}

func (g *generator) object(depth int) map[string]any {
	s := map[string]any{}
	for range 1 + g.IntN(3) {
		g.keyword(s, depth)
	}
	return s
}

// below returns a schema for a part of the value, which may be any.
func (g *generator) below(depth int) any {
	def := g.def
	g.def = 0
	defer func() { g.def = def }()
	if g.IntN(4) == 0 {
		return map[string]any{"$ref": g.pick("#", "#/$defs/d0", "#/$defs/d1", "#/$defs/d2", "#/$defs/d3")}
	}
	return g.schema(depth)
}

func (g *generator) keyword(s map[string]any, depth int) {
	d := depth - 1
	list := func() []any { return []any{g.schema(d), g.schema(d)} }
	switch g.IntN(22) {
	case 0:
		s["type"] = []any{g.pick("object", "array", "string"), g.pick("number", "integer", "null", "boolean")}
	case 1:
		s["properties"] = map[string]any{"a": g.below(d), "b": g.below(d)}
	case 2:
		s["additionalProperties"] = g.below(d)
	case 3:
		s["patternProperties"] = map[string]any{"^[ab]$": g.below(d), "c": g.below(d)}
	case 4:
		s["propertyNames"] = map[string]any{g.pick("maxLength", "minLength").(string): 1}
	case 5:
		s["required"] = []any{g.pick("a", "b", "c")}
	case 6:
		s["dependentSchemas"] = map[string]any{"a": g.schema(d), "b": g.schema(d)}
	case 7:
		s["dependentRequired"] = map[string]any{"a": []any{"b"}}
	case 8:
		s["items"] = g.below(d)
	case 9:
		s["prefixItems"] = []any{g.below(d), g.below(d)}
	case 10:
		s["contains"] = g.below(d)
		if g.IntN(2) == 0 {
			s["minContains"] = g.IntN(3)
			s["maxContains"] = g.IntN(3)
		}
	case 11:
		s["uniqueItems"] = true
	case 12:
		s["unevaluatedProperties"] = g.below(d)
	case 13:
		s["unevaluatedItems"] = g.below(d)
	case 14:
		s[g.pick("allOf", "anyOf", "oneOf").(string)] = list()
	case 15:
		s["not"] = g.schema(d)
	case 16:
		s["if"], s["then"], s["else"] = g.schema(d), g.schema(d), g.schema(d)
	case 17:
		s["enum"] = []any{g.message(1), g.message(1), "a", 1.0}
	case 18:
		s["const"] = g.message(1)
	case 19:
		s[g.pick("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties").(string)] = g.IntN(3)
	case 20:
		s["multipleOf"] = 0.5
	case 21:
		if g.def < defs {
			s["$ref"] = fmt.Sprint("#/$defs/d", g.def+g.IntN(defs-g.def))
		}
	}
}

func (g *generator) pick(from ...any) any { return from[g.IntN(len(from))] }

func (g *generator) message(depth int) any {
	switch n := g.IntN(9); {
	case n < 3 || depth == 0:
		return g.pick("a", "b", "", "2026-11-23", json.Number("0"), json.Number("1"), json.Number("1.0"), json.Number("10e-1"), json.Number("0.25"), json.Number("-2"), nil, true, false)
	case n < 6:
		var list []any
		for range g.IntN(4) {
			list = append(list, g.message(depth-1))
		}
		return append([]any{}, list...)
	default:
		object := map[string]any{}
		for _, name := range []string{"a", "b", "c", "cc"} {
			if g.IntN(2) == 0 {
				object[name] = g.message(depth - 1)
			}
		}
		return object
	}
}

// TestCompiled_Check_dynamicScope has resources of their own, where $dynamicRef
// leads to different schemas depending on the way that leads to it.
func TestCompiled_Check_dynamicScope(t *testing.T) {
	const list = `"list":{"$id":"list","$defs":{"any":{"$dynamicAnchor":"T"}},"type":"array","items":{"$dynamicRef":"#T"}}`
	for _, tt := range []struct {
		schema  string
		message string
	}{
		{`{"$id":"https://a.test/strings","$ref":"list","$defs":{"s":{"$dynamicAnchor":"T","type":"string"},` + list + `}}`, `["a",1]`},
		{`{"$id":"https://a.test/strings","$ref":"list","$defs":{"s":{"$dynamicAnchor":"T","type":"string"},` + list + `}}`, `["a"]`},
		{`{"$id":"https://a.test/any","$ref":"list","$defs":{` + list + `}}`, `["a",1]`},
		{`{"$id":"https://a.test/both","properties":{"n":{"$id":"n","$ref":"list","$defs":{"n":{"$dynamicAnchor":"T","type":"number"}}},"l":{"$ref":"list"}},"$defs":{` + list + `}}`, `{"n":[1],"l":["a"]}`},
		{`{"$id":"https://a.test/both","properties":{"n":{"$id":"n","$ref":"list","$defs":{"n":{"$dynamicAnchor":"T","type":"number"}}},"l":{"$ref":"list"}},"$defs":{` + list + `}}`, `{"n":["a"],"l":["a"]}`},
		{`{"$id":"https://a.test/tree","$dynamicAnchor":"node","$ref":"open","unevaluatedProperties":false,"$defs":{"o":{"$id":"open","$dynamicAnchor":"node","properties":{"kids":{"items":{"$dynamicRef":"#node"}}}}}}`, `{"kids":[{"kids":[{"x":1}]}]}`},
		{`{"$id":"https://a.test/tree","$dynamicAnchor":"node","$ref":"open","unevaluatedProperties":false,"$defs":{"o":{"$id":"open","$dynamicAnchor":"node","properties":{"kids":{"items":{"$dynamicRef":"#node"}}}}}}`, `{"kids":[{"kids":[{}]}]}`},
		{`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, `{"properties":{"a":{"minLength":-1}}}`},
		{`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, `{"properties":{"a":{"minLength":1}}}`},
		{`{"$dynamicAnchor":"n","properties":{"next":{"$dynamicRef":"#n"},"v":{"type":"string"}}}`, `{"next":{"next":{"v":1}}}`},
	} {
		err := compiled(t, tt.schema).Check(t.Context(), "t", []byte(tt.message))
		if want := library(t, []byte(tt.schema))([]byte(tt.message)); (err == nil) != want {
			t.Errorf("%s, %s: got %v; the library finds it good: %t", tt.schema, tt.message, err, want)
		}
	}
}

// FuzzCompiled_Check_equal reads any JSON as a message and as a constant of a
// schema: they are equal, and as the library's reader sees them.
func FuzzCompiled_Check_equal(f *testing.F) {
	for _, seed := range []string{`{"a" : [1, -0.0e5, "\u00e9\"\\", true, null , {}],"":"x" }`, ` [ ] `, `[[],{"a":{}}]`, `"\ud800"`, `1E+2`, `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"a\n":0}`, "[1\n,\t2\r]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		if !json.Valid([]byte(data)) {
			return
		}
		c := schemas.NewCatalog(schemas.Limits{})
		if err := c.Put(define("c", `{"const":`+data+`}`)); err != nil {
			return // nothing that a schema may have in it
		}
		if err := c.For("c").Check(t.Context(), "t", []byte(data)); err != nil {
			t.Fatalf("%s does not equal itself: %v", data, err)
		}
		var v any
		decoder := json.NewDecoder(strings.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&v); err != nil {
			t.Fatal(err)
		}
		again, err := json.MarshalIndent(v, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.For("c").Check(t.Context(), "t", again); err != nil {
			t.Fatalf("%s does not equal %s: %v", data, again, err)
		}
	})
}
