package schemas

import (
	"fmt"
	"slices"
	"strings"
)

// Pattern names channels: exactly one, or all below a prefix (pipeline:*), or
// all (*). The star stands only at the end, after a colon, or alone: user:1*
// is not a pattern, and user:1:* does not reach user:10.
type Pattern string

// ParsePattern checks s. It returns [ErrBadChannel] when s is neither a pattern
// nor a channel name.
func ParsePattern(s string) (Pattern, error) {
	name := s
	if s == "*" {
		return Pattern(s), nil
	}
	if prefix, ok := strings.CutSuffix(s, ":*"); ok && prefix != "" {
		name = prefix + ":" // what names begin with, as "..:", though ".." is none
	}
	if _, err := ParseChannel(name); err != nil {
		return "", err
	}
	return Pattern(s), nil
}

// Exact returns the one channel that p names, and whether it names just one.
func (p Pattern) Exact() (Channel, bool) {
	return Channel(p), !strings.HasSuffix(string(p), "*")
}

// Matches reports whether p names the channel c.
func (p Pattern) Matches(c Channel) bool {
	if prefix, ok := p.prefix(); ok {
		return len(c) > len(prefix) && strings.HasPrefix(string(c), prefix)
	}
	return string(p) == string(c)
}

// Covers reports whether p names every channel that q names.
func (p Pattern) Covers(q Pattern) bool {
	prefix, ok := p.prefix()
	if !ok {
		return p == q
	}
	inner, ok := q.prefix()
	if !ok {
		return p.Matches(Channel(q))
	}
	return strings.HasPrefix(inner, prefix)
}

// prefix returns what a channel must begin with, the colon included.
func (p Pattern) prefix() (string, bool) {
	return strings.CutSuffix(string(p), "*")
}

// AnyTopic in [Grant.Topics] stands for every topic, $run included, but not $presence.
const AnyTopic = "*"

// Grant allows a list of topics of the channels that a pattern names.
type Grant struct {
	Channel Pattern  `json:"channel"`
	Topics  []string `json:"topics"`
}

// Check reports the first fault of g as [ErrBadGrant]: no topic, or a name
// that is not legal. [TopicRun] and [TopicPresence] may be granted by their names.
func (g Grant) Check() error {
	if _, err := ParsePattern(string(g.Channel)); err != nil {
		return fmt.Errorf("%w: %w", ErrBadGrant, err)
	}
	if len(g.Topics) == 0 {
		return fmt.Errorf("%w: channel %q has no topics", ErrBadGrant, g.Channel)
	}
	for _, topic := range g.Topics {
		if topic == AnyTopic || topic == string(TopicRun) || topic == string(TopicPresence) {
			continue
		}
		if _, err := ParseTopic(topic); err != nil {
			return fmt.Errorf("%w: %w", ErrBadGrant, err)
		}
	}
	return nil
}

// Grants is what a token allows in one direction.
type Grants []Grant

// AllowAll is the grants of an API key.
func AllowAll() Grants { return Grants{{Channel: "*", Topics: []string{AnyTopic}}} }

// Allows reports whether one of the grants covers the topic of the channel.
func (gs Grants) Allows(channel Channel, topic Topic) bool {
	for _, g := range gs {
		if g.Channel.Matches(channel) && (slices.Contains(g.Topics, AnyTopic) || slices.Contains(g.Topics, string(topic))) {
			return true
		}
	}
	return false
}

// Names reports whether one of the grants names the topic for every channel that p names.
// [AnyTopic] is not its name.
func (gs Grants) Names(p Pattern, topic Topic) bool {
	return slices.ContainsFunc(gs, func(g Grant) bool {
		return g.Channel.Covers(p) && slices.Contains(g.Topics, string(topic))
	})
}

// TopicsOf returns the topics that are granted for every channel that p names,
// and whether any is.
func (gs Grants) TopicsOf(p Pattern) (TopicSet, bool) {
	var topics []string
	for _, g := range gs {
		if g.Channel.Covers(p) {
			topics = append(topics, g.Topics...)
		}
	}
	return NewTopicSet(topics), len(topics) > 0
}

// TopicSet is a set of topics. The zero value has every topic in it.
type TopicSet struct {
	names *[]Topic // sorted; nil: all. A pointer, because each stream has a set, and most have every topic
}

// NewTopicSet returns the set of the given names; all topics if [AnyTopic] is
// one of them or if there is none.
func NewTopicSet(names []string) TopicSet {
	if len(names) == 0 || slices.Contains(names, AnyTopic) {
		return TopicSet{}
	}
	set := make([]Topic, len(names))
	for i, name := range names {
		set[i] = Topic(name)
	}
	slices.Sort(set)
	set = slices.Compact(set)
	return TopicSet{&set}
}

// Clone returns a copy that keeps no text alive which the names are parts of.
func (s TopicSet) Clone() TopicSet {
	if s.All() {
		return s
	}
	names := slices.Clone(*s.names)
	for i, name := range names {
		names[i] = Topic(strings.Clone(string(name)))
	}
	return TopicSet{&names}
}

// All reports whether every topic is in s.
func (s TopicSet) All() bool { return s.names == nil }

// Has reports whether topic is in s.
func (s TopicSet) Has(topic Topic) bool {
	if s.All() {
		return true
	}
	_, found := slices.BinarySearch(*s.names, topic)
	return found
}

// Without returns s without a topic that is named in it, and whether anything is left.
func (s TopicSet) Without(topic Topic) (rest TopicSet, some bool) {
	if s.All() || !s.Has(topic) {
		return s, true
	}
	others := slices.DeleteFunc(slices.Clone(*s.names), func(name Topic) bool { return name == topic })
	return TopicSet{&others}, len(others) > 0
}

// Equal reports whether the same topics are in both.
func (s TopicSet) Equal(other TopicSet) bool {
	if s.All() || other.All() {
		return s.All() && other.All()
	}
	return slices.Equal(*s.names, *other.names)
}

// Names returns the topics of s in order, or [AnyTopic] alone. The caller must
// not change it.
func (s TopicSet) Names() []Topic {
	if s.All() {
		return []Topic{AnyTopic}
	}
	return *s.names
}
