package client

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// ErrNoSchema says that no JSON Schema can be derived from a Go type; the text
// names the part of it that is at fault. [TopicOf.WithSchema] is the way around.
var ErrNoSchema = errors.New("client: no schema for a type")

// maxTypeDepth bounds how deep a type is followed, such as a pointer type that is
// a pointer to itself.
const maxTypeDepth = 64

// keywords are the members of a JSON Schema. None: anything is good.
type keywords map[string]any

// schemaOf derives the schema of a type from what encoding/json makes of it.
func schemaOf(t reflect.Type) (json.RawMessage, error) {
	d := deriver{root: t, names: map[reflect.Type]string{}, defs: map[string]keywords{}}
	schema, err := d.body(t, t.String(), 0)
	if err != nil {
		return nil, err
	}
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		schema = orNull(schema)
	}
	if len(d.defs) > 0 {
		schema["$defs"] = d.defs
	}
	return json.Marshal(schema) // members in the order of their names
}

// deriver derives one schema.
type deriver struct {
	root  reflect.Type
	names map[reflect.Type]string // of the types under $defs
	defs  map[string]keywords
}

// of returns the schema of a value of type t. A named type with parts is referred
// to, so that it may have itself for a part and is written once. path says where
// it stands, for errors.
func (d *deriver) of(t reflect.Type, path string, depth int) (keywords, error) {
	if t == d.root && hasParts(t) {
		return keywords{"$ref": "#"}, nil
	}
	if t.Name() == "" || !hasParts(t) {
		return d.body(t, path, depth)
	}
	name, known := d.names[t]
	if !known {
		name = d.nameOf(t)
		d.names[t], d.defs[name] = name, nil // before its parts, which may refer to it
		schema, err := d.body(t, path, depth)
		if err != nil {
			return nil, err
		}
		d.defs[name] = schema
	}
	return keywords{"$ref": "#/$defs/" + name}, nil
}

// hasParts reports whether the schema of t is made of that of other types.
func hasParts(t reflect.Type) bool {
	if _, own := ownForm(t); own {
		return false
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
		return true
	}
	return false
}

// nameOf returns a name under $defs that needs no escape and is not taken.
func (d *deriver) nameOf(t reflect.Type) string {
	plain := strings.Map(func(r rune) rune {
		if r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '-'
	}, t.Name())
	name := plain
	for n := 2; ; n++ {
		if _, taken := d.defs[name]; !taken {
			return name
		}
		name = fmt.Sprintf("%s-%d", plain, n)
	}
}

// ownForm returns the schema of a type that writes its own JSON, or nil if that
// cannot be known, and whether t is such a type.
func ownForm(t reflect.Type) (keywords, bool) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return keywords{"type": "string", "format": "date-time"}, true
	case reflect.TypeFor[json.RawMessage]():
		return keywords{}, true
	case reflect.TypeFor[json.Number]():
		return keywords{"type": "number"}, true
	}
	writes := func(target reflect.Type) bool {
		return t.Kind() != reflect.Interface && (t.Implements(target) || reflect.PointerTo(t).Implements(target))
	}
	switch {
	case t.Kind() == reflect.Pointer: // what it points to decides
		return nil, false
	case writes(reflect.TypeFor[json.Marshaler]()):
		return nil, true
	case writes(reflect.TypeFor[encoding.TextMarshaler]()):
		return keywords{"type": "string"}, true
	}
	return nil, false
}

// body returns the schema of t itself, where of may return a reference to it.
func (d *deriver) body(t reflect.Type, path string, depth int) (keywords, error) {
	if depth++; depth > maxTypeDepth {
		return nil, fmt.Errorf("%w: %s is deeper than %d levels", ErrNoSchema, path, maxTypeDepth)
	}
	if schema, own := ownForm(t); own {
		if schema == nil {
			return nil, fmt.Errorf("%w: %s (%s) has a MarshalJSON of its own", ErrNoSchema, path, t)
		}
		return schema, nil
	}
	if schema, plain := plainForm(t); plain {
		return schema, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.nullable(t, path, depth)
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return keywords{}, nil
		}
		return nil, fmt.Errorf("%w: %s (%s) is an interface, and nothing can be decoded into it", ErrNoSchema, path, t)
	case reflect.Slice, reflect.Array:
		return d.list(t, path, depth)
	case reflect.Map:
		return d.object(t, path, depth)
	case reflect.Struct:
		return d.structure(t, path, depth)
	}
	return nil, fmt.Errorf("%w: %s (%s) has no JSON", ErrNoSchema, path, t)
}

// plainForm returns the schema of a type without parts, and whether t is one.
func plainForm(t reflect.Type) (keywords, bool) {
	switch t.Kind() {
	case reflect.Bool:
		return keywords{"type": "boolean"}, true
	case reflect.String:
		return keywords{"type": "string"}, true
	case reflect.Float32, reflect.Float64:
		return keywords{"type": "number"}, true
	case reflect.Int, reflect.Int64:
		return keywords{"type": "integer"}, true
	case reflect.Int8, reflect.Int16, reflect.Int32:
		half := int64(1) << (t.Bits() - 1)
		return keywords{"type": "integer", "minimum": -half, "maximum": half - 1}, true
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return keywords{"type": "integer", "minimum": 0}, true
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return keywords{"type": "integer", "minimum": 0, "maximum": int64(1)<<t.Bits() - 1}, true
	}
	return nil, false
}

// nullable returns the schema of a value that may be nil: null, or that of what
// is there.
func (d *deriver) nullable(t reflect.Type, path string, depth int) (keywords, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	schema, err := d.of(t, path, depth)
	return orNull(schema), err
}

// orNull returns the schema of what s is for, or null. s may be changed.
func orNull(s keywords) keywords {
	if s["$ref"] != nil {
		return keywords{"anyOf": []keywords{s, {"type": "null"}}}
	}
	if kind, single := s["type"].(string); single {
		s["type"] = []string{kind, "null"}
	}
	return s // anything, or with null already
}

// part is the schema of an element of a list or object, which is never left out.
func (d *deriver) part(t reflect.Type, path string, depth int) (keywords, error) {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		return d.nullable(t, path, depth)
	}
	return d.of(t, path, depth)
}

func (d *deriver) list(t reflect.Type, path string, depth int) (keywords, error) {
	elem := t.Elem()
	if _, own := ownForm(elem); t.Kind() == reflect.Slice && elem.Kind() == reflect.Uint8 && !own {
		return keywords{"type": "string", "contentEncoding": "base64"}, nil
	}
	items, err := d.part(elem, path+"[]", depth)
	if err != nil {
		return nil, err
	}
	schema := keywords{"type": "array", "items": items}
	if t.Kind() == reflect.Array {
		schema["minItems"], schema["maxItems"] = t.Len(), t.Len()
	}
	return schema, nil
}

func (d *deriver) object(t reflect.Type, path string, depth int) (keywords, error) {
	key := t.Key()
	_, whole := plainForm(key)
	text := key.Implements(reflect.TypeFor[encoding.TextMarshaler]())
	if !text && (!whole || key.Kind() == reflect.Bool || key.Kind() == reflect.Float32 || key.Kind() == reflect.Float64) {
		return nil, fmt.Errorf("%w: the keys of %s (%s) are no names of members", ErrNoSchema, path, t)
	}
	values, err := d.part(t.Elem(), path+"[]", depth)
	if err != nil {
		return nil, err
	}
	return keywords{"type": "object", "additionalProperties": values}, nil
}

func (d *deriver) structure(t reflect.Type, path string, depth int) (keywords, error) {
	properties, required := keywords{}, []string{}
	for _, f := range fieldsOf(t) {
		schema, err := d.field(f, path+"."+f.goName, depth)
		if err != nil {
			return nil, err
		}
		properties[f.name] = schema
		if !f.optional {
			required = append(required, f.name)
		}
	}
	schema := keywords{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema, nil
}

func (d *deriver) field(f field, path string, depth int) (keywords, error) {
	if f.quoted {
		return keywords{"type": "string"}, nil
	}
	switch f.of.Kind() {
	case reflect.Pointer:
		if f.omitted { // when it is nil
			return d.of(f.of.Elem(), path, depth)
		}
	case reflect.Slice, reflect.Map:
		if !f.omitted {
			return d.nullable(f.of, path, depth)
		}
	}
	return d.of(f.of, path, depth)
}
