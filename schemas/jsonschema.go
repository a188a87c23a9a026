package schemas

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// schema is a compiled JSON Schema of draft 2020-12. Formats are asserted,
// patterns are RE2, numbers are compared exactly. The library compiles it; the
// checking is done here, where it can be bounded.
type schema struct {
	rule *rule
}

// schemaURL is the base that a schema's references are resolved against. It is
// absolute, or the library would make it a path of this machine.
const schemaURL = "sluice:///schema"

const draftURL = "https://json-schema.org/draft/2020-12/schema"

// noLoader keeps the compiler from reading anything beyond the schema itself.
type noLoader struct{}

var errOutside = errors.New("outside the schema")

func (noLoader) Load(string) (any, error) { return nil, errOutside }

// schemaCompiler compiles the schemas of one definition, within bounds for all of
// them together.
type schemaCompiler struct {
	values   int
	patterns patterns
}

// compile compiles raw, which must be one JSON value.
func (sc *schemaCompiler) compile(raw []byte) (*schema, []FieldError) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, []FieldError{{"", "is not JSON"}}
	}
	if object, ok := doc.(map[string]any); ok {
		if draft, ok := object["$schema"]; ok && draft != draftURL && draft != draftURL+"#" {
			return nil, []FieldError{{"/$schema", "is not " + draftURL + ", the only draft that is supported"}}
		}
	}
	if faults, err := evaluate(context.Background(), draftRule(), raw, timesForSchema); err != nil || len(faults) > 0 {
		if err != nil {
			faults = []FieldError{{"", "takes too much work to check"}}
		}
		return nil, faults
	}
	c := newCompiler(&sc.patterns)
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, compileFaults(err)
	}
	compiled, err := c.Compile(schemaURL)
	if sc.patterns.size > maxPatterns {
		return nil, []FieldError{{"", fmt.Sprintf("makes the patterns of the definition too large: at most %d characters and classes are allowed together; a repetition counts as often as it may happen", maxPatterns)}}
	}
	if err != nil {
		return nil, compileFaults(err)
	}
	return sc.rules(c, compiled, doc)
}

// rules makes the rules of what the library has compiled.
func (*schemaCompiler) rules(c *jsonschema.Compiler, compiled *jsonschema.Schema, doc any) (*schema, []FieldError) {
	var b ruler
	root := b.of(compiled)
	if b.dynamic {
		for _, at := range anchored(doc, "", nil) {
			if target, err := c.Compile(schemaURL + "#" + (&url.URL{Fragment: at}).EscapedFragment()); err == nil {
				b.of(target)
			}
		}
	}
	if b.draft != nil {
		return nil, []FieldError{{"", fmt.Sprintf("refers to %q, which is of another draft", clip(b.draft.Location))}}
	}
	b.scope()
	return &schema{root}, nil
}

// anchored appends where a $dynamicAnchor stands: nothing but the dynamic scope may
// lead there.
func anchored(doc any, at string, found []string) []string {
	switch doc := doc.(type) {
	case map[string]any:
		if _, ok := doc["$dynamicAnchor"].(string); ok {
			found = append(found, at)
		}
		for name, part := range doc {
			found = anchored(part, strictjson.Pointer(at, name), found)
		}
	case []any:
		for i, part := range doc {
			found = anchored(part, strictjson.Pointer(at, strconv.Itoa(i)), found)
		}
	}
	return found
}

// timesForSchema is how much more than a message a schema may take to check: each
// of its values is held to every part of the draft.
const timesForSchema = 8

// draftRule returns what schemas are held to.
//
//nolint:gochecknoglobals // it is made once and never changes
var draftRule = sync.OnceValue(func() *rule {
	compiled, err := newCompiler(new(patterns)).Compile(draftURL)
	if err != nil {
		panic("schemas: the draft does not compile: " + err.Error()) // the library brings it
	}
	var b ruler
	root := b.of(compiled)
	b.scope()
	return root
})

func newCompiler(found *patterns) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(found.compile)
	return c
}

// compileFaults puts an error of the compiler into words.
func compileFaults(err error) []FieldError {
	var (
		load    *jsonschema.LoadURLError
		regex   *jsonschema.InvalidRegexError
		pointer *jsonschema.JSONPointerNotFoundError
		anchor  *jsonschema.AnchorNotFoundError
	)
	detail := "does not compile: " + clip(strings.ReplaceAll(err.Error(), schemaURL, ""))
	switch {
	case errors.As(err, &load):
		detail = fmt.Sprintf("refers to %q: references are resolved within the schema only", clip(load.URL))
	case errors.As(err, &regex):
		detail = fmt.Sprintf("has a pattern that is not RE2: %q", clip(regex.Regex))
	case errors.As(err, &pointer):
		detail = fmt.Sprintf("refers to %q, which is not there", clip(strings.TrimPrefix(pointer.URL, schemaURL)))
	case errors.As(err, &anchor):
		detail = fmt.Sprintf("refers to %q, which is not there", clip(strings.TrimPrefix(anchor.Reference, schemaURL)))
	}
	return []FieldError{{"", detail}}
}

// check returns the faults of data, at most one more than are told.
func (s *schema) check(ctx context.Context, data []byte) ([]FieldError, error) {
	if strictjson.Depth(data) > maxMessageDepth {
		return []FieldError{{"", fmt.Sprintf("is nested more than %d levels deep", maxMessageDepth)}}, nil
	}
	if !json.Valid(data) {
		return []FieldError{{"", "is not JSON"}}, nil
	}
	return evaluate(ctx, s.rule, data, 1)
}

// evaluate checks valid JSON against a rule, with so many times the work that is
// allowed for a message of its size.
func evaluate(ctx context.Context, r *rule, data []byte, times int) ([]FieldError, error) {
	in := newValueReader(string(data))
	v := in.value()
	e := &evaluation{work: workFor(ctx, len(data), times), next: in.next, dependsOn: nothing}
	if in.odd {
		e.numberFaults(&v, place{})
		return e.faults, nil
	}
	if e.holds(r, &v, nil) && e.err == nil {
		return nil, nil
	}
	if e.err != nil {
		return nil, e.err
	}
	e.work = workFor(ctx, len(data), times) // a message that is bad for certain is told why
	e.explain(r, &v, place{})
	if len(e.faults) == 0 && e.err == nil {
		e.fault(place{}, "does not match the schema")
	}
	if len(e.faults) > 0 && errors.Is(e.err, ErrTooMuchWork) {
		return e.faults, nil
	}
	return e.faults, e.err
}

// describe says what is wrong without repeating the value that is.
func describe(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("is %s, must be %s", article(k.Got), alternativesOf(k.Want, article))
	case *kind.Enum:
		return "must be one of " + alternativesOf(k.Want, literal)
	case *kind.Const:
		return "must be " + literal(k.Want)
	case *kind.Format:
		return fmt.Sprintf("is not a valid %s", clip(k.Want))
	case *kind.Pattern:
		return fmt.Sprintf("does not match the pattern %q", clip(k.Want))
	case *kind.MinLength:
		return fmt.Sprintf("has %s, at least %d required", count(k.Got, "character"), k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %s, at most %d allowed", count(k.Got, "character"), k.Want)
	case *kind.FalseSchema:
		return "is not allowed here"
	case *kind.Not:
		return "is what the schema excludes (not)"
	case *kind.RefCycle:
		return "cannot be checked: the schema refers to itself without end"
	}
	return cmp.Or(describeNumber(k), describeArray(k), describeObject(k), "does not match the schema")
}

func describeNumber(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return "must be at least " + decimal(k.Want)
	case *kind.Maximum:
		return "must be at most " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + decimal(k.Want)
	}
	return ""
}

func describeArray(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinItems:
		return fmt.Sprintf("has %s, at least %d required", count(k.Got, "item"), k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %s, at most %d allowed", count(k.Got, "item"), k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("has equal items, %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "has no item that matches contains"
	case *kind.MinContains:
		return fmt.Sprintf("has %s matching contains, at least %d required", count(len(k.Got), "item"), k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("has %s matching contains, at most %d allowed", count(len(k.Got), "item"), k.Want)
	}
	return ""
}

func describeObject(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinProperties:
		return fmt.Sprintf("has %d properties, at least %d required", k.Got, k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has %d properties, at most %d allowed", k.Got, k.Want)
	}
	return ""
}
