package client

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// field is a struct field that encoding/json encodes as a member of an object.
type field struct {
	name     string // the member's name
	goName   string
	typ      reflect.Type
	omitted  bool // left out if it is empty or zero
	optional bool // omitted, or a pointer, or in an embedded pointer
	quoted   bool // encoded as a string

	depth  int // levels of embedding
	tagged bool
}

// fieldsOf returns the fields of a struct, ordered by name. If several have the same name, it
// chooses like encoding/json: the one at the smallest depth; among several of those, the only
// one with a tag; otherwise none.
func fieldsOf(t reflect.Type) []field {
	all := allFields(t, 0, false, map[reflect.Type]bool{})
	slices.SortStableFunc(all, func(a, b field) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.depth, b.depth), compareTrueFirst(a.tagged, b.tagged))
	})
	var kept []field
	for i := 0; i < len(all); {
		next := i + 1
		for next < len(all) && all[next].name == all[i].name {
			next++
		}
		if first := all[i]; next == i+1 || all[i+1].depth > first.depth || first.tagged && !all[i+1].tagged {
			kept = append(kept, first)
		}
		i = next
	}
	return kept
}

func compareTrueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// allFields returns the fields of t and of the structs embedded in it. within contains the
// structs around t, because structs can embed each other through pointers.
func allFields(t reflect.Type, depth int, optional bool, within map[reflect.Type]bool) []field {
	if within[t] {
		return nil
	}
	within[t] = true
	defer delete(within, t)
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		elem, pointer := f.Type, f.Type.Kind() == reflect.Pointer
		if pointer {
			elem = elem.Elem()
		}
		_, own := ownSchema(elem)
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && elem.Kind() == reflect.Struct && !own:
			all = append(all, allFields(elem, depth+1, optional || pointer, within)...)
		case f.IsExported():
			omitted := hasOption(options, "omitempty") && canBeEmpty(f.Type) || hasOption(options, "omitzero")
			all = append(all, field{
				name: cmp.Or(name, f.Name), goName: f.Name, typ: f.Type, depth: depth, tagged: name != "",
				omitted: omitted, optional: optional || omitted || pointer,
				quoted: hasOption(options, "string") && isQuotable(elem),
			})
		}
	}
	return all
}

func hasOption(options, option string) bool {
	return slices.Contains(strings.Split(options, ","), option)
}

// canBeEmpty reports whether omitempty has an effect on a field of type t.
func canBeEmpty(t reflect.Type) bool {
	return t.Kind() != reflect.Struct && (t.Kind() != reflect.Array || t.Len() == 0)
}

// isQuotable reports whether the option string has an effect on a field of type t.
func isQuotable(t reflect.Type) bool {
	_, basic := basicSchema(t)
	return basic
}
