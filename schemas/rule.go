package schemas

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// rule is a compiled schema of the library, prepared for checking: its subschemas are rules,
// and it holds what would otherwise have to be computed for each message.
type rule struct {
	*jsonschema.Schema // for the keywords that have no subschemas

	id       int
	shared   bool      // can be reached in several ways: outcomes are remembered
	leaf     bool      // it has no subschemas
	resource *resource // nil unless the dynamic scope matters

	ref, dynamicRef       *rule
	dynamicAnchor         string // of dynamicRef, if it is resolved dynamically
	not, onlyIf           *rule
	then, otherwise       *rule
	allOf, anyOf, oneOf   []*rule
	properties            map[string]*rule
	patternProperties     []patternRule
	additional            *rule
	noAdditional          bool
	propertyNames         *rule
	dependent             []dependentRule
	dependentNames        []dependentNames
	prefixItems           []*rule
	items, contains       *rule
	unevaluatedItems      *rule
	unevaluatedProperties *rule

	kinds       []bool  // by strictjson.Kind; nil: any
	integers    bool    // if not all numbers
	constant    *string // canonical
	enum        map[string]bool
	enumStrings map[string]bool
}

type patternRule struct {
	*pattern
	rule *rule
}

type dependentRule struct {
	name string
	rule *rule
}

type dependentNames struct {
	name  string
	names []string
}

// resource is a schema with its own URI and everything within it.
type resource struct {
	anchors map[string]*rule // dynamic
}

// ruler makes rules. The zero value is ready.
type ruler struct {
	rules map[*jsonschema.Schema]*rule
	ways  int // that lead to rules
	// dynamic says that there is a $dynamicRef to a $dynamicAnchor.
	dynamic bool
	draft   *jsonschema.Schema // one of another draft, nil if there is none
}

// of returns the rule of a schema, nil for none. Each call stands for one way to reach it.
func (b *ruler) of(s *jsonschema.Schema) *rule {
	if s == nil {
		return nil
	}
	b.ways++
	if r, ok := b.rules[s]; ok {
		r.shared = true
		return r
	}
	if b.rules == nil {
		b.rules = make(map[*jsonschema.Schema]*rule)
	}
	if s.DraftVersion != 2020 {
		b.draft = cmp.Or(b.draft, s)
	}
	r := &rule{Schema: s, id: len(b.rules)}
	b.rules[s] = r
	before := b.ways
	b.inPlace(r)
	b.object(r)
	b.array(r)
	b.values(r)
	r.leaf = b.ways == before
	return r
}

func (b *ruler) each(list []*jsonschema.Schema) []*rule {
	var rules []*rule
	for _, s := range list {
		rules = append(rules, b.of(s))
	}
	return rules
}

// inPlace fills in the subschemas for the same value.
func (b *ruler) inPlace(r *rule) {
	s := r.Schema
	r.ref = b.of(s.Ref)
	if s.DynamicRef != nil {
		r.dynamicRef = b.of(s.DynamicRef.Ref)
		if r.dynamicRef.DynamicAnchor == s.DynamicRef.Anchor {
			r.dynamicAnchor = s.DynamicRef.Anchor
			b.dynamic = b.dynamic || r.dynamicAnchor != ""
		}
	}
	r.allOf, r.anyOf, r.oneOf = b.each(s.AllOf), b.each(s.AnyOf), b.each(s.OneOf)
	r.not, r.onlyIf, r.then, r.otherwise = b.of(s.Not), b.of(s.If), b.of(s.Then), b.of(s.Else)
	for _, name := range slices.Sorted(maps.Keys(s.Dependencies)) {
		switch d := s.Dependencies[name].(type) {
		case []string:
			r.dependentNames = append(r.dependentNames, dependentNames{name, d})
		case *jsonschema.Schema:
			r.dependent = append(r.dependent, dependentRule{name, b.of(d)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependentSchemas)) {
		r.dependent = append(r.dependent, dependentRule{name, b.of(s.DependentSchemas[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependentRequired)) {
		r.dependentNames = append(r.dependentNames, dependentNames{name, s.DependentRequired[name]})
	}
}

func (b *ruler) object(r *rule) {
	s := r.Schema
	if len(s.Properties) > 0 {
		r.properties = make(map[string]*rule, len(s.Properties))
		for name, sub := range s.Properties {
			r.properties[name] = b.of(sub)
		}
	}
	for re, sub := range s.PatternProperties {
		if p, ok := re.(*pattern); ok {
			r.patternProperties = append(r.patternProperties, patternRule{p, b.of(sub)})
		}
	}
	slices.SortFunc(r.patternProperties, func(p, q patternRule) int { return strings.Compare(p.String(), q.String()) })
	switch additional := s.AdditionalProperties.(type) {
	case bool:
		r.noAdditional = !additional
	case *jsonschema.Schema:
		r.additional = b.of(additional)
	}
	r.propertyNames, r.unevaluatedProperties = b.of(s.PropertyNames), b.of(s.UnevaluatedProperties)
}

func (b *ruler) array(r *rule) {
	s := r.Schema
	r.prefixItems, r.items = b.each(s.PrefixItems), b.of(s.Items2020)
	r.contains, r.unevaluatedItems = b.of(s.Contains), b.of(s.UnevaluatedItems)
}

// values fills in the values that messages are compared with.
func (b *ruler) values(r *rule) {
	if r.Types != nil && !r.Types.IsEmpty() {
		names := r.Types.ToStrings()
		r.integers = slices.Contains(names, "integer")
		for kind := strictjson.Null; kind <= strictjson.Object; kind++ {
			r.kinds = append(r.kinds, slices.Contains(names, typeName(kind)))
		}
	}
	if r.Const != nil {
		v := valueOf(*r.Const)
		text := string(v.canonical(nil))
		r.constant = &text
	}
	if r.Enum == nil {
		return
	}
	r.enum, r.enumStrings = make(map[string]bool), make(map[string]bool)
	for _, want := range r.Enum.Values {
		if s, ok := want.(string); ok {
			r.enumStrings[s] = true
			continue
		}
		v := valueOf(want)
		r.enum[string(v.canonical(nil))] = true
	}
}

// scope fills in the resources if a $dynamicRef can lead to different schemas, depending on
// the way in which it is reached. Within one resource, it cannot.
func (b *ruler) scope() {
	resources := map[string]*resource{}
	for s := range b.rules {
		if _, at, _ := strings.Cut(s.Location, "#"); at == "" || s.ID != "" {
			resources[s.Location] = &resource{anchors: map[string]*rule{}}
		}
	}
	if !b.dynamic || len(resources) < 2 {
		return
	}
	for s, r := range b.rules {
		at := s.Location
		for r.resource = resources[at]; r.resource == nil; r.resource = resources[at] {
			i := strings.LastIndexByte(at, '/')
			if i < strings.IndexByte(at, '#') {
				i = strings.IndexByte(at, '#')
				if at = at[:i+1]; resources[at] == nil {
					resources[at] = &resource{anchors: map[string]*rule{}} // its root is not in use
				}
				continue
			}
			at = at[:i]
		}
		if s.DynamicAnchor != "" {
			r.resource.anchors[s.DynamicAnchor] = r
			r.shared = true
		}
	}
}
