package schemas

import (
	"unicode/utf8"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// simple checks the keywords for the value as a whole.
func (e *evaluation) simple(r *rule, v *value) bool {
	return e.typed(r, v) && e.constant(r, v) && e.listed(r, v) && e.formatted(r, v)
}

// parts checks the items or members of the value.
func (e *evaluation) parts(r *rule, v *value, m *marks) bool {
	switch v.kind {
	case strictjson.Object:
		return e.counted(len(v.items), r.MinProperties, r.MaxProperties) && e.required(r, v) &&
			e.members(r, v, m) && e.namesOf(r, v)
	case strictjson.Array:
		return e.counted(len(v.items), r.MinItems, r.MaxItems) && e.unique(r, v) && e.itemsOf(r, v, m) && e.contains(r, v, m)
	case strictjson.String:
		return e.long(r, v) && e.matches(r.pattern(), v.text)
	case strictjson.Number:
		return e.within(r, v)
	case strictjson.Null, strictjson.Bool:
	}
	return true
}

func (e *evaluation) counted(n int, least, most *int) bool {
	return (least == nil || n >= *least) && (most == nil || n <= *most)
}

func (e *evaluation) long(r *rule, v *value) bool {
	if r.MinLength == nil && r.MaxLength == nil {
		return true
	}
	return e.spend(len(v.text)/64) && e.counted(utf8.RuneCountInString(v.text), r.MinLength, r.MaxLength)
}

func (e *evaluation) required(r *rule, v *value) bool {
	for _, name := range r.Required {
		if !e.spend(1) || v.member(name) < 0 {
			return false
		}
	}
	for _, d := range r.dependentNames {
		if v.member(d.name) < 0 {
			continue
		}
		for _, name := range d.names {
			if !e.spend(1) || v.member(name) < 0 {
				return false
			}
		}
	}
	return true
}

func (e *evaluation) members(r *rule, v *value, m *marks) bool {
	for i := range v.items {
		good := true
		if e.member(r, v, i, func(sub *rule) bool {
			good = e.holds(sub, &v.items[i], nil)
			return good
		}) {
			m.set(i)
		} else if r.noAdditional {
			return false
		}
		if !good {
			return false
		}
	}
	return true
}

// member calls visit for each rule that properties, patternProperties or
// additionalProperties have for the member i, until visit returns false, and
// reports whether there was one or it was allowed as an additional one.
func (e *evaluation) member(r *rule, v *value, i int, visit func(*rule) bool) (evaluated bool) {
	if sub, ok := r.properties[v.names[i]]; ok {
		evaluated = true
		if !visit(sub) {
			return true
		}
	}
	for _, p := range r.patternProperties {
		if e.matches(p.pattern, v.names[i]) {
			evaluated = true
			if !visit(p.rule) {
				return true
			}
		}
	}
	switch {
	case evaluated || r.AdditionalProperties == nil || r.noAdditional:
		return evaluated
	case r.additional != nil:
		visit(r.additional)
	}
	return true
}

// namesOf checks propertyNames.
func (e *evaluation) namesOf(r *rule, v *value) bool {
	if r.propertyNames == nil {
		return true
	}
	for _, name := range v.names {
		if !e.holds(r.propertyNames, e.nameValue(name), nil) {
			return false
		}
	}
	return true
}

func (e *evaluation) nameValue(name string) *value {
	e.next++
	return &value{kind: strictjson.String, id: e.next, text: name}
}

func (e *evaluation) itemsOf(r *rule, v *value, m *marks) bool {
	for i := range v.items {
		sub := r.item(i)
		if sub == nil {
			break
		}
		if !e.holds(sub, &v.items[i], nil) {
			return false
		}
		m.set(i)
	}
	return true
}

// item returns the rule for the item i, nil for none.
func (r *rule) item(i int) *rule {
	if i < len(r.prefixItems) {
		return r.prefixItems[i]
	}
	return r.items
}

func (e *evaluation) contains(r *rule, v *value, m *marks) bool {
	if r.contains == nil {
		return true
	}
	return r.containsEnough(e.containing(r, v, m)) && e.err == nil
}

// containing returns how many items match contains.
func (e *evaluation) containing(r *rule, v *value, m *marks) int {
	n := 0
	for i := range v.items {
		if e.holds(r.contains, &v.items[i], nil) {
			m.set(i)
			n++
		}
	}
	return n
}

func (r *rule) containsEnough(n int) bool {
	least := 1
	if r.MinContains != nil {
		least = *r.MinContains
	}
	return n >= least && (r.MaxContains == nil || n <= *r.MaxContains)
}

// inPlace checks the subschemas for the value itself.
func (e *evaluation) inPlace(r *rule, v *value, m *marks) bool {
	if r.ref != nil && !e.also(r.ref, v, m) {
		return false
	}
	if r.dynamicRef != nil && !e.also(e.resolved(r), v, m) {
		return false
	}
	for _, sub := range r.allOf {
		if !e.also(sub, v, m) {
			return false
		}
	}
	for _, d := range r.dependent {
		if v.member(d.name) >= 0 && !e.also(d.rule, v, m) {
			return false
		}
	}
	if r.not != nil && e.holds(r.not, v, nil) {
		return false
	}
	return e.alternatives(r, v, m) && e.conditional(r, v, m)
}

// also is holds for a subschema whose marks count if it holds.
func (e *evaluation) also(r *rule, v *value, m *marks) bool {
	if m == nil {
		return e.holds(r, v, nil)
	}
	own := e.marksFor(v)
	if own == nil || !e.holds(r, v, own) {
		return false
	}
	m.merge(own)
	return true
}

func (e *evaluation) alternatives(r *rule, v *value, m *marks) bool {
	n := 0
	for _, sub := range r.anyOf {
		if e.also(sub, v, m) {
			if n++; m == nil {
				break // nobody needs to know what the others evaluate
			}
		}
	}
	if r.anyOf != nil && n == 0 {
		return false
	}
	if r.oneOf == nil {
		return true
	}
	n = 0
	for _, sub := range r.oneOf {
		if e.also(sub, v, m) {
			if n++; n > 1 {
				return false
			}
		}
	}
	return n == 1
}

func (e *evaluation) conditional(r *rule, v *value, m *marks) bool {
	if r.onlyIf == nil {
		return true
	}
	branch := r.otherwise
	if e.also(r.onlyIf, v, m) {
		branch = r.then
	}
	return branch == nil || e.also(branch, v, m)
}

// resolved returns what a $dynamicRef leads to: the outermost schema of the dynamic
// scope that has the anchor.
func (e *evaluation) resolved(r *rule) *rule {
	if r.dynamicAnchor != "" {
		for _, s := range e.scope {
			if target, ok := s.anchors[r.dynamicAnchor]; ok {
				return target
			}
		}
	}
	return r.dynamicRef
}
