package strictjson

import (
	"encoding/json"
	"strings"
)

// Kind is what a JSON value is.
type Kind byte

// The kinds of a JSON value.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String returns the word that encoding/json uses in its errors.
func (k Kind) String() string {
	return [...]string{"null", "bool", "number", "string", "array", "object"}[k]
}

// kindOf returns the kind of a value by its first byte.
func kindOf(first byte) Kind {
	switch first {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// KindOf returns the kind of value, which is valid JSON without white space in front;
// Null for no value at all.
func KindOf(value []byte) Kind {
	if len(value) == 0 {
		return Null
	}
	return kindOf(value[0])
}

// Scanner walks once through a JSON document that is known to be valid, and so looks
// for no faults: what it does with other text, panics included, is undefined. A
// decoder of encoding/json for each level would allocate several times as much.
//
// The caller asks for the Kind of the next value and then reads it: with Text if it is
// a string, with Literal if it is null, a boolean or a number, with a loop over More
// if it is an array, a loop over More that reads a Name and a value if it is an
// object. Skip reads any value.
type Scanner[T ~string | ~[]byte] struct {
	text T
	at   int
}

// NewScanner returns a scanner at the beginning of document.
func NewScanner[T ~string | ~[]byte](document T) Scanner[T] { return Scanner[T]{text: document} }

// Kind returns the kind of the next value.
func (s *Scanner[T]) Kind() Kind {
	s.space()
	return kindOf(s.text[s.at])
}

// More enters an array or object, or goes on behind one of its values, and reports
// whether another value follows. If not, it has left the array or object.
func (s *Scanner[T]) More() bool {
	s.space()
	if !s.closes() {
		s.at++ // the opening bracket or a comma
		s.space()
	}
	if s.closes() {
		s.at++
		return false
	}
	return true
}

func (s *Scanner[T]) closes() bool { return s.text[s.at] == ']' || s.text[s.at] == '}' }

// Name reads the name of a member. Its value is next.
func (s *Scanner[T]) Name() T {
	name := s.Text()
	s.space()
	s.at++ // the colon
	return name
}

// Text reads a string and returns what it says: a part of the document, or a copy if
// there are escapes in it.
func (s *Scanner[T]) Text() T {
	s.space()
	start := s.at
	if !s.skipString() {
		return s.text[start+1 : s.at-1]
	}
	return T(unescape([]byte(s.text[start:s.at])))
}

func unescape(quoted []byte) string {
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return text
}

// Literal reads null, a boolean or a number and returns it as it is written.
func (s *Scanner[T]) Literal() T {
	s.space()
	start := s.at
	s.skipLiteral()
	return s.text[start:s.at]
}

// Skip reads a value of any kind and returns it as it is written, without the white
// space around it.
func (s *Scanner[T]) Skip() T {
	s.space()
	start := s.at
	switch s.text[s.at] {
	case '"':
		s.skipString()
	case '{', '[':
		s.skipBrackets()
	default:
		s.skipLiteral()
	}
	return s.text[start:s.at]
}

func (s *Scanner[T]) space() {
	for isSpace(s.text[s.at]) {
		s.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// skipString reports whether there are escapes in the string.
func (s *Scanner[T]) skipString() (escaped bool) {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			escaped = true
			s.at++
		}
	}
	s.at++
	return escaped
}

func (s *Scanner[T]) skipBrackets() {
	for depth := 0; ; s.at++ {
		switch s.text[s.at] {
		case '"':
			s.skipString()
			s.at--
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				s.at++
				return
			}
		}
	}
}

func (s *Scanner[T]) skipLiteral() {
	for s.at < len(s.text) && strings.IndexByte(",]} \t\r\n", s.text[s.at]) < 0 {
		s.at++
	}
}
