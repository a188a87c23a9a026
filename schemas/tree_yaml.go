package schemas

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlReader turns a YAML document into the nodes that the same document in
// JSON would have.
type yamlReader struct {
	budget
}

// readYAML returns nil and one fault if data is not one YAML document; else its
// value and what else there is to object to.
func readYAML(data []byte) (*node, []FieldError) {
	if !utf8.Valid(data) {
		return nil, []FieldError{{"", "is not UTF-8"}}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, []FieldError{{"", "is not YAML: " + err.Error()}}
	}
	if len(doc.Content) == 0 {
		return &node{kind: nullNode, line: 1}, nil
	}
	r := &yamlReader{}
	root, err := r.next(doc.Content[0])
	if err != nil {
		return nil, []FieldError{{"", err.Error()}}
	}
	return root, r.faults
}

// next follows aliases: the bounds of the document hold for what they stand
// for, so that neither a cycle nor a bomb gets far.
func (r *yamlReader) next(y *yaml.Node) (*node, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	switch y.Kind {
	case yaml.AliasNode:
		n, err := r.next(y.Alias)
		if err == nil {
			n.line = y.Line
		}
		return n, err
	case yaml.SequenceNode:
		return r.sequence(y)
	case yaml.MappingNode:
		return r.mapping(y)
	default:
		return r.scalar(y), nil
	}
}

func (r *yamlReader) sequence(y *yaml.Node) (*node, error) {
	n := &node{kind: arrayNode, line: y.Line}
	for i, content := range y.Content {
		r.path = append(r.path, strconv.Itoa(i))
		item, err := r.next(content)
		if err != nil {
			return nil, err
		}
		r.path = r.path[:len(r.path)-1]
		n.items = append(n.items, item)
	}
	return n, nil
}

func (r *yamlReader) mapping(y *yaml.Node) (*node, error) {
	n := &node{kind: objectNode, line: y.Line}
	seen := map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, content := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		r.path = append(r.path, key.Value)
		item, err := r.next(content)
		if err != nil {
			return nil, err
		}
		switch {
		case key.ShortTag() == "!!merge":
			r.fault("is a merge key, which is not supported")
		case key.Kind != yaml.ScalarNode:
			r.fault("has a key that is not a string")
		case seen[key.Value]:
			r.fault("stands there twice")
		default:
			seen[key.Value] = true
			n.names, n.items = append(n.names, key.Value), append(n.items, item)
		}
		r.path = r.path[:len(r.path)-1]
	}
	return n, nil
}

// scalar reads what JSON has no literal for, such as a date, as a string.
func (r *yamlReader) scalar(y *yaml.Node) *node {
	n := &node{kind: stringNode, text: y.Value, line: y.Line}
	switch y.ShortTag() {
	case "!!null":
		n.kind = nullNode
	case "!!bool":
		var b bool
		if err := y.Decode(&b); err != nil {
			r.fault("is not a boolean: %q", clip(y.Value))
		}
		n.kind, n.text = boolNode, strconv.FormatBool(b)
	case "!!int", "!!float":
		n.kind, n.text = numberNode, r.number(y)
	}
	return n
}

// number keeps the digits of a number that JSON would write the same, and
// spells out the others: 0x10, 1_000, .5.
func (r *yamlReader) number(y *yaml.Node) string {
	text := y.Value
	if !json.Valid([]byte(text)) {
		var f float64
		var i int64
		switch {
		case y.ShortTag() == "!!int" && y.Decode(&i) == nil:
			text = strconv.FormatInt(i, 10)
		case y.Decode(&f) == nil && !math.IsInf(f, 0) && !math.IsNaN(f):
			text = strconv.FormatFloat(f, 'g', -1, 64)
		default:
			r.fault("is not a number that JSON can write")
			return "0"
		}
	}
	if fault := numberFault(text); fault != "" {
		r.fault("%s", fault)
	}
	return text
}
