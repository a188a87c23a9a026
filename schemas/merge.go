package schemas

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MergeRule says which messages of a topic are held as one. Messages that follow each
// other on the topic and agree in the values at Key are held as one message, in which the
// string at Append is theirs joined; everything else is the first one's. It fits the parts
// of a model's answer. Readers that are up to date get each message as it was published.
//
// A value that is missing agrees with one that is missing, so a key can name what only
// some messages have. A message that has none of the values is held alone.
type MergeRule struct {
	Append string   `json:"append"`        // JSON Pointer, RFC 6901
	Key    []string `json:"key,omitempty"` // JSON Pointers, at most 8
}

// maxMergeKeys is how many pointers a key may have.
const maxMergeKeys = 8

// faults returns what is wrong with the rule.
func (r *MergeRule) faults() (list []FieldError) {
	check := func(at, pointer string) {
		if !strings.HasPrefix(pointer, "/") {
			list = append(list, FieldError{at, "is not a JSON Pointer to a part of a message, such as /delta"})
		}
	}
	check("/append", r.Append)
	for i, pointer := range r.Key {
		check("/key/"+strconv.Itoa(i), pointer)
	}
	if len(r.Key) > maxMergeKeys {
		list = append(list, FieldError{"/key", tooMuch(len(r.Key), "pointers", maxMergeKeys)})
	}
	return list
}

// MergeRules are the merge rules of a channel's topics.
type MergeRules struct{ topics map[Topic]*MergeRule }

// Of returns the rule of a topic, nil if it has none. r may be nil.
func (r *MergeRules) Of(topic Topic) *MergeRule {
	if r == nil {
		return nil
	}
	return r.topics[topic]
}

// Merge returns the merge rules, nil if there are none.
func (d *Compiled) Merge() *MergeRules { return d.merge }

// compileMerge sets the rule of a topic.
func (d *Compiled) compileMerge(topic Topic, rule *MergeRule) []FieldError {
	if rule == nil {
		return nil
	}
	if d.merge == nil {
		d.merge = &MergeRules{topics: make(map[Topic]*MergeRule)}
	}
	d.merge.topics[topic] = rule
	return rule.faults()
}

// Parts are the parts of a message that a merge rule tells apart.
type Parts struct {
	Before, After []byte // the JSON around the string
	Text          []byte // the string, unescaped
	Key           string // the values at the key; equal for messages that may be held as one
}

// Split divides data, which is compact JSON, and reports whether the rule applies to it:
// there is a string at Append, and a value at one pointer of Key at least, if it has any.
// It does not apply to a string with half a surrogate pair, of which the other half may be
// in the next message.
func (r *MergeRule) Split(data []byte) (p Parts, ok bool) {
	begin, end := valueAt(data, r.Append)
	if end-begin < 2 || data[begin] != '"' {
		return p, false
	}
	text, ok := unquote(data[begin:end])
	if !ok {
		return p, false
	}
	var key []byte
	for _, pointer := range r.Key {
		from, to := valueAt(data, pointer)
		key = append(append(key, data[from:to]...), '\n')
	}
	if n := len(r.Key); n > 0 && len(key) == n {
		return p, false
	}
	return Parts{Before: data[:begin:begin], After: data[end:], Text: text, Key: string(key)}, true
}

// unquote returns what a JSON string says, and reports whether that is text.
func unquote(quoted []byte) (text []byte, ok bool) {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return nil, false
	}
	if strings.ContainsRune(s, utf8.RuneError) && bytes.Contains(quoted, []byte(`\u`)) && halfPair(quoted) {
		return nil, false
	}
	return []byte(s), true
}

// halfPair reports whether a JSON string has half a surrogate pair.
func halfPair(quoted []byte) bool {
	for text := quoted[1 : len(quoted)-1]; len(text) > 0; {
		r, n := firstRune(text)
		if utf16.IsSurrogate(r) {
			return true
		}
		text = text[n:]
	}
	return false
}

// valueAt returns where the value at the pointer stands in data, which is compact JSON;
// 0, 0 if there is none. Of a repeated member, the first one counts. What is not JSON has
// any value or none.
func valueAt(data []byte, pointer string) (begin, end int) {
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		if begin = childAt(data, begin, token); begin < 0 {
			return 0, 0
		}
	}
	return begin, skipValue(data, begin)
}

// childAt returns where the member or the element of that name begins in the value at i;
// -1 if there is none.
func childAt(data []byte, i int, token string) int {
	switch at(data, i) {
	case '{':
		for i++; at(data, i) == '"'; i = next(data, i) {
			end := skipValue(data, i)
			if end-i >= 2 && named(data[i:end], token) {
				return end + 1
			}
			i = end + 1
		}
	case '[':
		n, err := strconv.Atoi(token)
		if err != nil || strconv.Itoa(n) != token {
			return -1
		}
		for i++; i < len(data) && data[i] != ']'; i = next(data, i) {
			if n == 0 {
				return i
			}
			n--
		}
	}
	return -1
}

// at returns the byte at i, 0 behind the end.
func at(data []byte, i int) byte {
	if i < len(data) {
		return data[i]
	}
	return 0
}

// next returns where the member or the element after the value at i begins, or where the
// object or the array ends.
func next(data []byte, i int) int {
	if i = skipValue(data, i); at(data, i) == ',' {
		i++
	}
	return i
}

// named reports whether a JSON string is that of name. A message may have very many names
// with escapes, so it is compared as it is.
func named(text []byte, name string) bool {
	for text = text[1 : len(text)-1]; len(text) > 0; {
		r, n := firstRune(text)
		want, m := utf8.DecodeRuneInString(name)
		if r != want || m == 0 {
			return false
		}
		text, name = text[n:], name[m:]
	}
	return name == ""
}

// firstRune returns the first character of the inside of a JSON string, and how many bytes
// that takes.
func firstRune(text []byte) (r rune, n int) {
	switch {
	case text[0] != '\\' || len(text) == 1:
		return utf8.DecodeRune(text)
	case text[1] != 'u':
		if i := strings.IndexByte("bfnrt", text[1]); i >= 0 {
			return rune("\b\f\n\r\t"[i]), 2
		}
		return rune(text[1]), 2
	}
	first := codeUnit(text)
	if pair := utf16.DecodeRune(first, codeUnit(text[min(6, len(text)):])); pair != utf8.RuneError {
		return pair, 12
	}
	return first, min(6, len(text))
}

// codeUnit returns the number in an escape sequence of six bytes with which text begins,
// [utf8.RuneError] if it does not begin with one.
func codeUnit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// skipValue returns where the value that begins at i ends.
func skipValue(data []byte, i int) int {
	switch at(data, i) {
	case '"':
		return skipString(data, i)
	case '{', '[':
		return skipNested(data, i)
	}
	for i < len(data) && data[i] != ',' && data[i] != ']' && data[i] != '}' {
		i++
	}
	return i
}

func skipString(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(data))
}

func skipNested(data []byte, i int) int {
	for depth := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = skipString(data, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return i
}
