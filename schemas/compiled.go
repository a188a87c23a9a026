package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Errors of [Compiled.Check].
var (
	// ErrSchemaViolation says that a message does not match its topic's schema.
	ErrSchemaViolation = errors.New("schemas: message does not match its schema")
	// ErrUnknownTopic says that a strict definition does not have the topic.
	ErrUnknownTopic = errors.New("schemas: topic is not defined")
)

// maxViolations is how many faults of one message are reported.
const maxViolations = 32

// Violation is the [ErrSchemaViolation] of one message.
type Violation struct {
	Topic  Topic
	Errors []FieldError // the first 32, in the order of their pointers
	Total  int          // how many there were
}

// Error names the first faults. Values of the message are not repeated in it,
// names of its members are, shortened.
func (v *Violation) Error() string {
	return fmt.Sprintf("%v: topic %q: %s", ErrSchemaViolation, v.Topic, listFaults(v.Errors, v.Total))
}

// Unwrap returns [ErrSchemaViolation].
func (v *Violation) Unwrap() error { return ErrSchemaViolation }

// UnknownTopicError is the [ErrUnknownTopic] of one message.
type UnknownTopicError struct {
	Topic      Topic
	Definition string // the name of the definition that does not have it
}

// Error names the topic and the definition.
func (e *UnknownTopicError) Error() string {
	return fmt.Sprintf("%v: %q does not have topic %q", ErrUnknownTopic, e.Definition, e.Topic)
}

// Unwrap returns [ErrUnknownTopic].
func (e *UnknownTopicError) Unwrap() error { return ErrUnknownTopic }

// Compiled is a [Definition] made ready for use. It never changes; its methods
// may be called at the same time.
type Compiled struct {
	def      Definition
	template template
	topics   map[Topic]*schema // nil: everything is good
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

// Check holds one message to the schema of its topic. It returns
// [*UnknownTopicError] or [*Violation]. [TopicRun] is the system's own: its
// messages are always good. Without a schema, data is not looked at.
//
// With one, nesting of more than 64 levels is a fault, and so is a number of more
// than 1,000 characters or with an exponent beyond 1,000: arithmetic is exact.
// Numbers are compared as decimals, of a member that stands there twice the last
// one counts.
//
// What a check costs grows with the size of the message, which the caller
// bounds, times that of the schema. Two things let it grow faster. Comparing
// items for uniqueItems takes up to the square of their number if their author
// wants it to. A schema that refers to itself in several alternatives, or many
// times over to a part that does the same, is followed each time, which may
// multiply the work at every level; nothing bounds that, so only those who run
// the server should define channels.
func (d *Compiled) Check(topic Topic, data []byte) error {
	s, known := d.topics[topic]
	switch {
	case topic == TopicRun:
		return nil
	case !known && d.def.Strict:
		return &UnknownTopicError{topic, d.def.Name}
	case s == nil:
		return nil
	}
	faults := s.check(data)
	if len(faults) == 0 {
		return nil
	}
	// The order of faults is otherwise that of a map.
	slices.SortFunc(faults, compareFaults)
	return &Violation{topic, faults[:min(len(faults), maxViolations)], len(faults)}
}

// compileDefinition makes def ready for use. It returns the faults of its form
// apart from those of its schemas, both in the order of the topics' names.
func compileDefinition(def *Definition) (c *Compiled, form, bad []FieldError) {
	c = &Compiled{def: def.clone(), topics: make(map[Topic]*schema, len(def.Topics))}
	var faults []string
	c.template, faults = parseTemplate(def.Name)
	for _, fault := range faults {
		form = append(form, FieldError{"/name", fault})
	}
	for name, topic := range def.Topics {
		at := join("/topics", name)
		if fault := topicFault(name); fault != "" {
			form = append(form, FieldError{at, "is not a topic's name: " + fault})
		}
		s, faults := compileTopic(topic.Schema)
		c.topics[Topic(name)] = s
		bad = append(bad, prefixed(at+"/schema", faults)...)
	}
	if replay := c.Replay(); replay.Messages < 0 || replay.Bytes < 0 || replay.Age < 0 {
		form = append(form, FieldError{"/replay", "has a negative limit"})
	}
	slices.SortFunc(form, compareFaults)
	slices.SortFunc(bad, compareFaults)
	return c, form, bad
}

// maxSchemaValues is how many JSON values a schema may consist of. Compiling
// takes up to the square of their number.
const maxSchemaValues = 10_000

// compileTopic returns nil for a schema that is left out.
func compileTopic(raw json.RawMessage) (*schema, []FieldError) {
	if len(raw) == 0 {
		return nil, nil
	}
	root, faults := readJSON(raw)
	if len(faults) > 0 {
		return nil, faults
	}
	if _, values := root.extent(); values > maxSchemaValues {
		return nil, []FieldError{{"", fmt.Sprintf("has %d values, at most %d are allowed", values, maxSchemaValues)}}
	}
	return compileSchema(raw)
}
