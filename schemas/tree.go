package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// node is one value of a document, JSON or YAML, with the order of its members
// kept. Names are unique within an object.
type node struct {
	kind  nodeKind
	text  string   // of a string, a number (as JSON writes it) or a boolean
	names []string // of an object's members, beside items
	items []*node  // of an object or an array
	line  int      // in a YAML file; else 0
}

type nodeKind byte

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	stringNode
	arrayNode
	objectNode
)

// Bounds of every document, so that reading one needs little stack and memory
// even if few of its bytes stand for many values.
const (
	maxTreeDepth  = 1000
	maxTreeValues = 1_000_000
)

// path is where a reader stands in a document. Pointers are made of it only for
// faults: made for every value, they could cost the square of the document.
type path []string

func (p path) pointer() string {
	var b strings.Builder
	for _, token := range p {
		b.WriteString("/" + escapePointer(token))
	}
	return b.String()
}

// budget bounds what one document may come to.
type budget struct {
	faultList
	path   path
	values int
}

var (
	errTooDeep = fmt.Errorf("is nested more than %d levels deep", maxTreeDepth)
	errTooMany = fmt.Errorf("has more than %d values", maxTreeValues)
)

// enter counts one more value.
func (b *budget) enter() error {
	if b.values++; b.values > maxTreeValues {
		return errTooMany
	}
	if len(b.path) > maxTreeDepth {
		return errTooDeep
	}
	return nil
}

// fault notes what is wrong with the value that the reader stands at.
func (b *budget) fault(format string, args ...any) {
	b.add(b.path.pointer(), format, args...)
}

// appendJSON writes n as compact JSON.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case nullNode:
		return append(b, "null"...)
	case stringNode:
		return appendString(b, n.text)
	case arrayNode, objectNode:
		return n.appendMembers(b)
	case boolNode, numberNode:
	}
	return append(b, n.text...)
}

func (n *node) appendMembers(b []byte) []byte {
	opening, closing := byte('['), byte(']')
	if n.kind == objectNode {
		opening, closing = '{', '}'
	}
	b = append(b, opening)
	for i, item := range n.items {
		if i > 0 {
			b = append(b, ',')
		}
		if n.kind == objectNode {
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

// extent returns how deep values stand within each other, and how many there
// are.
func (n *node) extent() (depth, values int) {
	for _, item := range n.items {
		d, v := item.extent()
		depth, values = max(depth, d), values+v
	}
	return depth + 1, values + 1
}

// lineOf returns the line of the value at pointer, or of what of it there is.
func (n *node) lineOf(pointer string) int {
	line := n.line
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		n = n.member(unescapePointer(token))
		if n == nil {
			break
		}
		line = n.line
	}
	return line
}

func (n *node) member(name string) *node {
	if n.kind == arrayNode {
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
