package schemas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// hostile returns schemas and messages whose check would take hours or gigabytes
// if it did all that they say. A message of 60 KiB is the largest by default.
func hostile() []struct{ name, schema, message string } {
	const size = 58 << 10
	deep := func(levels int, inner string) string {
		return strings.Repeat(`{"arg":`, levels) + inner + strings.Repeat(`}`, levels)
	}
	list := func(item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", size/(len(item)+1)), ",") + "]"
	}
	union := func(keyword string) string {
		return `{"` + keyword + `":[{"type":"number"},{"type":"object","required":["arg"],"properties":{"arg":{"$ref":"#"}}},{"type":"object","properties":{"arg":{"$ref":"#"},"x":true}}]}`
	}
	dag := func(n int, a, b, leaf string) string {
		var all []string
		for i := range n {
			ref := fmt.Sprintf(`{"$ref":"#/$defs/a%d"}`, i+1)
			all = append(all, fmt.Sprintf(`"a%d":{%s}`, i, fmt.Sprintf(a, ref)+","+fmt.Sprintf(b, ref)))
		}
		return `{"$ref":"#/$defs/a0","unevaluatedProperties":false,"unevaluatedItems":false,"$defs":{` + strings.Join(all, ",") + fmt.Sprintf(`,"a%d":%s}}`, n, leaf)
	}
	many := func(n int, f string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(f, i))
		}
		return strings.Join(all, ",")
	}
	names := "{" + many(4000, `"name%d":1`) + "}"
	return []struct{ name, schema, message string }{
		{"union, bad", union("anyOf"), deep(60, `"x"`)},
		{"union, good", union("anyOf"), deep(60, `1`)},
		{"exclusive union, bad", union("oneOf"), deep(60, `"x"`)},
		{"exclusive union, good", union("oneOf"), deep(60, `1`)},
		{"not not", `{"properties":{"arg":{"not":{"$ref":"#"}}},"anyOf":[{"not":{"$ref":"#/$defs/n"}},{"$ref":"#/$defs/n"}],"$defs":{"n":{"properties":{"arg":{"$ref":"#"}}}}}`, deep(60, `1`)},
		{"if", `{"if":{"properties":{"arg":{"$ref":"#"}}},"then":{"properties":{"arg":{"$ref":"#"}}},"else":{"properties":{"arg":{"$ref":"#"}},"required":["z"]}}`, deep(60, `1`)},
		{"contains", `{"contains":{"$ref":"#"},"items":{"$ref":"#"},"unevaluatedItems":{"$ref":"#"}}`, strings.Repeat("[", 60) + "1" + strings.Repeat("]", 60)},
		{"dependent schemas", `{"dependentSchemas":{"arg":{"properties":{"arg":{"$ref":"#"}}}},"properties":{"arg":{"$ref":"#"}},"patternProperties":{"^a":{"$ref":"#"},"g$":{"$ref":"#"}}}`, deep(60, `1`)},
		{"unevaluated", `{"unevaluatedProperties":{"$ref":"#"},"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}],"$defs":{"a":{"not":{"properties":{"arg":{"$ref":"#"}}}},"b":{"if":{"properties":{"arg":{"$ref":"#"}}},"then":true}}}`, deep(60, `1`)},
		{"references, good", dag(60, `"allOf":[%s]`, `"anyOf":[%s]`, `true`), `1`},
		{"references, bad", dag(60, `"allOf":[%s]`, `"oneOf":[%s]`, `false`), `{"a":1}`},
		{"references, unevaluated", dag(60, `"allOf":[%s]`, `"anyOf":[%s]`, `{"properties":{"a":true}}`), `{"a":1,"b":[]}`},
		{"references, not", dag(61, `"not":%s`, `"if":%s`, `false`), `[1,2]`},
		{"references and items", dag(40, `"items":%s`, `"contains":%s`, `{"type":"string"}`), strings.Repeat("[", 50) + strings.Repeat("]", 50)},
		{"references and names", dag(40, `"propertyNames":%s`, `"dependentSchemas":{"a":%s}`, `{"maxLength":0}`), `{"a":1,"b":2}`},
		{"wrong items", `{"items":{"type":"string"}}`, list("1")},
		{"wrong members", `{"additionalProperties":{"type":"string"}}`, names},
		{"members that are not allowed", `{"additionalProperties":false}`, names},
		{"missing members", `{"required":[` + many(9000, `"name%d"`) + `]}`, `{}`},
		{"many schemas, many items", `{"items":{"allOf":[` + many(4000, `{"minimum":-%d}`) + `]}}`, list("1")},
		{"many alternatives, many items", `{"items":{"anyOf":[` + many(4000, `{"const":"%d"}`) + `]}}`, list("1")},
		{"constants, large values", `{"anyOf":[` + many(3000, `{"const":[%d]}`) + `]}`, list("1")},
		{"many patterns", `{"patternProperties":{` + many(1000, `"x%d(a|b)*c":true`) + `}}`, names},
		{"a pattern of many states", `{"pattern":"(a?b?){500}$"}`, `"` + strings.Repeat("ab", size/2) + `c"`},
		{"patterns of many states", `{"allOf":[` + many(100, `{"pattern":"(a|ab|b?){20}(c|%d){5}$"}`) + `]}`, `"` + strings.Repeat("ab", size/2) + `"`},
		{"equal items", `{"uniqueItems":true}`, list(`{"a":[1,2],"b":"x"}`)},
		{"unique items at each level", `{"$ref":"#/$defs/u","$defs":{"u":{"uniqueItems":true,"items":{"$ref":"#/$defs/u"}}}}`, strings.Repeat("[", 60) + list("1") + strings.Repeat("]", 60)},
		{"exponents", `{"items":{"multipleOf":1e-999,"minimum":-1e1000,"maximum":1e1000}}`, list("1e1000")},
		{"long numbers", `{"items":{"multipleOf":3}}`, list(strings.Repeat("7", 1000))},
		{"patterns in the message", `{"items":{"format":"regex"}}`, `["` + strings.Repeat(`\\pL`, size/5) + `"]`},
		{"many references to go through", dag(1200, `"$comment":%q`, `"allOf":[%s]`, `true`), `1`},
	}
}

// TestCompiled_Check_hostile ends: whatever a schema says and a message is, checking
// takes a bounded number of steps, and tells a bounded number of faults.
func TestCompiled_Check_hostile(t *testing.T) {
	for _, tt := range hostile() {
		t.Run(tt.name, func(t *testing.T) {
			c := schemas.NewCatalog(schemas.Limits{})
			if err := c.Put(define("c", tt.schema)); err != nil {
				t.Fatal(err)
			}
			err := c.For("c").Check(t.Context(), "t", []byte(tt.message))
			var v *schemas.Violation
			switch {
			case err == nil || errors.Is(err, schemas.ErrTooMuchWork):
			case !errors.As(err, &v) || len(v.Errors) == 0 || len(v.Errors) > 32 || len(err.Error()) > 8<<10:
				t.Errorf("got %.300v", err)
			}
		})
	}
}

// TestCompiled_Check_outcomes says what becomes of some of them: recursion over data
// of many levels is cheap, and what is really too much says so.
func TestCompiled_Check_outcomes(t *testing.T) {
	want := map[string]string{
		"union, good": "", "union, bad": "violation", "exclusive union, bad": "violation",
		"references, good": "", "references, bad": "violation", "wrong items": "violation", "missing members": "violation",
		"many schemas, many items": "work", "patterns of many states": "work", "constants, large values": "work",
	}
	for _, tt := range hostile() {
		kind, ok := want[tt.name]
		if !ok {
			continue
		}
		err := compiled(t, tt.schema).Check(t.Context(), "t", []byte(tt.message))
		if (err == nil) != (kind == "") || errors.Is(err, schemas.ErrTooMuchWork) != (kind == "work") || errors.Is(err, schemas.ErrSchemaViolation) != (kind == "violation") {
			t.Errorf("%s: got %.200v, want %q", tt.name, err, kind)
		}
	}
}

// TestCompiled_Check_cancelled ends with its context, in the middle of much work.
func TestCompiled_Check_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range hostile() {
		if tt.name != "many schemas, many items" {
			continue
		}
		if err := compiled(t, tt.schema).Check(ctx, "t", []byte(tt.message)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// TestCatalog_Put_hostile compiles within bounds, too: the faults of a schema are
// as bounded as those of a message, and what compiling takes is bounded.
func TestCatalog_Put_hostile(t *testing.T) {
	list := func(n int, item string) string {
		return strings.TrimSuffix(strings.Repeat(item+",", n), ",")
	}
	members := func(n int, item string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"a%d":`+item, i))
		}
		return strings.Join(all, ",")
	}
	large := `{"enum":[` + list(9000, "1") + `]}`
	for _, tt := range []struct {
		name    string
		schemas []string // one for each topic
		want    string   // part of the error
	}{
		{"wrong schemas far down", []string{strings.Repeat(`{"anyOf":[`, 31) + list(9000, "1") + strings.Repeat(`]}`, 31)}, "is a number, must be a boolean or an object"},
		{"wrong schemas side by side", []string{`{"properties":{` + members(9000, "1") + `}}`}, "is a number, must be a boolean or an object"},
		{"wrong in many ways", []string{`{"allOf":[` + list(1500, `{"type":1,"minLength":"x","$ref":2}`) + `]}`}, ""},
		{"large patterns", []string{`{"properties":{` + members(2000, `{"pattern":"(((a{1,10}){1,10}){1,10}%[1]d)"}`) + `}}`}, "makes the patterns of the definition too large"},
		{"large patterns of names", []string{`{"patternProperties":{` + members(100, `true,"(a{1,999}|%[1]d)":true`) + `}}`}, "makes the patterns of the definition too large"},
		{"large patterns of topics", []string{`{"pattern":"(a{1,1000}){1,1}b{1,990}c{900}.{900}[a-z]{900}"}`, `{"pattern":"` + strings.Repeat("(x{1000})", 40) + `"}`, `{"pattern":"` + strings.Repeat("(y{1000})", 40) + `"}`}, "makes the patterns of the definition too large"},
		{"large classes", []string{`{"pattern":"` + strings.Repeat(`\\pL`, 5000) + `"}`}, "makes the patterns of the definition too large"},
		{"many topics", []string{large, large, large}, "at most 20000 values are allowed together"},
		{"two topics", []string{large, large}, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			def := schemas.Definition{Name: "c", Topics: map[string]schemas.TopicDefinition{}}
			for i, schema := range tt.schemas {
				def.Topics[fmt.Sprint("t", i)] = schemas.TopicDefinition{Schema: []byte(schema)}
			}
			err := schemas.NewCatalog(schemas.Limits{}).Put(def)
			if tt.want == "none" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var bad *schemas.DefinitionError
			if !errors.As(err, &bad) || !errors.Is(err, schemas.ErrBadSchema) || !strings.Contains(err.Error(), tt.want) || len(bad.Errors) > 33 {
				t.Errorf("got %.300v", err)
			}
		})
	}
}

// TestParseDefinition_manyFaults reads documents that have more faults than bytes
// would pay for, with pointers that are long: few are told, with short ones.
func TestParseDefinition_manyFaults(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	twice := strings.TrimSuffix(strings.Repeat(`"a":1,`, 20_000), ",")
	var unknown []string
	for i := range 20_000 {
		unknown = append(unknown, fmt.Sprintf(`"a%d":1`, i))
	}
	all := strings.Join(unknown, ",")
	for name, document := range map[string]string{
		"members twice":                `{` + twice + `}`,
		"members twice far down":       `{"` + long + `":{` + twice + `}}`,
		"unknown members":              `{` + all + `}`,
		"topics":                       `{"topics":{` + all + `}}`,
		"unknown members of a topic":   `{"topics":{"` + long + `":{` + all + `}}}`,
		"bad names of topics":          `{"topics":{` + strings.ReplaceAll(all, `"a`, `"$`) + `}}`,
		"bad schemas":                  `{"topics":{` + strings.ReplaceAll(all, `:1`, `:{"schema":{"type":1}}`) + `}}`,
		"a bad schema of a bad topic":  `{"topics":{"` + long + `":{"schema":{"allOf":[` + strings.TrimSuffix(strings.Repeat("1,", 5000), ",") + `]}}}}`,
		"members twice in a schema":    `{"topics":{"t":{"schema":{"const":{"` + long + `":{` + twice + `}}}}}}`,
		"numbers that are not allowed": `{"` + long + `":[` + strings.TrimSuffix(strings.Repeat("1e9999,", 10_000), ",") + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schemas.ParseDefinition("c", []byte(document))
			var bad *schemas.DefinitionError
			if !errors.As(err, &bad) || len(bad.Errors) == 0 || len(bad.Errors) > 100 || len(err.Error()) > 16<<10 {
				t.Fatalf("got %.300v", err)
			}
			for _, f := range bad.Errors[1:] {
				if len(f.Pointer) > 600 {
					t.Fatalf("a pointer of %d bytes", len(f.Pointer))
				}
			}
		})
	}
}
