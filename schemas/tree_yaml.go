package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// yamlReader turns a YAML document into the nodes that the same document would have in JSON.
type yamlReader struct {
	budget
}

// readYAML returns nil and one fault if data is not one YAML document, otherwise its value
// and its faults.
func readYAML(data []byte) (*node, []FieldError) {
	if !utf8.Valid(data) {
		return nil, []FieldError{{"", "is not UTF-8"}}
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF): // nothing but comments
		return &node{kind: strictjson.Null, spot: spot{1, 1}}, nil
	case err != nil:
		return nil, []FieldError{{"", "is not YAML: " + err.Error()}}
	case !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF):
		return nil, []FieldError{{"", "has something after its end, or is more than one document"}}
	}
	r := &yamlReader{}
	root, err := r.next(doc.Content[0])
	if err != nil {
		return nil, []FieldError{{"", err.Error()}}
	}
	return root, r.faults
}

// next follows aliases. The limits of the document apply to what they stand for, so neither
// a cycle nor an alias bomb gets far.
func (r *yamlReader) next(y *yaml.Node) (*node, error) {
	if err := r.enter(y.Kind == yaml.SequenceNode || y.Kind == yaml.MappingNode); err != nil {
		return nil, err
	}
	switch y.Kind {
	case yaml.AliasNode:
		n, err := r.next(y.Alias)
		if err == nil {
			n.spot = spot{y.Line, y.Column}
		}
		return n, err
	case yaml.SequenceNode:
		return r.sequence(y)
	case yaml.MappingNode:
		return r.mapping(y)
	default:
		if r.text += len(y.Value); r.text > maxTreeText {
			return nil, errTooLong
		}
		return r.scalar(y), nil
	}
}

func (r *yamlReader) sequence(y *yaml.Node) (*node, error) {
	n := &node{kind: strictjson.Array, spot: spot{y.Line, y.Column}}
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
	n := &node{kind: strictjson.Object, spot: spot{y.Line, y.Column}}
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
		item.spot = spot{y.Content[i].Line, y.Content[i].Column}
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

// scalar reads values that JSON has no literal for, such as dates, as strings.
func (r *yamlReader) scalar(y *yaml.Node) *node {
	n := &node{kind: strictjson.String, text: y.Value, spot: spot{y.Line, y.Column}}
	switch y.ShortTag() {
	case "!!null":
		n.kind = strictjson.Null
	case "!!bool":
		var b bool
		if err := y.Decode(&b); err != nil {
			r.fault("is not a boolean: %q", clip(y.Value))
		}
		n.kind, n.text = strictjson.Bool, strconv.FormatBool(b)
	case "!!int", "!!float":
		n.kind, n.text = strictjson.Number, r.number(y)
	}
	return n
}

// number keeps the digits of a number that is also valid in JSON, and converts others: 0x10,
// 1_000, .5.
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
