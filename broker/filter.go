package broker

import (
	"iter"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// Subscription is what a new stream asks for.
type Subscription struct {
	// Channels must not be empty, and have at most [Options.MaxChannelsPerStream]
	// entries.
	Channels []Selector
	// Presence are the channels of which the stream is told who reads them.
	Presence []schemas.Channel
	// LastEventID is the position to resume from, as the client sent it; "" for none.
	// If it is not an id of this log, the client is told that messages are lost.
	LastEventID string
	// Replay is what is sent first if there is no LastEventID.
	Replay ring.Replay
	Format ring.Format
	Owner  Owner
	// UntilEnd makes the stream end, with close code 4000, once the run of its channel has a
	// final status and everything before that has been sent. Only for one channel that
	// is named.
	UntilEnd bool
	// Arrived is called once, if Subscribe returns a stream: when what was there at its start
	// has been handed out, together with the number of messages that were, or when the
	// stream is closed before that. It must be quick. Default: nobody is told.
	Arrived func(messages int64, complete bool)
}

// Names returns the channels and patterns.
func (s *Subscription) Names() []string {
	names := make([]string, len(s.Channels))
	for i, sel := range s.Channels {
		names[i] = string(sel.Channel)
	}
	return names
}

// channelFilter is what a stream asks for: channels by name and by pattern, each with
// topics.
type channelFilter struct {
	selectors []Selector
	alike     bool // all selectors ask for the same topics
}

// newChannelFilter copies the names, so that it does not keep the request's text alive.
func newChannelFilter(asked []Selector) *channelFilter {
	selectors := make([]Selector, len(asked))
	for i, sel := range asked {
		selectors[i] = Selector{schemas.Pattern(strings.Clone(string(sel.Channel))), sel.Topics.Clone()}
	}
	return filterOf(selectors)
}

func filterOf(selectors []Selector) *channelFilter {
	first := selectors[0].Topics
	return &channelFilter{selectors, !slices.ContainsFunc(selectors, func(sel Selector) bool { return !sel.Topics.Equal(first) })}
}

// divide splits the filter among n shards. An entry is nil if its shard has nothing
// that the filter asks for. Patterns go to every shard.
func (f *channelFilter) divide(n int) []*channelFilter {
	if n == 1 {
		return []*channelFilter{f}
	}
	selectors := make([][]Selector, n)
	for _, sel := range f.selectors {
		if name, exact := sel.Channel.Exact(); exact {
			i := shardIndex(name, n)
			selectors[i] = append(selectors[i], sel)
			continue
		}
		for i := range n {
			selectors[i] = append(selectors[i], sel)
		}
	}
	filters := make([]*channelFilter, n)
	for i, some := range selectors {
		if len(some) > 0 {
			filters[i] = filterOf(some)
		}
	}
	return filters
}

// Selector asks for topics of one channel, or of all channels that a pattern matches.
type Selector struct {
	Channel schemas.Pattern
	Topics  schemas.TopicSet
}

// reads reports whether anything but presence is asked for.
func (sel Selector) reads() bool {
	names := sel.Topics.Names()
	return len(names) != 1 || names[0] != schemas.TopicPresence
}

// named returns the channels that the stream reads by name, each once.
func (f *channelFilter) named() (read []schemas.Channel) {
	for _, sel := range f.selectors {
		if name, exact := sel.Channel.Exact(); exact && sel.reads() && !slices.Contains(read, name) {
			read = append(read, name)
		}
	}
	return read
}

// topics returns the topics of the channel that are asked for.
func (f *channelFilter) topics(name schemas.Channel) schemas.TopicSet {
	if f.alike {
		return f.selectors[0].Topics
	}
	var names []string
	for _, sel := range f.selectors {
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

// patterns returns the names and patterns asked for, in their order.
func (f *channelFilter) patterns() []schemas.Pattern {
	names := make([]schemas.Pattern, len(f.selectors))
	for i, sel := range f.selectors {
		names[i] = sel.Channel
	}
	return names
}

// all returns every topic that is named anywhere, sorted.
func (f *channelFilter) all() []schemas.Topic {
	var topics []schemas.Topic
	for _, sel := range f.selectors {
		topics = append(topics, sel.Topics.Names()...)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// prefixes yields the prefix patterns that match name, but for *. For a:b:c these are
// a:* and a:b:*.
func prefixes(name schemas.Channel) iter.Seq[schemas.Pattern] {
	return func(yield func(schemas.Pattern) bool) {
		for end := 0; ; {
			colon := strings.IndexByte(string(name[end:]), ':')
			if end += colon + 1; colon < 0 || end == len(name) {
				return
			}
			if !yield(schemas.Pattern(name[:end] + "*")) {
				return
			}
		}
	}
}
