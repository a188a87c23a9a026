package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// ErrBadParams is returned by [Channel.For].
var ErrBadParams = errors.New("client: bad parameters of a channel's name")

// AnyTopic is a [TopicOf] of whatever type.
type AnyTopic interface {
	Name() string
	Schema() (json.RawMessage, error)
}

// Channel defines a channel, or a family of channels whose names differ in
// parameters, with what is published there.
//
//	pipeline := client.Channel{
//		Name:   "pipeline:{runId}",
//		Topics: []client.AnyTopic{status, tokens},
//	}
//	name, err := pipeline.For(client.Params{"runId": "42"}) // pipeline:42
type Channel struct {
	// Name is a channel's name, or a template in which a {variable} stands for one
	// or more characters other than a colon.
	Name string
	// Topics are those that the server is to know.
	Topics []AnyTopic
	// Strict makes the server refuse messages of other topics.
	Strict bool
	// Replay overrides what the server keeps of such a channel; a field that is
	// zero overrides nothing.
	Replay schemas.ReplayLimits
}

// Params are the values of the variables in a channel's name.
type Params map[string]string

// For returns the name of one channel. Each variable needs a value of one or more
// characters that are legal in a channel's name, other than a colon: so a value
// from outside cannot lead to a channel of another shape. It returns
// [ErrBadParams].
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

// Definition returns what [Client.Define] sends. All that the server would find
// wrong with it, but for ties with other definitions, is a
// [*schemas.DefinitionError]; a type without a schema is [ErrNoSchema].
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
	if err := schemas.NewCatalog(schemas.Limits{}).Put(definition); err != nil {
		return schemas.Definition{}, err
	}
	return definition, nil
}
