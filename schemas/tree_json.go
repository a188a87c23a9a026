package schemas

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// jsonReader reads a JSON document as nodes and notes its faults.
type jsonReader struct {
	budget
	decoder *json.Decoder
}

// readJSON returns nil and one fault if data is not one JSON value; else the
// value and what else there is to object to.
func readJSON(data []byte) (*node, []FieldError) {
	if !utf8.Valid(data) {
		return nil, []FieldError{{"", "is not UTF-8"}}
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return nil, []FieldError{{"", "is not JSON: " + clip(err.Error())}}
	}
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(data))}
	r.decoder.UseNumber()
	root, err := r.next()
	if err != nil {
		return nil, []FieldError{{"", err.Error()}}
	}
	return root, r.faults
}

func (r *jsonReader) next() (*node, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return r.array()
		}
		return r.object()
	case json.Number:
		if fault := numberFault(t.String()); fault != "" {
			r.fault("%s", fault)
		}
		return &node{kind: numberNode, text: t.String()}, nil
	case string:
		return &node{kind: stringNode, text: t}, nil
	case bool:
		return &node{kind: boolNode, text: strconv.FormatBool(t)}, nil
	}
	return &node{kind: nullNode}, nil
}

func (r *jsonReader) array() (*node, error) {
	n := &node{kind: arrayNode}
	for r.decoder.More() {
		r.path = append(r.path, strconv.Itoa(len(n.items)))
		item, err := r.next()
		if err != nil {
			return nil, err
		}
		r.path = r.path[:len(r.path)-1]
		n.items = append(n.items, item)
	}
	_, err := r.decoder.Token()
	return n, err
}

func (r *jsonReader) object() (*node, error) {
	n := &node{kind: objectNode}
	seen := map[string]bool{}
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		r.path = append(r.path, name)
		item, err := r.next()
		if err != nil {
			return nil, err
		}
		if seen[name] {
			r.fault("stands there twice")
		} else {
			seen[name] = true
			n.names, n.items = append(n.names, name), append(n.items, item)
		}
		r.path = r.path[:len(r.path)-1]
	}
	_, err := r.decoder.Token()
	return n, err
}
