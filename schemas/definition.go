package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
)

// Errors about definitions.
var (
	// ErrBadDefinition says that a definition is not formed as it must be, or
	// that it cannot stand beside another one.
	ErrBadDefinition = errors.New("schemas: bad channel definition")
	// ErrBadSchema says that the definition is well formed, but a schema in it
	// does not compile.
	ErrBadSchema = errors.New("schemas: bad schema")
	// ErrNoDefinition says that there is no definition of that name.
	ErrNoDefinition = errors.New("schemas: no such channel definition")
	// ErrTooManyDefinitions says that the catalog is full.
	ErrTooManyDefinitions = errors.New("schemas: too many channel definitions")
)

// Definition holds the messages of the channels that its name stands for to
// schemas, and may set how much of them is kept.
//
// Its JSON form is what is sent over HTTP; an item of the channels list of a
// definitions file is the same in YAML.
type Definition struct {
	// Name is a template of at most [MaxChannelBytes] bytes. A {variable} stands
	// for one or more characters other than a colon; between two colons there is
	// at most one, with literal text around it or not. A variable's name is a
	// letter or _, then letters, digits or _, and used once. What is left must be
	// legal in a channel's name. Without variables it is a channel's name.
	Name string `json:"name"`
	// Topics has the topics that are held to a schema, or just known.
	Topics map[string]TopicDefinition `json:"topics,omitempty"`
	// Replay overrides what is kept of such a channel; nil: nothing is overridden.
	Replay *ReplayLimits `json:"replay,omitempty"`
	// Strict refuses messages of topics that are not in Topics.
	Strict bool `json:"strict,omitempty"`
}

// TopicDefinition says what the messages of a topic must be like.
type TopicDefinition struct {
	// Schema is a JSON Schema of draft 2020-12, compact JSON. References are
	// resolved within it and nowhere else. Empty: every message is good.
	Schema json.RawMessage `json:"schema,omitempty"`
}

// ReplayLimits is what is kept of a channel for replay. A field that is zero
// leaves the server's own limit in place.
type ReplayLimits struct {
	Messages int      `json:"messages,omitempty"`
	Bytes    ByteSize `json:"bytes,omitempty"`
	Age      Duration `json:"age,omitempty"`
}

// DefinitionError lists all faults of a document at once.
type DefinitionError struct {
	Err    error // [ErrBadDefinition] or, if only schemas are at fault, [ErrBadSchema]
	Errors []FieldError
}

// Error names the first faults.
func (e *DefinitionError) Error() string {
	return e.Err.Error() + ": " + listFaults(e.Errors, len(e.Errors))
}

// Unwrap returns e.Err.
func (e *DefinitionError) Unwrap() error { return e.Err }

// definitionError returns nil if there are no faults.
func definitionError(form, schema []FieldError) error {
	switch {
	case len(form) > 0:
		return &DefinitionError{ErrBadDefinition, append(form, schema...)}
	case len(schema) > 0:
		return &DefinitionError{ErrBadSchema, schema}
	}
	return nil
}

// ParseDefinition reads the JSON form of a definition. If name is not empty,
// as when it stands in the request's path, the document may leave its name out
// and must not have another one.
//
// It returns a [*DefinitionError] that has every fault but those that only a
// [Catalog] can see: its limits, and ties with other definitions.
func ParseDefinition(name string, data []byte) (Definition, error) {
	root, faults := readJSON(data)
	d := decoder{faultList: faultList{faults}}
	if root == nil {
		return Definition{}, definitionError(d.faults, nil)
	}
	def := d.definition(root, "", name)
	schema := d.compile(&def, "")
	if err := definitionError(d.faults, schema); err != nil {
		return Definition{}, err
	}
	return def, nil
}

// UnmarshalJSON implements [json.Unmarshaler] with [ParseDefinition].
func (d *Definition) UnmarshalJSON(data []byte) error {
	def, err := ParseDefinition("", data)
	if err == nil {
		*d = def
	}
	return err
}

// LoadDefinitions reads a YAML file whose one key, channels, has a list of
// definitions. Pointers of the [*DefinitionError] that it returns are those of
// the file's JSON form, and each detail names the line.
func LoadDefinitions(path string) ([]Definition, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defs, err := parseDefinitions(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return defs, nil
}

func parseDefinitions(data []byte) ([]Definition, error) {
	root, faults := readYAML(data)
	d := decoder{faultList: faultList{faults}}
	if root == nil {
		return nil, definitionError(d.faults, nil)
	}
	defs := d.file(root)
	var schema []FieldError
	for i := range defs {
		schema = append(schema, d.compile(&defs[i], filePointer(i))...)
	}
	for _, list := range [][]FieldError{d.faults, schema} {
		for i, f := range list {
			list[i].Detail = fmt.Sprintf("%s (line %d)", f.Detail, root.lineOf(f.Pointer))
		}
	}
	return defs, definitionError(d.faults, schema)
}

// filePointer is where the definition i stands in a file.
func filePointer(i int) string { return fmt.Sprintf("/channels/%d", i) }

// clone returns a definition that shares nothing a caller could change.
func (d *Definition) clone() Definition {
	c := *d
	c.Topics = maps.Clone(d.Topics)
	for name, topic := range c.Topics {
		topic.Schema = append(json.RawMessage(nil), topic.Schema...)
		c.Topics[name] = topic
	}
	if d.Replay != nil {
		replay := *d.Replay
		c.Replay = &replay
	}
	return c
}
