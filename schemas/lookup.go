package schemas

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// snapshot is one state of a [Catalog]. It never changes.
type snapshot struct {
	byName map[string]*Compiled
	exact  map[Channel]*Compiled
	seed   maphash.Seed
	groups []shapeGroup // longest prefix first
}

// shape is what templates must have in common to be found by one look into a
// map: a definition for each of a thousand steps, pipeline:{run}:step1 and so on,
// has one shape.
type shape struct {
	prefix   int    // bytes before the first variable
	segments string // for each segment l, a literal, or v, with a variable
}

// shapeGroup has the templates of one shape by the hash of their literal text.
// The hash decides nothing: what it finds is then matched.
type shapeGroup struct {
	shape
	byHash map[uint64][]*Compiled
}

func newSnapshot(byName map[string]*Compiled) *snapshot {
	s := &snapshot{byName: byName, exact: map[Channel]*Compiled{}, seed: maphash.MakeSeed()}
	if s.byName == nil {
		s.byName = map[string]*Compiled{}
	}
	groups := map[shape]map[uint64][]*Compiled{}
	for _, d := range s.byName {
		if d.template.exact {
			s.exact[Channel(d.template.prefix)] = d
			continue
		}
		sh, example := d.template.shape()
		if groups[sh] == nil {
			groups[sh] = map[uint64][]*Compiled{}
		}
		hash, _ := sh.hash(s.seed, example)
		groups[sh][hash] = append(groups[sh][hash], d)
	}
	for sh, byHash := range groups {
		s.groups = append(s.groups, shapeGroup{sh, byHash})
	}
	slices.SortFunc(s.groups, func(a, b shapeGroup) int { return cmp.Compare(b.prefix, a.prefix) })
	return s
}

// shape returns the shape of t and a name that t matches.
func (t *template) shape() (shape, string) {
	var kinds, example []string
	for _, seg := range t.segments {
		kind := "l"
		if seg.variable != "" {
			kind = "v"
		}
		kinds, example = append(kinds, kind), append(example, seg.example())
	}
	return shape{len(t.prefix), strings.Join(kinds, "")}, strings.Join(example, ":")
}

// hash sums up the text of name where templates of the shape are literal, and
// reports whether it could be a name of one of them. It does not allocate.
func (s shape) hash(seed maphash.Seed, name string) (uint64, bool) {
	if len(name) <= s.prefix {
		return 0, false // a variable stands for something
	}
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(name[:s.prefix])
	last := len(s.segments) - 1
	for i := range len(s.segments) {
		text, rest, more := strings.Cut(name, ":")
		if more != (i < last) {
			return 0, false
		}
		if s.segments[i] == 'l' {
			_, _ = h.WriteString(text)
			_ = h.WriteByte(':')
		}
		name = rest
	}
	return h.Sum64(), true
}

// find returns the most specific definition that matches, or nil. No two that
// are equally specific match, or they would not be in one catalog.
func (s *snapshot) find(c Channel) *Compiled {
	if d, ok := s.exact[c]; ok {
		return d
	}
	for i := range s.groups {
		group := &s.groups[i]
		hash, possible := group.hash(s.seed, string(c))
		if !possible {
			continue
		}
		for _, d := range group.byHash[hash] {
			if d.template.matches(c) {
				return d
			}
		}
	}
	return nil
}
