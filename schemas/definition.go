package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Definition sets schemas for the messages of the channels that its name matches, and may
// set how many of them are kept.
//
// Its JSON form is used over HTTP; in a definitions file, an item of the channels list is
// the same in YAML.
type Definition struct {
	// Name is a template of at most [MaxChannelBytes] bytes. A {variable} stands for one or
	// more characters except colons. There is at most one variable between two colons,
	// with or without literal text around it. The name of a variable is a letter or _, then
	// letters, digits or _, and occurs once. The literal text must be legal in a channel
	// name. Without variables, the template is the name of one channel.
	Name string `json:"name"`
	// Topics has the known topics, with or without a schema.
	Topics map[string]TopicDefinition `json:"topics,omitempty"`
	// Replay overrides how much of such a channel is kept; nil overrides nothing.
	Replay *ReplayLimits `json:"replay,omitempty"`
	// Strict refuses messages of topics that are not in Topics.
	Strict bool `json:"strict,omitempty"`
}

// TopicDefinition says what the messages of a topic must look like.
type TopicDefinition struct {
	// Schema is a JSON Schema of draft 2020-12, in compact JSON. References are resolved
	// only within it. If it is empty, every message is valid.
	Schema json.RawMessage `json:"schema,omitempty"`
	// Merge says which messages are held as one; nil: none.
	Merge *MergeRule `json:"merge,omitempty"`
}

// ReplayLimits limit what a channel keeps for replay. A zero field leaves the server's own
// limit in place.
type ReplayLimits struct {
	Messages int      `json:"messages,omitempty"`
	Bytes    ByteSize `json:"bytes,omitempty"`
	Age      Duration `json:"age,omitempty"`
}

// DefinitionError lists all faults of a document, at most 100.
type DefinitionError struct {
	Err    error // [ErrBadDefinition] or, if only schemas are at fault, [ErrBadSchema]
	Errors []FieldError
}

// Error lists the first faults.
func (e *DefinitionError) Error() string {
	return e.Err.Error() + ": " + listFaults(e.Errors, false)
}

// Unwrap returns e.Err.
func (e *DefinitionError) Unwrap() error { return e.Err }

// definitionError returns nil if there are no faults.
func definitionError(form, schema []FieldError) error {
	all := slices.Concat(form, schema)
	all = all[:min(len(all), maxFaults)]
	switch {
	case len(form) > 0:
		return &DefinitionError{ErrBadDefinition, all}
	case len(schema) > 0:
		return &DefinitionError{ErrBadSchema, all}
	}
	return nil
}

// ParseDefinition reads the JSON form of a definition. If name is not empty, for example
// because it is in the path of the request, the document may leave out its name but must
// not have another one.
//
// It returns a [*DefinitionError] with all faults except those that only a [Catalog] can
// find: its limits, and conflicts with other definitions.
func ParseDefinition(name string, data []byte) (Definition, error) {
	root, faults := readJSON(data)
	return parseDefinition(name, root, faults)
}

// ParseDefinitionYAML does the same with YAML: one item of the list in a definitions file, see
// [LoadDefinitions]. Details of faults name the line and the column.
func ParseDefinitionYAML(name string, data []byte) (Definition, error) {
	root, faults := readYAML(data)
	return parseDefinition(name, root, faults)
}

func parseDefinition(name string, root *node, faults []FieldError) (Definition, error) {
	d := decoder{faultList: faultList{faults}}
	if root == nil {
		return Definition{}, definitionError(d.faults, nil)
	}
	def := d.definition(root, "", name)
	schema := d.compile(&def, "")
	if err := definitionError(root.locate(d.faults), root.locate(schema)); err != nil {
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

// LoadDefinitions reads a YAML file whose only key, channels, has a list of definitions. In
// the [*DefinitionError] that it returns, pointers refer to the JSON form of the file, and
// each detail names the line and the column.
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
	return defs, definitionError(root.locate(d.faults), root.locate(schema))
}

// filePointer is where the definition i stands in a file.
func filePointer(i int) string { return fmt.Sprintf("/channels/%d", i) }

// clone returns a definition that shares nothing that a caller could modify.
func (d *Definition) clone() Definition {
	c := *d
	c.Topics = maps.Clone(d.Topics)
	for name, topic := range c.Topics {
		topic.Schema = append(json.RawMessage(nil), topic.Schema...)
		if topic.Merge != nil {
			topic.Merge = &MergeRule{topic.Merge.Append, slices.Clone(topic.Merge.Key)}
		}
		c.Topics[name] = topic
	}
	if d.Replay != nil {
		replay := *d.Replay
		c.Replay = &replay
	}
	return c
}
