package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// AnyTopic is a [TopicOf] of any type.
type AnyTopic interface {
	Name() string
	Schema() (json.RawMessage, error)
}

// Channel defines a channel, or a family of channels whose names differ in parameters,
// and what is published there.
//
//	pipeline := client.Channel{
//		Name:   "pipeline:{runId}",
//		Topics: []client.AnyTopic{status, tokens},
//	}
//	name, err := pipeline.For(client.Params{"runId": "42"}) // pipeline:42
type Channel struct {
	// Name is the name of a channel, or a template in which a {variable} stands for one or
	// more characters except colons.
	Name string
	// Topics are the topics that the server should know.
	Topics []AnyTopic
	// Merge says of which topics messages are held as one.
	Merge map[string]schemas.MergeRule
	// Strict makes the server refuse messages of other topics.
	Strict bool
	// Replay overrides the server's limits for what it keeps of such a channel. Zero
	// fields override nothing.
	Replay schemas.ReplayLimits
}

// Params are the values of the variables in the name of a channel.
type Params map[string]string

// For returns the name of one channel. Each variable needs a value of one or more
// characters that are legal in a channel name, except colons, so that a value from
// outside cannot name a channel of another shape. It returns [ErrBadParams].
func (c Channel) For(params Params) (string, error) {
	var name strings.Builder
	used := map[string]bool{}
	for rest := c.Name; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		name.WriteString(before)
		if !found {
			break
		}
		variable, tail, _ := strings.Cut(after, "}")
		value, given := params[variable]
		switch {
		case !given:
			return "", fmt.Errorf("%w: %s needs %s", ErrBadParams, c.Name, variable)
		case value == "" || strings.Contains(value, ":"):
			return "", fmt.Errorf("%w: %s must not be empty or contain a colon", ErrBadParams, variable)
		}
		used[variable] = true
		name.WriteString(value)
		rest = tail
	}
	for _, variable := range slices.Sorted(maps.Keys(params)) {
		if !used[variable] {
			return "", fmt.Errorf("%w: %s has no %s", ErrBadParams, c.Name, variable)
		}
	}
	channel, err := schemas.ParseChannel(name.String())
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadParams, err)
	}
	return string(channel), nil
}

// Definition returns the definition that [Client.Define] sends. It returns a
// [*schemas.DefinitionError] with all faults that the server would find, except for ties
// with other definitions, and [ErrNoSchema] for a type without a schema.
func (c Channel) Definition() (schemas.Definition, error) {
	definition := schemas.Definition{Name: c.Name, Strict: c.Strict, Topics: map[string]schemas.TopicDefinition{}}
	if c.Replay != (schemas.ReplayLimits{}) {
		definition.Replay = &c.Replay
	}
	for _, topic := range c.Topics {
		if _, twice := definition.Topics[topic.Name()]; twice {
			return schemas.Definition{}, fmt.Errorf("client: channel %s has topic %s twice", c.Name, topic.Name())
		}
		schema, err := topic.Schema()
		if err != nil {
			return schemas.Definition{}, fmt.Errorf("client: topic %s: %w", topic.Name(), err)
		}
		definition.Topics[topic.Name()] = schemas.TopicDefinition{Schema: schema}
	}
	for name, rule := range c.Merge {
		topic, known := definition.Topics[name]
		if !known {
			return schemas.Definition{}, fmt.Errorf("client: channel %s has a merge rule for topic %s, which it does not have", c.Name, name)
		}
		topic.Merge = &rule
		definition.Topics[name] = topic
	}
	if err := schemas.NewCatalog(schemas.Limits{}).Put(definition); err != nil {
		return schemas.Definition{}, err
	}
	return definition, nil
}
