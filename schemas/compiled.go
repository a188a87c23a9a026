package schemas

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// maxViolations is how many faults of one message are reported.
const maxViolations = 32

// Violation is the [ErrSchemaViolation] of one message.
type Violation struct {
	Topic  Topic
	Errors []FieldError // the first 32 faults, ordered by pointer
	More   bool         // there are more; the check stopped after these
}

// Error lists the first faults. It quotes names of members, shortened, but no values of the
// message.
func (v *Violation) Error() string {
	return fmt.Sprintf("%v: topic %q: %s", ErrSchemaViolation, v.Topic, listFaults(v.Errors, v.More))
}

// Unwrap returns [ErrSchemaViolation].
func (v *Violation) Unwrap() error { return ErrSchemaViolation }

// Compiled is a compiled [Definition]. It never changes, and its methods are safe for
// concurrent use.
type Compiled struct {
	def      Definition
	template template
	topics   map[Topic]*schema // nil: every message is valid
	merge    *MergeRules       // nil: no topic has one
}

// Name returns the name of the definition.
func (d *Compiled) Name() string { return d.def.Name }

// Replay returns what the definition says about replay.
func (d *Compiled) Replay() ReplayLimits {
	if d.def.Replay == nil {
		return ReplayLimits{}
	}
	return *d.def.Replay
}

// Check checks one message against the schema of its topic. It returns
// [ErrUnknownTopic], a [*Violation], [ErrTooMuchWork] or the error of ctx. Messages of
// [TopicRun], the system's own topic, are always valid. Without a schema, Check does not
// look at data.
//
// With a schema, more than 64 levels of nesting are a fault, and so is a number of more
// than 1,000 characters or with an exponent beyond 1,000, because arithmetic is exact.
// Numbers are compared as decimals. Of a repeated member, the last one counts.
//
// The size of a message limits the work of the check; [ErrTooMuchWork] is returned for more
// than that. The check also stops when ctx ends.
func (d *Compiled) Check(ctx context.Context, topic Topic, data []byte) error {
	s, known := d.topics[topic]
	switch {
	case topic == TopicRun:
		return nil
	case !known && d.def.Strict:
		return fmt.Errorf("%w: %q does not have topic %q", ErrUnknownTopic, d.def.Name, topic)
	case s == nil:
		return nil
	}
	faults, err := s.check(ctx, data)
	if err != nil || len(faults) == 0 {
		return err
	}
	told := faults[:min(len(faults), maxViolations)]
	slices.SortFunc(told, compareFaults)
	return &Violation{topic, told, len(faults) > len(told)}
}

// compileDefinition compiles def. It returns the faults of its form separately from those of
// its schemas, both ordered by the names of the topics.
func compileDefinition(def *Definition) (c *Compiled, form, bad []FieldError) {
	c = &Compiled{def: def.clone(), topics: make(map[Topic]*schema, len(def.Topics))}
	var faults []string
	c.template, faults = parseTemplate(def.Name)
	for _, fault := range faults {
		form = append(form, FieldError{"/name", fault})
	}
	var compiler schemaCompiler
	for _, name := range slices.Sorted(maps.Keys(def.Topics)) {
		if len(form) >= maxFaults || len(bad) >= maxFaults {
			break
		}
		at := strictjson.Pointer("/topics", name)
		if fault := topicFault(name); fault != "" {
			form = append(form, FieldError{at, "is not a topic's name: " + fault})
		}
		s, faults := compiler.topic(def.Topics[name].Schema)
		c.topics[Topic(name)] = s
		bad = append(bad, prefixed(at+"/schema", faults)...)
		form = append(form, prefixed(at+"/merge", c.compileMerge(Topic(name), c.def.Topics[name].Merge))...)
	}
	if replay := c.Replay(); replay.Messages < 0 || replay.Bytes < 0 || replay.Age < 0 {
		form = append(form, FieldError{"/replay", "has a negative limit"})
	}
	slices.SortFunc(form, compareFaults)
	slices.SortFunc(bad, compareFaults)
	return c, form, bad
}

// Limits of the JSON values in one schema and in all schemas of a definition. The time to
// compile grows with the square of their number in the worst case.
const (
	maxSchemaValues     = 10_000
	maxDefinitionValues = 20_000
)

// topic compiles the schema of a topic. It returns nil for no schema.
func (c *schemaCompiler) topic(raw json.RawMessage) (*schema, []FieldError) {
	if len(raw) == 0 {
		return nil, nil
	}
	root, faults := readJSON(raw)
	if len(faults) > 0 {
		return nil, faults
	}
	_, values := root.extent()
	if values > maxSchemaValues {
		return nil, []FieldError{{"", tooMuch(values, "values", maxSchemaValues)}}
	}
	if c.values += values; c.values > maxDefinitionValues {
		return nil, []FieldError{{"", fmt.Sprintf("makes the schemas of the definition too large: at most %d values are allowed together", maxDefinitionValues)}}
	}
	return c.compile(raw)
}
