package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// Limits are the limits of a [Catalog]. A zero field stands for its default.
type Limits struct {
	Definitions   int // definitions in all; 1,000
	DocumentBytes int // of a definition as compact JSON; 256 KiB
	Topics        int // of a definition; 256
	SchemaDepth   int // of the nesting of a schema; 64
}

func (l Limits) withDefaults() Limits {
	def := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	def(&l.Definitions, 1000)
	def(&l.DocumentBytes, 256*int(KiB))
	def(&l.Topics, 256)
	def(&l.SchemaDepth, 64)
	return l
}

// Catalog holds the channel definitions of a server. Its methods are safe for concurrent
// use, and [Catalog.For] never waits for a change. Callers must not modify what the
// methods return.
type Catalog struct {
	limits  Limits
	mu      sync.Mutex // held while current is replaced
	current atomic.Pointer[snapshot]
}

// NewCatalog returns an empty catalog.
func NewCatalog(limits Limits) *Catalog {
	c := &Catalog{limits: limits.withDefaults()}
	c.current.Store(newSnapshot(nil))
	return c
}

// For returns the definition for a channel, or nil. If several templates match, it is the
// one with the longest literal text before the first variable. It does not allocate.
func (c *Catalog) For(channel Channel) *Compiled {
	return c.current.Load().find(channel)
}

// Get returns the definition with the given name. It returns [ErrNoDefinition].
func (c *Catalog) Get(name string) (Definition, error) {
	d, ok := c.current.Load().byName[name]
	if !ok {
		return Definition{}, ErrNoDefinition
	}
	return d.def, nil
}

// List returns all definitions, ordered by name.
func (c *Catalog) List() []Definition {
	byName := c.current.Load().byName
	defs := make([]Definition, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		defs = append(defs, byName[name].def)
	}
	return defs
}

// Put adds a definition or replaces the one with its name. If it returns an error, nothing
// has changed. The error is a [*DefinitionError], which wraps [ErrBadSchema] or
// [ErrBadDefinition], or it is [ErrTooManyDefinitions].
//
// Two templates conflict if they differ only in the names of variables, or if they are
// equally specific and may match the same channel.
func (c *Catalog) Put(def Definition) error {
	compiled, form, bad := c.compile(&def)
	if err := definitionError(form, bad); err != nil {
		return err
	}
	return c.replace([]*Compiled{compiled}, noPointer)
}

// Check returns the error that Put would return, and changes nothing.
func (c *Catalog) Check(def Definition) error {
	compiled, form, bad := c.compile(&def)
	if err := definitionError(form, bad); err != nil {
		return err
	}
	_, err := c.merged([]*Compiled{compiled}, noPointer)
	return err
}

// noPointer is where a definition stands that is not in a file.
func noPointer(int) string { return "" }

// PutAll puts all definitions of a file, or none of them if one is faulty. The pointers of
// the errors begin with /channels/ and the index.
func (c *Catalog) PutAll(defs []Definition) error {
	var form, bad []FieldError
	all := make([]*Compiled, len(defs))
	for i := range defs {
		compiled, f, b := c.compile(&defs[i])
		all[i] = compiled
		form = append(form, prefixed(filePointer(i), f)...)
		bad = append(bad, prefixed(filePointer(i), b)...)
	}
	if err := definitionError(form, bad); err != nil {
		return err
	}
	return c.replace(all, filePointer)
}

// Delete removes the definition with the given name. It returns [ErrNoDefinition].
func (c *Catalog) Delete(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	byName := maps.Clone(c.current.Load().byName)
	if _, ok := byName[name]; !ok {
		return ErrNoDefinition
	}
	delete(byName, name)
	c.current.Store(newSnapshot(byName))
	return nil
}

// compile is compileDefinition with the limits of the catalog.
func (c *Catalog) compile(def *Definition) (compiled *Compiled, form, bad []FieldError) {
	if document, err := json.Marshal(def); err == nil && len(document) > c.limits.DocumentBytes {
		return nil, []FieldError{{"", tooMuch(len(document), "bytes", c.limits.DocumentBytes)}}, nil
	}
	if len(def.Topics) > c.limits.Topics {
		return nil, []FieldError{{"/topics", tooMuch(len(def.Topics), "topics", c.limits.Topics)}}, nil
	}
	for _, name := range slices.Sorted(maps.Keys(def.Topics)) {
		root, _ := readJSON(def.Topics[name].Schema)
		if root == nil {
			continue // no schema, or one in which compiling finds the fault
		}
		if depth, _ := root.extent(); depth > c.limits.SchemaDepth {
			bad = append(bad, FieldError{strictjson.Pointer("/topics", name) + "/schema", tooMuch(depth, "levels", c.limits.SchemaDepth)})
		}
	}
	if len(bad) > 0 {
		return nil, nil, bad
	}
	return compileDefinition(def)
}

func tooMuch(got int, what string, limit int) string {
	return fmt.Sprintf("has %d %s, at most %d are allowed", got, what, limit)
}

// replace makes a snapshot that has all of added.
func (c *Catalog) replace(added []*Compiled, pointer func(int) string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	byName, err := c.merged(added, pointer)
	if err != nil {
		return err
	}
	c.current.Store(newSnapshot(byName))
	return nil
}

// merged returns the definitions of now, with all of added.
func (c *Catalog) merged(added []*Compiled, pointer func(int) string) (map[string]*Compiled, error) {
	var l faultList
	byName := maps.Clone(c.current.Load().byName)
	fresh := map[string]bool{}
	for i, d := range added {
		if fresh[d.Name()] {
			l.add(pointer(i)+"/name", "is defined twice")
		}
		fresh[d.Name()] = true
		byName[d.Name()] = d
	}
	if n := len(byName); n > c.limits.Definitions {
		return nil, fmt.Errorf("%w: there would be %d, at most %d are allowed", ErrTooManyDefinitions, n, c.limits.Definitions)
	}
	for i, d := range added {
		for _, name := range tiesOf(d, byName) {
			l.add(pointer(i)+"/name", "%s", name)
		}
	}
	return byName, definitionError(l.faults, nil)
}

// tiesOf returns the definitions with which d conflicts.
func tiesOf(d *Compiled, byName map[string]*Compiled) []string {
	var ties []string
	for name, other := range byName {
		if name == d.Name() {
			continue
		}
		if why := d.template.tie(&other.template); why != "" {
			ties = append(ties, fmt.Sprintf("%s: %q", why, name))
		}
	}
	slices.SortFunc(ties, strings.Compare)
	return ties
}
