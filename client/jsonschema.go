package client

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// maxTypeDepth limits the depth of a type. A type like "type P *P" would have no end.
const maxTypeDepth = 64

// keywords are the members of a JSON Schema. The empty schema allows any value.
type keywords map[string]any

// schemaOf derives the schema of a type from how encoding/json encodes it.
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
	return json.Marshal(schema) // orders members by name
}

// deriver derives the schema of one type, root.
type deriver struct {
	root  reflect.Type
	names map[reflect.Type]string // names of the types under $defs
	defs  map[string]keywords
}

// of returns the schema of a value of type t. A named composite type becomes a reference to
// $defs, so that it is written once and may contain itself. path is the place of the value,
// for errors.
func (d *deriver) of(t reflect.Type, path string, depth int) (keywords, error) {
	if t == d.root && isComposite(t) {
		return keywords{"$ref": "#"}, nil
	}
	if t.Name() == "" || !isComposite(t) {
		return d.body(t, path, depth)
	}
	name, known := d.names[t]
	if !known {
		name = d.nameOf(t)
		d.names[t], d.defs[name] = name, nil // reserved first, because its parts may refer to it
		schema, err := d.body(t, path, depth)
		if err != nil {
			return nil, err
		}
		d.defs[name] = schema
	}
	return keywords{"$ref": "#/$defs/" + name}, nil
}

// isComposite reports whether the schema of t contains schemas of other types.
func isComposite(t reflect.Type) bool {
	if _, own := ownSchema(t); own {
		return false
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
		return true
	}
	return false
}

// nameOf returns a name for t under $defs that is unused and needs no escaping.
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

// ownSchema reports whether t is a type with its own JSON encoding, and returns its schema,
// or nil if that is unknown.
func ownSchema(t reflect.Type) (keywords, bool) {
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
	case t.Kind() == reflect.Pointer: // its element type decides
		return nil, false
	case writes(reflect.TypeFor[json.Marshaler]()):
		return nil, true
	case writes(reflect.TypeFor[encoding.TextMarshaler]()):
		return keywords{"type": "string"}, true
	}
	return nil, false
}

// body returns the schema of t itself, whereas of may return a reference to it.
func (d *deriver) body(t reflect.Type, path string, depth int) (keywords, error) {
	if depth++; depth > maxTypeDepth {
		return nil, fmt.Errorf("%w: %s is deeper than %d levels", ErrNoSchema, path, maxTypeDepth)
	}
	if schema, own := ownSchema(t); own {
		if schema == nil {
			return nil, fmt.Errorf("%w: %s (%s) has its own MarshalJSON", ErrNoSchema, path, t)
		}
		return schema, nil
	}
	if schema, basic := basicSchema(t); basic {
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
	return nil, fmt.Errorf("%w: %s (%s) cannot be encoded as JSON", ErrNoSchema, path, t)
}

// basicSchema reports whether t is a boolean, string or number, and returns its schema.
func basicSchema(t reflect.Type) (keywords, bool) {
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

// nullable returns the schema of a value of type t that may be nil. For a pointer, that is the
// schema of its element, or null.
func (d *deriver) nullable(t reflect.Type, path string, depth int) (keywords, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	schema, err := d.of(t, path, depth)
	return orNull(schema), err
}

// orNull returns a schema that allows null as well. It may change s.
func orNull(s keywords) keywords {
	if s["$ref"] != nil {
		return keywords{"anyOf": []keywords{s, {"type": "null"}}}
	}
	if kind, single := s["type"].(string); single {
		s["type"] = []string{kind, "null"}
	}
	return s // it allows null already
}

// part returns the schema of an element of a list or map, which is never omitted.
func (d *deriver) part(t reflect.Type, path string, depth int) (keywords, error) {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		return d.nullable(t, path, depth)
	}
	return d.of(t, path, depth)
}

func (d *deriver) list(t reflect.Type, path string, depth int) (keywords, error) {
	elem := t.Elem()
	if _, own := ownSchema(elem); t.Kind() == reflect.Slice && elem.Kind() == reflect.Uint8 && !own {
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
	_, basic := basicSchema(key)
	text := key.Implements(reflect.TypeFor[encoding.TextMarshaler]())
	if !text && (!basic || key.Kind() == reflect.Bool || key.Kind() == reflect.Float32 || key.Kind() == reflect.Float64) {
		return nil, fmt.Errorf("%w: the keys of %s (%s) cannot be names of members", ErrNoSchema, path, t)
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
	switch f.typ.Kind() {
	case reflect.Pointer:
		if f.omitted { // so it is never encoded as null
			return d.of(f.typ.Elem(), path, depth)
		}
	case reflect.Slice, reflect.Map:
		if !f.omitted {
			return d.nullable(f.typ, path, depth)
		}
	}
	return d.of(f.typ, path, depth)
}
