package client

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// field is a member that encoding/json makes of a struct.
type field struct {
	name     string // of the member
	goName   string
	of       reflect.Type
	omitted  bool // when it is empty or zero
	optional bool // omitted, or a pointer, or inside of an embedded pointer
	quoted   bool // written as a string

	depth  int // of embedding
	tagged bool
}

// fieldsOf returns the members of a struct in the order of their names. Of
// several with one name encoding/json takes the least deep, of these the only one
// with a tag, and else none.
func fieldsOf(t reflect.Type) []field {
	all := gather(t, 0, false, map[reflect.Type]bool{})
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

// gather returns the fields of t and of the structs embedded in it. within holds
// the structs around it, which may embed each other by pointers.
func gather(t reflect.Type, depth int, optional bool, within map[reflect.Type]bool) []field {
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
		_, own := ownForm(elem)
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && elem.Kind() == reflect.Struct && !own:
			all = append(all, gather(elem, depth+1, optional || pointer, within)...)
		case f.IsExported():
			omitted := hasOption(options, "omitempty") && canBeEmpty(f.Type) || hasOption(options, "omitzero")
			all = append(all, field{
				name: cmp.Or(name, f.Name), goName: f.Name, of: f.Type, depth: depth, tagged: name != "",
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

// canBeEmpty reports whether omitempty has an effect.
func canBeEmpty(t reflect.Type) bool {
	return t.Kind() != reflect.Struct && (t.Kind() != reflect.Array || t.Len() == 0)
}

// isQuotable reports whether the option string has an effect.
func isQuotable(t reflect.Type) bool {
	_, plain := plainForm(t)
	return plain
}
