package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The faults of JSON documents. They quote nothing, since the document may be a
// token or a private key.
var (
	errNotObject = errors.New("it is not a JSON object")
	errNotString = errors.New("it is not a string")
	errNotArray  = errors.New("it is not a list")
)

// object is a JSON object by its members, whose values are valid JSON without
// white space around them. Unlike a struct filled by [json.Unmarshal] it is
// exact: names differ by case, and none stands twice.
type object map[string]json.RawMessage

// parseObject reads a whole document.
func parseObject(document []byte) (object, error) {
	if !utf8.Valid(document) || !json.Valid(document) {
		return nil, errNotObject
	}
	value, _ := cutValue(document)
	return members(value)
}

// members splits an object that is part of a document.
func members(raw json.RawMessage) (object, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errNotObject
	}
	o := make(object)
	for rest := inside(raw); len(rest) > 0; rest = next(rest) {
		var quoted, value []byte
		quoted, rest = cutValue(rest)
		value, rest = cutValue(next(rest)) // after the colon
		name, err := text(quoted)
		if err != nil {
			return nil, err
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("member %.64q stands twice", name)
		}
		o[name] = value
	}
	return o, nil
}

// list splits an array that is part of a document; null is none.
func list(raw json.RawMessage) ([]json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, errNotArray
	}
	items := []json.RawMessage{}
	for rest := inside(raw); len(rest) > 0; rest = next(rest) {
		var item []byte
		item, rest = cutValue(rest)
		items = append(items, item)
	}
	return items, nil
}

// text reads a string that is part of a document; null is none.
func text(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", errNotString
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errNotString
	}
	return s, nil
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

// optionalText reads the string member name, "" when there is no such member.
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

// The functions below walk over text that is known to be valid JSON, and so they
// need not look for its end. A decoder for each level of a token would make five
// times the allocations.

const jsonSpace = " \t\r\n"

// inside returns what stands between the brackets of an object or array.
func inside(raw []byte) []byte { return bytes.Trim(raw[1:len(raw)-1], jsonSpace) }

// next skips the comma or colon after a value, if there is one.
func next(s []byte) []byte {
	s = bytes.TrimLeft(s, jsonSpace)
	if len(s) > 0 {
		s = s[1:]
	}
	return s
}

// cutValue returns the value that s begins with, and the rest.
func cutValue(s []byte) (value, rest []byte) {
	s = bytes.TrimLeft(s, jsonSpace)
	end := 0
	switch s[0] {
	case '"':
		end = stringEnd(s)
	case '{', '[':
		end = bracketEnd(s)
	default:
		if end = bytes.IndexAny(s, ",]}"+jsonSpace); end < 0 {
			end = len(s)
		}
	}
	return s[:end:end], s[end:]
}

// stringEnd returns the length of the string that s begins with.
func stringEnd(s []byte) int {
	i := 1
	for s[i] != '"' {
		if s[i] == '\\' {
			i++
		}
		i++
	}
	return i + 1
}

// bracketEnd returns the length of the object or array that s begins with.
func bracketEnd(s []byte) int {
	for i, depth := 0, 0; ; i++ {
		switch s[i] {
		case '"':
			i += stringEnd(s[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}
