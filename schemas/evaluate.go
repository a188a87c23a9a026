package schemas

import (
	"math"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// evaluation checks one message. It first finds out whether the message is valid, which needs
// no list of faults; for an invalid one, [evaluation.explain] finds the faults.
//
// It remembers the outcome for a value and a schema that can be reached in several ways.
// Otherwise, a schema that refers to itself in several alternatives would multiply the
// work at each level of a value.
type evaluation struct {
	work
	next      int32           // id of a value that is made here
	outcomes  map[uint64]bool // of rules that are shared
	marked    map[uint64]*marks
	entered   []entry // the shared rules that are being applied, innermost last
	depth     int
	dependsOn int // the outermost of entered that an outcome at hand was taken to fail because of

	scope []*resource // the dynamic scope, outermost first

	faultList          // at most one more than is told
	explaining []entry // guards against schemas that refer to themselves without end
}

// entry is a rule that is being applied to a value.
type entry struct {
	rule  *rule
	value int32
}

const nothing = math.MaxInt

// marks says which items or members of a value were evaluated, for unevaluatedItems
// and unevaluatedProperties.
type marks struct {
	all  bool
	each []bool
}

func (m *marks) set(i int) {
	if m != nil {
		m.each[i] = true
	}
}

func (m *marks) setAll() {
	if m != nil {
		m.all = true
	}
}

func (m *marks) merge(other *marks) {
	m.all = m.all || other.all
	for i, done := range other.each {
		m.each[i] = m.each[i] || done
	}
}

// marksFor returns marks of v, nil if there are none to be made.
func (e *evaluation) marksFor(v *value) *marks {
	if len(v.items) == 0 || !e.spend(1+len(v.items)/16) {
		return nil
	}
	return &marks{each: make([]bool, len(v.items))}
}

// holds reports whether v matches r. It records what was evaluated in m, which is nil if
// nobody needs it.
func (e *evaluation) holds(r *rule, v *value, m *marks) bool {
	if !e.spend(1) {
		return false
	}
	if r.Bool != nil {
		return *r.Bool
	}
	if e.depth++; e.depth > maxEntered {
		e.err = ErrTooMuchWork
	}
	if r.resource != nil {
		e.scope = append(e.scope, r.resource)
	}
	var good bool
	if r.shared && !r.leaf {
		good = e.remembered(r, v, m)
	} else {
		good = e.applies(r, v, m)
	}
	if r.resource != nil {
		e.scope = e.scope[:len(e.scope)-1]
	}
	e.depth--
	return good
}

// remembered is applies for a rule that can be reached in several ways.
func (e *evaluation) remembered(r *rule, v *value, m *marks) bool {
	key := uint64(r.id)<<32 | uint64(uint32(v.id))
	if r.resource == nil { // else the outcome depends on the way
		if m == nil {
			if good, known := e.outcomes[key]; known {
				return good
			}
		} else if got, known := e.marked[key]; known {
			if got != nil {
				m.merge(got)
			}
			return got != nil
		}
	}
	at := len(e.entered)
	for i := at - 1; i >= 0 && e.entered[i].value == v.id; i-- {
		if e.entered[i].rule == r {
			e.dependsOn = min(e.dependsOn, i)
			return false // it refers to itself without end
		}
	}
	e.entered = append(e.entered, entry{r, v.id})
	good := e.spend(4) && e.applies(r, v, m)
	e.entered = e.entered[:at]
	if e.dependsOn >= at {
		e.dependsOn = nothing // on nothing that is still being applied
		e.remember(key, r, m, good)
	}
	return good
}

func (e *evaluation) remember(key uint64, r *rule, m *marks, good bool) {
	switch {
	case r.resource != nil || len(e.outcomes)+len(e.marked) >= maxRemembered:
	case m == nil:
		if e.outcomes == nil {
			e.outcomes = make(map[uint64]bool)
		}
		e.outcomes[key] = good
	default:
		if e.marked == nil {
			e.marked = make(map[uint64]*marks)
		}
		if e.marked[key] = nil; good {
			kept := &marks{m.all, append([]bool(nil), m.each...)}
			e.marked[key] = kept
		}
	}
}

// applies is holds without remembered outcomes.
func (e *evaluation) applies(r *rule, v *value, m *marks) bool {
	rest := r.unevaluated(v)
	if rest != nil && m == nil {
		m = e.marksFor(v)
	}
	if !e.simple(r, v) || !e.parts(r, v, m) || !e.inPlace(r, v, m) {
		return false
	}
	if rest == nil {
		return true
	}
	for i := range v.items {
		if m != nil && !m.all && !m.each[i] && !e.holds(rest, &v.items[i], nil) {
			return false
		}
	}
	m.setAll()
	return e.err == nil
}

// unevaluated returns the rule for what nothing else has evaluated, nil for none.
func (r *rule) unevaluated(v *value) *rule {
	switch v.kind {
	case strictjson.Object:
		return r.unevaluatedProperties
	case strictjson.Array:
		return r.unevaluatedItems
	case strictjson.Null, strictjson.Bool, strictjson.Number, strictjson.String:
	}
	return nil
}
