package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// Faults of JSON documents. They quote nothing, since the document may be a token or a
// private key.
var (
	errNotJSON   = errors.New("it is not JSON")
	errNotObject = errors.New("it is not a JSON object")
	errNotString = errors.New("it is not a string")
	errNotArray  = errors.New("it is not a list")
	errTooDeep   = fmt.Errorf("it is nested more than %d levels deep", strictjson.MaxDepth)
)

// object is a JSON object: its members by name, whose values are valid JSON without white
// space around them. Unlike in a struct that [json.Unmarshal] fills, names are
// case-sensitive and no member occurs twice.
type object map[string]json.RawMessage

// parseObject reads a whole document that is an object.
func parseObject(document []byte) (object, error) {
	value, err := parseValue(document)
	if errors.Is(err, errNotJSON) {
		return nil, errNotObject
	}
	if err != nil {
		return nil, err
	}
	return members(value)
}

// parseValue reads a whole document.
func parseValue(document []byte) (json.RawMessage, error) {
	switch err := strictjson.Check(document); {
	case errors.Is(err, strictjson.ErrTooDeep):
		return nil, errTooDeep
	case err != nil:
		return nil, errNotJSON
	}
	return bytes.TrimSpace(document), nil
}

// members splits an object that is part of a document.
func members(raw json.RawMessage) (object, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errNotObject
	}
	o := make(object)
	for name, value := range strictjson.Members(raw) {
		if _, twice := o[string(name)]; twice {
			return nil, fmt.Errorf("member %.64q stands twice", name)
		}
		o[string(name)] = value
	}
	return o, nil
}

// list splits an array that is part of a document. Null is not an array.
func list(raw json.RawMessage) ([]json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, errNotArray
	}
	items := []json.RawMessage{}
	for item := range strictjson.Items(raw) {
		items = append(items, item)
	}
	return items, nil
}

// text reads a string that is part of a document. Null is not a string.
func text(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", errNotString
	}
	return strictjson.Text(raw), nil
}

// texts reads an array of strings.
func texts(raw json.RawMessage) ([]string, error) {
	items, err := list(raw)
	if err != nil {
		return nil, err
	}
	all := make([]string, len(items))
	for i, item := range items {
		if all[i], err = text(item); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// optionalText reads the string member name, "" if there is no such member.
func (o object) optionalText(name string) (string, error) {
	raw, ok := o[name]
	if !ok {
		return "", nil
	}
	s, err := text(raw)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
