package schemas

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// schema is a compiled JSON Schema of draft 2020-12. Formats are asserted,
// patterns are RE2, numbers are compared exactly.
type schema struct {
	compiled *jsonschema.Schema
}

// schemaURL is the base that a schema's references are resolved against. It is
// absolute, or the library would make it a path of this machine.
const schemaURL = "sluice:///schema"

const draftURL = "https://json-schema.org/draft/2020-12/schema"

// noLoader keeps the compiler from reading anything beyond the schema itself.
type noLoader struct{}

var errOutside = errors.New("outside the schema")

func (noLoader) Load(string) (any, error) { return nil, errOutside }

// compileSchema compiles raw, which must be one JSON value.
func compileSchema(raw []byte) (*schema, []FieldError) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, []FieldError{{"", "is not JSON"}}
	}
	if object, ok := doc.(map[string]any); ok {
		if draft, ok := object["$schema"]; ok && draft != draftURL && draft != draftURL+"#" {
			return nil, []FieldError{{"/$schema", "is not " + draftURL + ", the only draft that is supported"}}
		}
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, compileFaults(err)
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return nil, compileFaults(err)
	}
	return &schema{compiled}, nil
}

// compileFaults puts an error of the compiler into words.
func compileFaults(err error) []FieldError {
	var (
		load    *jsonschema.LoadURLError
		meta    *jsonschema.SchemaValidationError
		regex   *jsonschema.InvalidRegexError
		pointer *jsonschema.JSONPointerNotFoundError
		anchor  *jsonschema.AnchorNotFoundError
	)
	detail := "does not compile: " + clip(strings.ReplaceAll(err.Error(), schemaURL, ""))
	switch {
	case errors.As(err, &load):
		detail = fmt.Sprintf("refers to %q: references are resolved within the schema only", clip(load.URL))
	case errors.As(err, &meta):
		var violation *jsonschema.ValidationError
		if errors.As(meta.Err, &violation) {
			return (&leaves{}).of(violation, "")
		}
	case errors.As(err, &regex):
		detail = fmt.Sprintf("has a pattern that is not RE2: %q", clip(regex.Regex))
	case errors.As(err, &pointer):
		detail = fmt.Sprintf("refers to %q, which is not there", clip(strings.TrimPrefix(pointer.URL, schemaURL)))
	case errors.As(err, &anchor):
		detail = fmt.Sprintf("refers to %q, which is not there", clip(strings.TrimPrefix(anchor.Reference, schemaURL)))
	}
	return []FieldError{{"", detail}}
}

// check returns the faults of data in no order.
func (s *schema) check(data []byte) []FieldError {
	depth, oddNumber := skim(data)
	if depth > maxMessageDepth {
		return []FieldError{{"", fmt.Sprintf("is nested more than %d levels deep", maxMessageDepth)}}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return []FieldError{{"", "is not JSON"}}
	}
	if oddNumber {
		if faults := numberFaults(value, nil); len(faults) > 0 {
			return faults
		}
	}
	var violation *jsonschema.ValidationError
	if !errors.As(s.compiled.Validate(value), &violation) {
		return nil
	}
	return (&leaves{}).of(violation, "")
}

// leaves gathers the errors that have no further cause.
type leaves struct {
	faultList
}

func (l *leaves) of(e *jsonschema.ValidationError, alternative string) []FieldError {
	l.walk(e, alternative)
	return l.faults
}

func (l *leaves) walk(e *jsonschema.ValidationError, alternative string) {
	at := pointerTo(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		l.alternatives(e, "anyOf", at)
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			l.add(at, "matches alternatives %d and %d of oneOf, only one is allowed%s", k.Subschemas[0]+1, k.Subschemas[1]+1, alternative)
			return
		}
		l.alternatives(e, "oneOf", at)
	case *kind.Contains, *kind.MinContains:
		l.leaf(e.ErrorKind, at, alternative) // why each item does not match is of no use
	case *kind.Required:
		l.missing(k.Missing, at, "", alternative)
	case *kind.DependentRequired:
		l.missing(k.Missing, at, fmt.Sprintf(", which is required beside %q", clip(k.Prop)), alternative)
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			l.add(pointerTo(append(e.InstanceLocation[:len(e.InstanceLocation):len(e.InstanceLocation)], name)),
				"is not an allowed property%s", alternative)
		}
	case *kind.PropertyNames:
		l.propertyNames(k.Property, e, alternative)
	default:
		if len(e.Causes) == 0 {
			l.leaf(e.ErrorKind, at, alternative)
		}
		for _, cause := range e.Causes {
			l.walk(cause, alternative)
		}
	}
}

// propertyNames reports faults below the top at the top: the library keeps their
// location in memory that it goes on to use (v6.0.3), so that it may have become
// that of another value.
func (l *leaves) propertyNames(name string, e *jsonschema.ValidationError, alternative string) {
	var names leaves
	for _, cause := range e.Causes {
		names.walk(cause, "")
	}
	for _, f := range names.faults {
		l.add("", "has a property %q whose name %s%s", clip(name), f.Detail, alternative)
	}
}

// alternatives names the branch that each fault belongs to: of branches that
// contradict each other, only one has to be satisfied.
func (l *leaves) alternatives(e *jsonschema.ValidationError, keyword, at string) {
	if len(e.Causes) == 0 {
		l.add(at, "matches no alternative of %s", keyword)
	}
	for i, cause := range e.Causes {
		l.walk(cause, fmt.Sprintf(" (alternative %d of %s)", i+1, keyword))
	}
}

func (l *leaves) missing(names []string, at, why, alternative string) {
	for _, name := range names {
		l.add(at, "property %q is missing%s%s", clip(name), why, alternative)
	}
}

func (l *leaves) leaf(k jsonschema.ErrorKind, at, alternative string) {
	l.add(at, "%s%s", describe(k), alternative)
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
