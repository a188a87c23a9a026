// Package yamldoc reads YAML and JSON documents strictly: it reports all faults of a document
// with their lines, and refuses members that it does not know, since what is not understood
// could be a restriction. No fault quotes a value.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Node is a part of a document.
type Node = yaml.Node

// Document is a document that is being read. It gathers the faults.
type Document struct {
	Faults []error
}

// Parse parses a text that must hold one document, and returns its root. Otherwise it
// returns nil, and the fault is noted.
func (d *Document) Parse(text []byte) *Node {
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		d.Faults = append(d.Faults, errors.New("it is empty"))
		return nil
	} else if err != nil {
		d.Faults = append(d.Faults, err)
		return nil
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.Faults = append(d.Faults, errors.New("there is more than one document"))
		return nil
	}
	return root.Content[0]
}

// Fault notes a fault.
func (d *Document) Fault(at *Node, format string, args ...any) {
	d.Faults = append(d.Faults, fmt.Errorf("line %d: %s", at.Line, fmt.Sprintf(format, args...)))
}

// Text returns the string that value is; anything else is a fault. what names it there.
func (d *Document) Text(value *Node, what string) string {
	text, ok := Scalar(value)
	if !ok {
		d.Fault(value, "%s: want a string", what)
	}
	return text
}

// Scalar returns the text of a string, and reports false for anything else.
func Scalar(value *Node) (string, bool) {
	return value.Value, value.Kind == yaml.ScalarNode && value.Tag == "!!str"
}

// Bool reports whether value is true; anything but true and false is a fault.
func (d *Document) Bool(value *Node, what string) (is bool) {
	if value.Tag != "!!bool" || value.Decode(&is) != nil {
		d.Fault(value, "%s: want true or false", what)
	}
	return is
}

// IsList reports whether value is a list.
func IsList(value *Node) bool { return value.Kind == yaml.SequenceNode }

// Items returns the elements of a list; anything else is a fault.
func (d *Document) Items(value *Node, what string) []*Node {
	if !IsList(value) {
		d.Fault(value, "%s: want a list", what)
		return nil
	}
	items := make([]*Node, len(value.Content))
	for i, item := range value.Content {
		items[i] = resolved(item)
	}
	return items
}

// Members yields the members of a mapping in the order of known. Others are faults, and so is
// one that stands twice.
func (d *Document) Members(value *Node, what string, known ...string) func(yield func(string, *Node) bool) {
	values := make(map[string]*Node)
	if value.Kind != yaml.MappingNode {
		d.Fault(value, "%s: want a mapping", what)
		value = &Node{}
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		switch name := value.Content[i].Value; {
		case !slices.Contains(known, name):
			d.Fault(value.Content[i], "%s: unknown member %.64q", what, name)
		case values[name] != nil:
			d.Fault(value.Content[i], "%s: %s stands twice", what, name)
		default:
			values[name] = resolved(value.Content[i+1])
		}
	}
	return func(yield func(string, *Node) bool) {
		for _, name := range known {
			if value := values[name]; value != nil && !yield(name, value) {
				return
			}
		}
	}
}

// resolved returns the node that an alias stands for.
func resolved(n *Node) *Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
