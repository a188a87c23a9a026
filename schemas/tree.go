package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// node is one value of a document, JSON or YAML, with the order of its members
// kept. Names are unique within an object.
type node struct {
	kind  strictjson.Kind
	text  string   // of a string, a number (as JSON writes it) or a boolean
	names []string // of an object's members, beside items
	items []*node  // of an object or an array
	spot  spot     // in YAML; else zero
}

// spot is where a value of a document begins or, in a mapping, its name; counted from 1.
type spot struct{ line, column int }

// Limits of every document, so that reading one takes little memory even if a few of its bytes
// stand for much more, as aliases in YAML do.
const (
	maxTreeValues = 1_000_000
	maxTreeText   = 16 << 20 // bytes, of all strings and numbers
)

// path is the location of a reader in a document. It becomes a pointer only for faults: to
// make one for every value could cost the square of the document's size.
type path []string

// budget limits one document.
type budget struct {
	faultList
	path   path
	values int
	text   int // bytes
}

var (
	errTooDeep = fmt.Errorf("is nested more than %d levels deep", strictjson.MaxDepth)
	errTooMany = fmt.Errorf("has more than %d values", maxTreeValues)
	errTooLong = fmt.Errorf("has more than %d bytes of text", maxTreeText)
)

// enter counts one more value; holds says whether it can hold others.
func (b *budget) enter(holds bool) error {
	if b.values++; b.values > maxTreeValues {
		return errTooMany
	}
	if holds && len(b.path) >= strictjson.MaxDepth {
		return errTooDeep
	}
	return nil
}

// fault notes a fault of the value at the location of the reader.
func (b *budget) fault(format string, args ...any) {
	if len(b.faults) < maxFaults {
		b.add(pointerTo(b.path), format, args...)
	}
}

// appendJSON writes n as compact JSON.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case strictjson.Null:
		return append(b, "null"...)
	case strictjson.String:
		return appendString(b, n.text)
	case strictjson.Array, strictjson.Object:
		return n.appendMembers(b)
	case strictjson.Bool, strictjson.Number:
	}
	return append(b, n.text...)
}

func (n *node) appendMembers(b []byte) []byte {
	opening, closing := byte('['), byte(']')
	if n.kind == strictjson.Object {
		opening, closing = '{', '}'
	}
	b = append(b, opening)
	for i, item := range n.items {
		if i > 0 {
			b = append(b, ',')
		}
		if n.kind == strictjson.Object {
			b = append(appendString(b, n.names[i]), ':')
		}
		b = item.appendJSON(b)
	}
	return append(b, closing)
}

func appendString(b []byte, s string) []byte {
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false) // a schema is not HTML, and "<" is shorter
	_ = e.Encode(s)        // a string into memory cannot fail
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// extent returns the depth of the nesting and the number of values.
func (n *node) extent() (depth, values int) {
	for _, item := range n.items {
		d, v := item.extent()
		depth, values = max(depth, d), values+v
	}
	return depth + 1, values + 1
}

// spotOf returns where the value at pointer is, or the closest enclosing value.
func (n *node) spotOf(pointer string) spot {
	at := n.spot
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		n = n.member(unescapePointer(token))
		if n == nil {
			break
		}
		at = n.spot
	}
	return at
}

func (n *node) member(name string) *node {
	if n.kind == strictjson.Array {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.items) {
			return n.items[i]
		}
		return nil
	}
	for i, other := range n.names {
		if other == name {
			return n.items[i]
		}
	}
	return nil
}
