package schemas

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// typed checks type.
func (e *evaluation) typed(r *rule, v *value) bool {
	if r.kinds == nil || r.kinds[v.kind] {
		return true
	}
	return v.kind == strictjson.Number && r.integers && e.spend(len(v.text)/16) && isInteger(v.text)
}

// typeName returns the name that JSON Schema has for a kind of value.
func typeName(k strictjson.Kind) string {
	if k == strictjson.Bool {
		return "boolean"
	}
	return k.String()
}

// canonical is value.canonical, as steps: what it reads was there in the message.
func (e *evaluation) canonical(v *value) (string, bool) {
	if !e.spend(1 + e.weigh(v)) {
		return "", false
	}
	return string(v.canonical(nil)), true
}

// weigh returns the steps that reading all of v takes.
func (e *evaluation) weigh(v *value) int {
	n := 4 + len(v.text)/16
	for _, name := range v.names {
		n += 4 + len(name)/16
	}
	for i := range v.items {
		n += e.weigh(&v.items[i])
	}
	return n
}

func (e *evaluation) constant(r *rule, v *value) bool {
	if r.constant == nil {
		return true
	}
	got, ok := e.canonical(v)
	return ok && got == *r.constant
}

// listed checks enum.
func (e *evaluation) listed(r *rule, v *value) bool {
	switch {
	case r.enum == nil:
		return true
	case v.kind == strictjson.String:
		return r.enumStrings[v.text]
	case len(r.enum) == 0:
		return false
	}
	got, ok := e.canonical(v)
	return ok && r.enum[got]
}

// formatted checks format, which is about strings only.
func (e *evaluation) formatted(r *rule, v *value) bool {
	if r.Format == nil || v.kind != strictjson.String {
		return true
	}
	if r.Format.Name == "regex" {
		return e.spend(64*len(v.text)) && isPattern(v.text) // a class such as \pL takes kilobytes
	}
	return e.spend(1+len(v.text)/4) && r.Format.Validate(v.text) == nil
}

// pattern returns the pattern of the schema, nil for none.
func (r *rule) pattern() *pattern {
	p, _ := r.Pattern.(*pattern)
	return p
}

// matches looks for p in text. It takes up to the product of their sizes.
func (e *evaluation) matches(p *pattern, text string) bool {
	return p == nil || e.spend(1+len(text)*p.size/8) && p.MatchString(text)
}

// within checks the bounds of a number, exactly.
func (e *evaluation) within(r *rule, v *value) bool {
	if r.Minimum == nil && r.Maximum == nil && r.ExclusiveMinimum == nil && r.ExclusiveMaximum == nil && r.MultipleOf == nil {
		return true
	}
	n, ok := e.number(v)
	return ok &&
		(r.Minimum == nil || n.Cmp(r.Minimum) >= 0) && (r.Maximum == nil || n.Cmp(r.Maximum) <= 0) &&
		(r.ExclusiveMinimum == nil || n.Cmp(r.ExclusiveMinimum) > 0) && (r.ExclusiveMaximum == nil || n.Cmp(r.ExclusiveMaximum) < 0) &&
		(r.MultipleOf == nil || new(big.Rat).Quo(n, r.MultipleOf).IsInt())
}

// number reads a number for one comparison. Its exponent may give it a thousand
// digits, and arithmetic takes up to their square.
func (e *evaluation) number(v *value) (*big.Rat, bool) {
	size := len(v.text) / 8
	if i := strings.IndexAny(v.text, "eE"); i >= 0 {
		exponent, _ := strconv.Atoi(v.text[i+1:])
		size += max(exponent, -exponent) / 8
	}
	if !e.spend(4 + size*size/8) {
		return nil, false
	}
	if v.exact == nil {
		v.exact, _ = new(big.Rat).SetString(v.text)
	}
	return v.exact, v.exact != nil
}

// unique checks uniqueItems.
func (e *evaluation) unique(r *rule, v *value) bool {
	if !r.UniqueItems {
		return true
	}
	_, _, twice := e.twins(v)
	return !twice && e.err == nil
}

// twins returns the first two items that are equal.
func (e *evaluation) twins(v *value) (first, second int, found bool) {
	seen := make(map[string]int, len(v.items))
	for i := range v.items {
		text, ok := e.canonical(&v.items[i])
		if !ok {
			return 0, 0, false
		}
		if j, ok := seen[text]; ok {
			return j, i, true
		}
		seen[text] = i
	}
	return 0, 0, false
}
