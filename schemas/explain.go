package schemas

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// place is the location of a value and, in words, the alternative of anyOf or oneOf to which
// the rule belongs: of contradicting alternatives, only one has to match.
type place struct {
	path        []string
	alternative string
}

func (p place) at(token string) place {
	return place{append(p.path[:len(p.path):len(p.path)], token), p.alternative}
}

func (p place) in(keyword string, i int) place {
	return place{p.path, fmt.Sprintf(" (alternative %d of %s)", i+1, keyword)}
}

// full reports whether there are more faults than are reported, or no work is left.
func (e *evaluation) full() bool { return len(e.faults) > maxViolations || e.err != nil }

// fault notes a fault of the value at p.
func (e *evaluation) fault(p place, format string, args ...any) {
	if !e.full() {
		e.add(pointerTo(p.path), "%s%s", fmt.Sprintf(format, args...), p.alternative)
	}
}

// leaf notes an error that has no further cause.
func (e *evaluation) leaf(p place, k jsonschema.ErrorKind) {
	if !e.full() {
		e.fault(p, "%s", describe(k))
	}
}

// explain notes why v does not match r, given that it does not. It only visits faulty parts
// and stops after the last fault that is reported.
func (e *evaluation) explain(r *rule, v *value, p place) {
	if e.full() {
		return
	}
	if r.Bool != nil {
		e.leaf(p, &kind.FalseSchema{})
		return
	}
	if slices.Contains(e.explaining, entry{r, v.id}) {
		e.leaf(p, &kind.RefCycle{})
		return
	}
	e.explaining = append(e.explaining, entry{r, v.id})
	defer func() { e.explaining = e.explaining[:len(e.explaining)-1] }()
	if r.resource != nil {
		e.scope = append(e.scope, r.resource)
		defer func() { e.scope = e.scope[:len(e.scope)-1] }()
	}
	before := len(e.faults)
	if !e.simple(r, v) {
		e.explainSimple(r, v, p)
	} else {
		e.explainParts(r, v, p)
		e.explainInPlace(r, v, p)
		if len(e.faults) == before {
			e.explainUnevaluated(r, v, p)
		}
	}
	if len(e.faults) == before {
		e.fault(p, "does not match the schema")
	}
}

// unless explains why the value does not match a subschema, if it does not.
func (e *evaluation) unless(r *rule, v *value, p place) {
	if !e.full() && !e.holds(r, v, nil) {
		e.explain(r, v, p)
	}
}

func (e *evaluation) explainSimple(r *rule, v *value, p place) {
	switch {
	case !e.typed(r, v):
		e.leaf(p, &kind.Type{Got: typeName(v.kind), Want: r.Types.ToStrings()})
	case !e.constant(r, v):
		e.leaf(p, &kind.Const{Want: *r.Const})
	case !e.listed(r, v):
		e.leaf(p, &kind.Enum{Want: r.Enum.Values})
	default:
		e.leaf(p, &kind.Format{Want: r.Format.Name})
	}
}

func (e *evaluation) explainParts(r *rule, v *value, p place) {
	switch v.kind {
	case strictjson.Object:
		e.explainObject(r, v, p)
	case strictjson.Array:
		e.explainArray(r, v, p)
	case strictjson.String:
		e.explainString(r, v, p)
	case strictjson.Number:
		e.explainNumber(r, v, p)
	case strictjson.Null, strictjson.Bool:
	}
}

func (e *evaluation) explainObject(r *rule, v *value, p place) {
	n := len(v.items)
	if r.MinProperties != nil && n < *r.MinProperties {
		e.leaf(p, &kind.MinProperties{Got: n, Want: *r.MinProperties})
	}
	if r.MaxProperties != nil && n > *r.MaxProperties {
		e.leaf(p, &kind.MaxProperties{Got: n, Want: *r.MaxProperties})
	}
	e.missing(r.Required, v, p, "")
	for _, d := range r.dependentNames {
		if v.member(d.name) >= 0 {
			e.missing(d.names, v, p, fmt.Sprintf(", which is required beside %q", clip(d.name)))
		}
	}
	for i, name := range v.names {
		if e.full() {
			return
		}
		below := p.at(name)
		evaluated := e.member(r, v, i, func(sub *rule) bool {
			e.unless(sub, &v.items[i], below)
			return true
		})
		if !evaluated && r.noAdditional {
			e.fault(below, "is not an allowed property")
		}
		if r.propertyNames != nil {
			e.explainName(r.propertyNames, name, p)
		}
	}
}

func (e *evaluation) missing(names []string, v *value, p place, why string) {
	for _, name := range names {
		if v.member(name) < 0 {
			e.fault(p, "property %q is missing%s", clip(name), why)
		}
	}
}

// explainName reports the faults of a member's name as faults of the object.
func (e *evaluation) explainName(r *rule, name string, p place) {
	v := e.nameValue(name)
	if e.holds(r, v, nil) {
		return
	}
	before := len(e.faults)
	e.explain(r, v, p)
	for i := range e.faults[before:] {
		f := &e.faults[before+i]
		f.Detail = fmt.Sprintf("has a property %q whose name %s", clip(name), f.Detail)
	}
}

func (e *evaluation) explainArray(r *rule, v *value, p place) {
	n := len(v.items)
	if r.MinItems != nil && n < *r.MinItems {
		e.leaf(p, &kind.MinItems{Got: n, Want: *r.MinItems})
	}
	if r.MaxItems != nil && n > *r.MaxItems {
		e.leaf(p, &kind.MaxItems{Got: n, Want: *r.MaxItems})
	}
	if r.UniqueItems {
		if i, j, found := e.twins(v); found {
			e.leaf(p, &kind.UniqueItems{Duplicates: [2]int{i, j}})
		}
	}
	for i := range v.items {
		sub := r.item(i)
		if sub == nil || e.full() {
			break
		}
		e.unless(sub, &v.items[i], p.at(strconv.Itoa(i)))
	}
	if r.contains != nil {
		e.explainContains(r, v, p)
	}
}

// explainContains does not say why each single item does not match, which would not help.
func (e *evaluation) explainContains(r *rule, v *value, p place) {
	n := e.containing(r, v, nil)
	switch {
	case r.MinContains == nil && n == 0:
		e.leaf(p, &kind.Contains{})
	case r.MinContains != nil && n < *r.MinContains:
		e.leaf(p, &kind.MinContains{Got: make([]int, n), Want: *r.MinContains})
	case r.MaxContains != nil && n > *r.MaxContains:
		e.leaf(p, &kind.MaxContains{Got: make([]int, n), Want: *r.MaxContains})
	}
}

func (e *evaluation) explainString(r *rule, v *value, p place) {
	n := utf8.RuneCountInString(v.text)
	if r.MinLength != nil && n < *r.MinLength {
		e.leaf(p, &kind.MinLength{Got: n, Want: *r.MinLength})
	}
	if r.MaxLength != nil && n > *r.MaxLength {
		e.leaf(p, &kind.MaxLength{Got: n, Want: *r.MaxLength})
	}
	if !e.matches(r.pattern(), v.text) {
		e.leaf(p, &kind.Pattern{Want: r.Pattern.String()})
	}
}

func (e *evaluation) explainNumber(r *rule, v *value, p place) {
	if e.within(r, v) {
		return
	}
	n, ok := e.number(v)
	if !ok {
		return
	}
	if r.Minimum != nil && n.Cmp(r.Minimum) < 0 {
		e.leaf(p, &kind.Minimum{Want: r.Minimum})
	}
	if r.Maximum != nil && n.Cmp(r.Maximum) > 0 {
		e.leaf(p, &kind.Maximum{Want: r.Maximum})
	}
	if r.ExclusiveMinimum != nil && n.Cmp(r.ExclusiveMinimum) <= 0 {
		e.leaf(p, &kind.ExclusiveMinimum{Want: r.ExclusiveMinimum})
	}
	if r.ExclusiveMaximum != nil && n.Cmp(r.ExclusiveMaximum) >= 0 {
		e.leaf(p, &kind.ExclusiveMaximum{Want: r.ExclusiveMaximum})
	}
	if r.MultipleOf != nil && !new(big.Rat).Quo(n, r.MultipleOf).IsInt() {
		e.leaf(p, &kind.MultipleOf{Want: r.MultipleOf})
	}
}

func (e *evaluation) explainInPlace(r *rule, v *value, p place) {
	if r.ref != nil {
		e.unless(r.ref, v, p)
	}
	if r.dynamicRef != nil {
		e.unless(e.resolved(r), v, p)
	}
	for _, sub := range r.allOf {
		e.unless(sub, v, p)
	}
	for _, d := range r.dependent {
		if v.member(d.name) >= 0 {
			e.unless(d.rule, v, p)
		}
	}
	if r.not != nil && e.holds(r.not, v, nil) {
		e.leaf(p, &kind.Not{})
	}
	if r.anyOf != nil && len(e.matching(r.anyOf, v, 1)) == 0 {
		e.explainAlternatives("anyOf", r.anyOf, v, p)
	}
	if r.oneOf != nil {
		switch found := e.matching(r.oneOf, v, 2); len(found) {
		case 0:
			e.explainAlternatives("oneOf", r.oneOf, v, p)
		case 2:
			e.fault(p, "matches alternatives %d and %d of oneOf, only one is allowed", found[0]+1, found[1]+1)
		}
	}
	if r.onlyIf != nil {
		branch := r.otherwise
		if e.holds(r.onlyIf, v, nil) {
			branch = r.then
		}
		if branch != nil {
			e.unless(branch, v, p)
		}
	}
}

// matching returns the first few rules that v matches.
func (e *evaluation) matching(rules []*rule, v *value, most int) (found []int) {
	for i, sub := range rules {
		if len(found) < most && e.holds(sub, v, nil) {
			found = append(found, i)
		}
	}
	return found
}

func (e *evaluation) explainAlternatives(keyword string, rules []*rule, v *value, p place) {
	for i, sub := range rules {
		e.explain(sub, v, p.in(keyword, i))
	}
}

// explainUnevaluated is for a value that matches everything else.
func (e *evaluation) explainUnevaluated(r *rule, v *value, p place) {
	rest, m := r.unevaluated(v), e.marksFor(v)
	if rest == nil || m == nil || !e.parts(r, v, m) || !e.inPlace(r, v, m) || m.all {
		return
	}
	for i := range v.items {
		token := strconv.Itoa(i)
		if v.kind == strictjson.Object {
			token = v.names[i]
		}
		if !m.each[i] {
			e.unless(rest, &v.items[i], p.at(token))
		}
	}
}
