package strictjson

import (
	"bytes"
	"iter"
	"slices"
	"strings"
)

// Members yields the members of an object in their order, also those that are there
// twice: what each name says, and its value as it is written. The object must be valid
// JSON; a value of another kind has no members. Names and values are parts of object,
// and values have no room to grow.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) { eachMember(object, yield) }
}

// eachMember is a function of its own so that loops in other packages inline no more
// than the call: they would move the scanner to the heap.
func eachMember(object []byte, yield func(name, value []byte) bool) {
	s := NewScanner(object)
	if s.Kind() != Object {
		return
	}
	for s.More() {
		name := s.Name()
		if !yield(name, slices.Clip(s.Skip())) {
			return
		}
	}
}

// Items yields the values of an array. As with [Members], they are parts of it, and a
// value of another kind has none.
func Items(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { eachItem(array, yield) }
}

func eachItem(array []byte, yield func([]byte) bool) {
	s := NewScanner(array)
	if s.Kind() != Array {
		return
	}
	for s.More() {
		if !yield(slices.Clip(s.Skip())) {
			return
		}
	}
}

// Text returns what a string says. The string must be valid JSON.
func Text(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		return unescape(quoted)
	}
	return string(quoted[1 : len(quoted)-1])
}

// Pointer returns the JSON Pointer, RFC 6901, of the member with that name in the
// value at the pointer parent. The pointer of a whole document is "".
func Pointer(parent, name string) string {
	name = strings.ReplaceAll(name, "~", "~0") // first: what the next line adds stays
	return parent + "/" + strings.ReplaceAll(name, "/", "~1")
}
