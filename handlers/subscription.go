package handlers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// asking is a subscription as the client requested it, unchecked.
type asking struct {
	channels    []channelAsked // if empty, the one channel that the token names
	topics      []string       // for the channels without topics of their own
	replay      string
	lastEventID string
	until       string // "" or "end"
	envelope    string // "" or "none"
	event       string // "" or "message"
}

// channelAsked is one channel or pattern that the client requested.
type channelAsked struct {
	name   string
	topics []string // its own; empty: those of asking
}

// subscribeQuery are the parameters of GET /v1/subscribe, see query.
const subscribeQuery = "channel* topic* replay last_event_id? lastEventId? access_token until envelope event"

// askedInQuery reads the query of GET /v1/subscribe. lastEventID is the header, which takes
// precedence: a browser that reconnects sends it together with the original URL.
func askedInQuery(q url.Values, lastEventID string) (*asking, error) {
	if q.Has("last_event_id") && q.Has("lastEventId") {
		return nil, fmt.Errorf("%w: the query: lastEventId is another name for last_event_id", ErrMalformed)
	}
	if err := checkTopics(q["topic"], schemas.TopicPresence); err != nil {
		return nil, err
	}
	a := &asking{
		topics: q["topic"], replay: q.Get("replay"), lastEventID: cmp.Or(lastEventID, q.Get("last_event_id"), q.Get("lastEventId")),
		until: q.Get("until"), envelope: q.Get("envelope"), event: q.Get("event"),
	}
	for _, name := range q["channel"] {
		a.channels = append(a.channels, channelAsked{name: name})
	}
	return a, nil
}

// subscribeBody is the body of POST /v1/subscribe.
type subscribeBody struct {
	Channels    []json.RawMessage `json:"channels"` // each is a channelBody
	Replay      *replayBody       `json:"replay"`
	LastEventID string            `json:"last_event_id"`
	Until       string            `json:"until"`
	Envelope    string            `json:"envelope"`
	Event       string            `json:"event"`
}

func (*subscribeBody) members() []string {
	return []string{"channels", "replay", "last_event_id", "until", "envelope", "event"}
}

// channelBody is one channel in a subscribeBody.
type channelBody struct {
	Channel string   `json:"channel"`
	Topics  []string `json:"topics"`
}

func (*channelBody) members() []string { return []string{"channel", "topics"} }

// replayBody is the replay member: a string, or a number of messages.
type replayBody string

// UnmarshalJSON implements [json.Unmarshaler].
func (r *replayBody) UnmarshalJSON(b []byte) error {
	if n, err := strconv.ParseUint(string(b), 10, 31); err == nil {
		*r = replayBody(strconv.FormatUint(n, 10))
		return nil
	}
	return json.Unmarshal(b, (*string)(r))
}

// askedInBody reads the body of POST /v1/subscribe. As with the query, the header
// Last-Event-ID takes precedence.
func (a *api) askedInBody(c echo.Context) (*asking, error) {
	var body subscribeBody
	if err := a.readJSON(c, &body); err != nil {
		return nil, err
	}
	asked := &asking{
		lastEventID: cmp.Or(c.Request().Header.Get("Last-Event-ID"), body.LastEventID), until: body.Until, envelope: body.Envelope, event: body.Event,
	}
	if body.Replay != nil {
		asked.replay = string(*body.Replay)
	}
	for i, raw := range body.Channels {
		var channel channelBody
		if err := decodeStrict(raw, &channel); err != nil {
			return nil, fmt.Errorf("%w: /channels/%d: %w", ErrMalformed, i, err)
		}
		if err := checkTopics(channel.Topics, schemas.TopicPresence); err != nil {
			return nil, err
		}
		asked.channels = append(asked.channels, channelAsked{channel.Channel, channel.Topics})
	}
	return asked, nil
}

// subscription checks what a client at the address asked for, also against what its
// credential grants.
func (a *api) subscription(r *requestInfo, asked *asking, format ring.Format, address string) (sub broker.Subscription, err error) {
	who := r.who
	if len(asked.channels) == 0 {
		only, err := onlyChannel(who)
		if err != nil {
			return sub, err
		}
		asked.channels = []channelAsked{{name: only}}
	}
	names := make([]string, len(asked.channels))
	for i, channel := range asked.channels {
		names[i] = channel.name
	}
	if err := a.Broker.Fits(names); err != nil {
		return sub, err
	}
	sub = broker.Subscription{
		LastEventID: asked.lastEventID,
		Format:      format,
		Owner: broker.Owner{
			Subject: who.Subject, TokenID: who.TokenID, Holder: r.holder, Address: address, RequestID: r.id, ExpiresAt: who.ExpiresAt,
			KeyName: who.KeyName, KeyID: namedKeyID(who),
		},
	}
	if sub.Replay, err = ring.ParseReplay(asked.replay); err != nil {
		return sub, err
	}
	if asked.system() {
		sub.Channels, err = systemSelector(who, asked)
	} else {
		sub.Channels, sub.Presence, err = selectors(who, asked)
	}
	if err != nil {
		return sub, err
	}
	return sub, asked.shape(&sub)
}

// namedKeyID returns the id of an API key that can be removed or changed, "" for any other
// credential: streams keep it as long as they live.
func namedKeyID(who *auth.Principal) string {
	if who.KeyName == "" {
		return ""
	}
	return who.KeyID
}

// selectors returns the requested channels with their topics, without duplicates, and those of
// which presence is requested.
func selectors(who *auth.Principal, asked *asking) (list []broker.Selector, presence []schemas.Channel, err error) {
	shared := schemas.NewTopicSet(asked.topics) // for all channels without topics of their own
	seen := make(map[string]bool, len(asked.channels))
	for _, channel := range asked.channels {
		pattern, err := schemas.ParsePattern(channel.name)
		if err != nil {
			return nil, nil, err
		}
		topics, set := asked.topics, shared
		if len(channel.topics) > 0 {
			topics, set = channel.topics, schemas.NewTopicSet(channel.topics)
		}
		wanted, err := mayRead(who, pattern, topics, set)
		if err != nil {
			return nil, nil, err
		}
		follows, err := asksPresence(pattern, topics, wanted)
		if err != nil {
			return nil, nil, err
		}
		if name := schemas.Channel(pattern); follows && !slices.Contains(presence, name) {
			presence = append(presence, name)
		}
		if key := channel.name + "\n" + fmt.Sprint(channel.topics); !seen[key] {
			seen[key] = true
			list = append(list, broker.Selector{Channel: pattern, Topics: wanted})
		}
	}
	return list, presence, nil
}

// asksPresence reports whether the topics, or those that the client gets without naming any,
// include that of presence, which a channel has and a pattern has not.
func asksPresence(channels schemas.Pattern, topics []string, wanted schemas.TopicSet) (bool, error) {
	asks := slices.Contains(topics, string(schemas.TopicPresence)) || len(topics) == 0 && !wanted.All() && wanted.Has(schemas.TopicPresence)
	if _, exact := channels.Exact(); asks && !exact {
		return false, fmt.Errorf("%w: the topic %s needs a channel that is named, and %q is a pattern", ErrMalformed, schemas.TopicPresence, channels)
	}
	return asks, nil
}

// shape sets when the stream ends and in which form its events are sent.
func (a *asking) shape(sub *broker.Subscription) error {
	for _, p := range []struct {
		name, got, want string
		one             bool // needs exactly one channel, not a pattern
		set             func()
	}{
		{"until", a.until, "end", true, func() { sub.UntilEnd = true }},
		{"envelope", a.envelope, "none", true, func() { sub.Format |= ring.Bare }},
		{"event", a.event, "message", false, func() { sub.Format |= ring.Anonymous }},
	} {
		if p.got == "" {
			continue
		}
		if p.got != p.want {
			return fmt.Errorf("%w: %s must be %s", ErrMalformed, p.name, p.want)
		}
		if _, exact := sub.Channels[0].Channel.Exact(); p.one && (len(sub.Channels) != 1 || !exact) {
			return fmt.Errorf("%w: %s=%s needs exactly one channel, which must not be a pattern", ErrMalformed, p.name, p.want)
		}
		p.set()
	}
	return nil
}

// onlyChannel returns the channel of a token that names exactly one.
func onlyChannel(who *auth.Principal) (string, error) {
	var only string
	for _, g := range who.Subscribe {
		name, exact := g.Channel.Exact()
		if !exact || only != "" && only != string(name) {
			only = ""
			break
		}
		only = string(name)
	}
	if only == "" {
		return "", fmt.Errorf("%w: channel is missing, and the credential does not name exactly one", ErrMalformed)
	}
	return only, nil
}
