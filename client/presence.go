package client

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// Presence is who reads a channel, on all nodes.
type Presence struct {
	Count    int       `json:"count"`    // subjects, and streams whose token has none
	Subjects []Present `json:"subjects"` // at most 1,000, who has been there the longest first
	More     bool      `json:"more"`     // there are more subjects
}

// Present is a subject that reads a channel.
type Present struct {
	Sub     string       `json:"sub"`
	Streams int          `json:"streams"` // 0: the last one has ended within five seconds
	Since   schemas.Time `json:"since"`   // it has not been away for more than five seconds since
}

// Presence returns who reads the channel. It needs an API key, or a grant that names the topic
// $presence. Transient failures are retried.
func (c *Client) Presence(ctx context.Context, channel string) (Presence, error) {
	var p Presence
	err := c.call(ctx, request{
		method: http.MethodGet, path: "/v1/channels/$/presence", query: url.Values{"channel": {channel}}, repeat: ifTransient, long: true,
	}, &p)
	return p, err
}

// PresenceEvent says who reads a channel, or who came and went since the last one.
type PresenceEvent struct {
	Channel string   `json:"channel"`
	State   bool     `json:"state"` // Joined is everybody, and what was told before does not count
	Joined  []string `json:"joined"`
	Left    []string `json:"left"`
	Count   int      `json:"count"`   // subjects, and streams whose token has none
	Partial bool     `json:"partial"` // the next event belongs to this one
	More    bool     `json:"more"`    // there are too many subjects to name them
}

// Readers is who reads a channel at some time.
type Readers struct {
	Subjects     []string // sorted; none if there are more than 1,000
	Joined, Left []string // since the last one, sorted
	Count        int      // subjects, and streams whose token has none
	More         bool     // there are more than 1,000 subjects: they are counted, and not named
}

// FollowPresence returns a loop over who reads the channel: first whoever is there, then each
// change. It needs an API key that may do everything, or a grant that names the topic $presence.
// Whoever follows a channel in this way is not among its readers.
//
// After a lost connection it reconnects, as [Client.Events] describes, and goes on with what is
// different. Its errors are those of Events.
//
//	for readers, err := range c.FollowPresence(ctx, "room:1") {
//		if err != nil {
//			return err
//		}
//		show(readers.Subjects)
//	}
func (c *Client) FollowPresence(ctx context.Context, channel string) iter.Seq2[Readers, error] {
	return func(yield func(Readers, error) bool) {
		known, first := map[string]bool{}, true
		sub := Subscription{Channels: []string{channel}, Topics: []string{string(schemas.TopicPresence)}}
		var before Readers
		for event, err := range c.Events(ctx, sub) {
			if err != nil {
				if !yield(Readers{}, err) {
					return
				}
				continue
			}
			if event.Presence == nil {
				continue
			}
			if event.Presence.apply(known); event.Presence.Partial {
				continue
			}
			now := Readers{Subjects: slices.Sorted(maps.Keys(known)), Count: event.Presence.Count, More: event.Presence.More}
			if now.More == before.More {
				now.Joined, now.Left = missing(now.Subjects, before.Subjects), missing(before.Subjects, now.Subjects)
			}
			if !first && len(now.Joined)+len(now.Left) == 0 && now.Count == before.Count && now.More == before.More {
				continue // as before a reconnection
			}
			if before, first = now, false; !yield(now, nil) {
				return
			}
		}
	}
}

// apply changes the known subjects as the event says.
func (e *PresenceEvent) apply(known map[string]bool) {
	if e.State {
		clear(known)
	}
	for _, sub := range e.Joined {
		known[sub] = true
	}
	for _, sub := range e.Left {
		delete(known, sub)
	}
}

// missing returns which of the sorted names are not in the other list, also sorted.
func missing(names, from []string) (not []string) {
	for _, name := range names {
		if _, found := slices.BinarySearch(from, name); !found {
			not = append(not, name)
		}
	}
	return not
}
