package broker

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice/schemas"
)

// wants is what a stream asks for: channels by name and by pattern, each with
// topics.
type wants struct {
	selectors []Selector
	alike     bool // all ask for the same topics
}

// newWants keeps no text alive that a name in the selectors is a part of.
func newWants(asked []Selector) wants {
	selectors := make([]Selector, len(asked))
	for i, sel := range asked {
		selectors[i] = Selector{schemas.Pattern(strings.Clone(string(sel.Channel))), sel.Topics.Clone()}
	}
	first := selectors[0].Topics
	return wants{selectors, !slices.ContainsFunc(selectors, func(sel Selector) bool { return !sel.Topics.Equal(first) })}
}

// Selector asks for the topics of a channel, or of all channels that a pattern
// names.
type Selector struct {
	Channel schemas.Pattern
	Topics  schemas.TopicSet
}

// topics returns which topics of the channel are wanted.
func (w wants) topics(name schemas.Channel) schemas.TopicSet {
	if w.alike {
		return w.selectors[0].Topics
	}
	var names []string
	for _, sel := range w.selectors {
		if !sel.Channel.Matches(name) {
			continue
		}
		if sel.Topics.All() {
			return sel.Topics
		}
		for _, topic := range sel.Topics.Names() {
			names = append(names, string(topic))
		}
	}
	return schemas.NewTopicSet(names)
}

// patterns returns what was asked for, in the order of asking.
func (w wants) patterns() []schemas.Pattern {
	names := make([]schemas.Pattern, len(w.selectors))
	for i, sel := range w.selectors {
		names[i] = sel.Channel
	}
	return names
}

// all returns every topic that is named somewhere.
func (w wants) all() []schemas.Topic {
	var topics []schemas.Topic
	for _, sel := range w.selectors {
		topics = append(topics, sel.Topics.Names()...)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}
