package schemas

import (
	"errors"
	"strconv"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// jsonReader reads a JSON document as nodes and notes its faults.
type jsonReader struct {
	budget
	scanner strictjson.Scanner[string]
}

// readJSON returns nil and one fault if data is not one JSON value, otherwise the value and
// its faults.
func readJSON(data []byte) (*node, []FieldError) {
	switch err := strictjson.Check(data); {
	case errors.Is(err, strictjson.ErrNotUTF8):
		return nil, []FieldError{{"", "is not UTF-8"}}
	case errors.Is(err, strictjson.ErrTooDeep):
		return nil, []FieldError{{"", errTooDeep.Error()}}
	case err != nil:
		return nil, []FieldError{{"", "is not JSON: " + clip(err.Error())}}
	}
	r := &jsonReader{scanner: strictjson.NewScanner(string(data))}
	root, err := r.next()
	if err != nil {
		return nil, []FieldError{{"", err.Error()}}
	}
	return root, r.faults
}

func (r *jsonReader) next() (*node, error) {
	kind := r.scanner.Kind()
	if err := r.enter(kind == strictjson.Array || kind == strictjson.Object); err != nil {
		return nil, err
	}
	switch kind {
	case strictjson.Array:
		return r.array()
	case strictjson.Object:
		return r.object()
	case strictjson.String:
		return &node{kind: kind, text: r.scanner.Text()}, nil
	case strictjson.Null, strictjson.Bool, strictjson.Number:
	}
	n := &node{kind: kind, text: r.scanner.Literal()}
	if kind == strictjson.Number {
		if fault := numberFault(n.text); fault != "" {
			r.fault("%s", fault)
		}
	}
	return n, nil
}

func (r *jsonReader) array() (*node, error) {
	n := &node{kind: strictjson.Array}
	for r.scanner.More() {
		r.path = append(r.path, strconv.Itoa(len(n.items)))
		item, err := r.next()
		if err != nil {
			return nil, err
		}
		r.path = r.path[:len(r.path)-1]
		n.items = append(n.items, item)
	}
	return n, nil
}

func (r *jsonReader) object() (*node, error) {
	n := &node{kind: strictjson.Object}
	seen := map[string]bool{}
	for r.scanner.More() {
		name := r.scanner.Name()
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
	return n, nil
}
