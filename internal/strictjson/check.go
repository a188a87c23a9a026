package strictjson

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// ErrNotUTF8 is returned for a document that is not UTF-8.
var ErrNotUTF8 = errors.New("strictjson: the JSON is not UTF-8")

// Check returns an error unless document is one JSON value: [ErrNotUTF8],
// [ErrTooDeep], or a [*json.SyntaxError].
func Check(document []byte) error {
	if err := checkText(document); err != nil {
		return err
	}
	if json.Valid(document) {
		return nil
	}
	return json.Unmarshal(document, new(json.RawMessage)) // says what is wrong with it
}

// Unmarshal reads one JSON value into v, like [json.Unmarshal]. It returns the errors
// of [Check] and [*json.UnmarshalTypeError]. It does not look at the names of members:
// see [Members].
func Unmarshal(document []byte, v any) error {
	if err := checkText(document); err != nil {
		return err
	}
	return json.Unmarshal(document, v)
}

// checkText checks what encoding/json lets pass.
func checkText(document []byte) error {
	if !utf8.Valid(document) {
		return ErrNotUTF8
	}
	return CheckDepth(document)
}
