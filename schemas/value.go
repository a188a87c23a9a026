package schemas

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// value is one JSON value of a message that is checked against a schema.
type value struct {
	kind  strictjson.Kind
	id    int32          // numbers the values of one document
	text  string         // of a string, a number or a boolean
	names []string       // of an object's members, in their order; unique
	items []value        // of an object or an array
	index map[string]int // of the names, if there are many
	exact *big.Rat       // of a number, once it is asked for
}

// manyMembers is the most members of an object without an index.
const manyMembers = 8

// member returns the index of the member with that name, -1 if there is none.
func (v *value) member(name string) int {
	if v.index == nil {
		return slices.Index(v.names, name)
	}
	if i, ok := v.index[name]; ok {
		return i
	}
	return -1
}

// set adds a member. Of a repeated member, the last one counts.
func (v *value) set(name string, item value) {
	if i := v.member(name); i >= 0 {
		v.items[i] = item
		return
	}
	v.names, v.items = append(v.names, name), append(v.items, item)
	switch n := len(v.names); {
	case v.index != nil:
		v.index[name] = n - 1
	case n > manyMembers:
		v.index = make(map[string]int, 2*n)
		for i, name := range v.names {
			v.index[name] = i
		}
	}
}

// valueReader reads JSON that is known to be valid and no deeper than a message may be.
type valueReader struct {
	strictjson.Scanner[string]
	next int32 // id
	odd  bool  // there is a number with a numberFault
}

func newValueReader(valid string) valueReader {
	return valueReader{Scanner: strictjson.NewScanner(valid)}
}

// valueOf returns the value of what the library has decoded.
func valueOf(decoded any) value {
	text, err := json.Marshal(decoded)
	if err != nil {
		return value{} // it came out of JSON
	}
	r := newValueReader(string(text))
	return r.value()
}

func (r *valueReader) value() value {
	v := value{kind: r.Kind(), id: r.next}
	if r.next < math.MaxInt32 { // a document has far fewer
		r.next++
	}
	switch v.kind {
	case strictjson.Object:
		for r.More() {
			name := r.Name()
			v.set(name, r.value())
		}
	case strictjson.Array:
		for r.More() {
			v.items = append(v.items, r.value())
		}
	case strictjson.String:
		v.text = r.Text()
	case strictjson.Number:
		v.text = r.Literal()
		r.odd = r.odd || numberFault(v.text) != ""
	case strictjson.Null, strictjson.Bool:
		v.text = r.Literal()
	}
	return v
}

// canonical appends a text that is the same for equal values and differs for others: 1.0
// equals 1, and the order of members does not matter.
func (v *value) canonical(b []byte) []byte {
	switch v.kind {
	case strictjson.String:
		return appendCounted(append(b, 's'), v.text)
	case strictjson.Number:
		return append(appendNumber(append(b, 'n'), v.text), ' ')
	case strictjson.Array:
		b = append(b, '[')
		for i := range v.items {
			b = v.items[i].canonical(b)
		}
		return append(b, ']')
	case strictjson.Object:
		order := make([]int, len(v.names))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int { return strings.Compare(v.names[i], v.names[j]) })
		b = append(b, '{')
		for _, i := range order {
			b = v.items[i].canonical(appendCounted(b, v.names[i]))
		}
		return append(b, '}')
	case strictjson.Null, strictjson.Bool:
	}
	return append(b, v.text...)
}

func appendCounted(b []byte, text string) []byte {
	b = strconv.AppendInt(b, int64(len(text)), 10)
	return append(append(b, ':'), text...)
}

// appendNumber appends a JSON number as digits, without zeros at either end, and their
// exponent.
func appendNumber(b []byte, number string) []byte {
	negative, digits, exponent := splitNumber(number)
	if digits == "" {
		return append(b, '0')
	}
	if negative {
		b = append(b, '-')
	}
	b = append(append(b, digits...), 'e')
	return strconv.AppendInt(b, int64(exponent), 10)
}

// splitNumber returns the digits of a JSON number, without zeros at either end and none for
// zero, and the power of ten by which they are multiplied.
func splitNumber(number string) (negative bool, digits string, exponent int) {
	number, negative = strings.CutPrefix(number, "-")
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		exponent, _ = strconv.Atoi(number[i+1:]) // bounded by numberFault
		number = number[:i]
	}
	whole, fraction, _ := strings.Cut(number, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	return negative, trimmed, exponent + len(digits) - len(trimmed)
}

// isInteger reports whether a JSON number has no fraction: 1.0 and 1e2 have none.
func isInteger(number string) bool {
	if !strings.ContainsAny(number, ".eE") {
		return true
	}
	_, digits, exponent := splitNumber(number)
	return digits == "" || exponent >= 0
}
