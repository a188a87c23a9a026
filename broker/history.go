package broker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Query asks for messages of a channel without a stream.
type Query struct {
	Topics schemas.TopicSet
	// After and Before bound the positions, both exclusive; "" for no bound. An
	// After of another life of the log counts as a loss, a Before of one as none.
	After, Before string
	Limit         int  // at most so many messages; at least 1
	Newest        bool // newest first
}

// History is a page of a channel's messages.
type History struct {
	Messages []json.RawMessage `json:"messages"`
	FirstID  *schemas.ID       `json:"first_id"` // the oldest that the channel holds
	LastID   *schemas.ID       `json:"last_id"`  // the newest
	Gap      bool              `json:"gap"`      // something after Query.After is lost
	Next     *schemas.ID       `json:"next"`     // the next page's After, or Before if newest first; nil: no more
}

// History returns messages that are kept of the channel. A channel that does not
// exist holds none. Errors: [ErrUnavailable] and that of ctx.
func (b *Broker) History(ctx context.Context, name schemas.Channel, q Query) (History, error) {
	b = b.home(name)
	h := History{Messages: []json.RawMessage{}}
	if seq, known := b.position(q.After); known {
		if err := b.catchUpWith(ctx, seq); err != nil {
			return h, err
		}
	}
	after, foreign := b.bound(q.After, 0)
	before, _ := b.bound(q.Before, nobody)
	c, err := b.look(ctx, name)
	if err != nil {
		return h, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b.tidy(c, time.Now())
	h.FirstID, h.LastID = b.span(&c.log)
	h.Gap = foreign || q.After != "" && c.log.lostOf(q.Topics) > after
	found, more := c.log.page(q, after, before)
	for _, f := range found {
		h.Messages = append(h.Messages, f.message())
	}
	if more {
		id := b.idOf(found[len(found)-1].seq)
		h.Next = &id
	}
	return h, nil
}

// look returns the channel with all that there is of it: the one that readers read,
// or else one made for the occasion, of which nobody knows.
func (b *Broker) look(ctx context.Context, name schemas.Channel) (*channel, error) {
	if err := b.severance(); err != nil {
		return nil, err
	}
	if c := b.registry.get(name); c != nil && b.registry.full(name) {
		return c, nil
	}
	kept, err := b.load(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &channel{name: name}
	c.log.limits = kept.limits
	c.log.refill(kept.frames, kept.lost, gapExpired)
	c.run = kept.run
	if len(kept.frames) > 0 {
		b.seq.hear(c.log.last)
	}
	return c, nil
}

// bound reads an id; foreign reports one that is not of this log.
func (b *Broker) bound(text string, none uint64) (seq uint64, foreign bool) {
	if text == "" {
		return none, false
	}
	seq, known := b.position(text)
	if !known || seq > b.seq.last() {
		return none, true
	}
	return seq, false
}

// page returns the frames that q asks for between the positions, and whether
// there are more.
func (l *log) page(q Query, after, before uint64) (found []*frame, more bool) {
	low, high := l.after(after), 0
	if before > 0 {
		high = l.after(before - 1)
	}
	for i := low; i < high; i++ {
		at := i
		if q.Newest {
			at = high - 1 - (i - low)
		}
		f := l.at(at)
		if !q.Topics.Has(f.mark.name) {
			continue
		}
		if len(found) == q.Limit {
			return found, true
		}
		found = append(found, f)
	}
	return found, false
}

// span returns the oldest and the newest id of the log, nil if it is empty.
func (b *Broker) span(l *log) (first, last *schemas.ID) {
	if l.count == 0 {
		return nil, nil
	}
	oldest, newest := b.idOf(l.at(0).seq), b.idOf(l.at(l.count-1).seq)
	return &oldest, &newest
}

// ChannelInfo describes a channel.
type ChannelInfo struct {
	Channel     schemas.Channel `json:"channel"`
	Subscribers int             `json:"subscribers"`
	Messages    int             `json:"messages"`
	Bytes       int64           `json:"bytes"`
	FirstID     *schemas.ID     `json:"first_id"`
	LastID      *schemas.ID     `json:"last_id"`
	Run         *RunInfo        `json:"run"`
}

// RunInfo is the latest run status of a channel.
type RunInfo struct {
	RunChange
	ID        schemas.ID   `json:"id"`
	UpdatedAt schemas.Time `json:"updated_at"`
}

// Channel describes one channel. One without messages is known by the streams
// that named it. Errors: [ErrNoChannel], [ErrUnavailable] and that of ctx.
func (b *Broker) Channel(ctx context.Context, name schemas.Channel) (ChannelInfo, error) {
	b = b.home(name)
	c, err := b.look(ctx, name)
	if err != nil {
		return ChannelInfo{}, err
	}
	info := b.describe(c)
	if b.registry.get(name) != nil {
		return info, nil
	}
	info.Subscribers = len(b.registry.waiters(name))
	if info.Messages == 0 && info.Run == nil && info.Subscribers == 0 {
		return ChannelInfo{}, ErrNoChannel
	}
	return info, nil
}

func (b *Broker) describe(c *channel) ChannelInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.tidy(c, time.Now())
	info := ChannelInfo{Channel: c.name, Subscribers: c.readers.size(), Messages: c.log.count, Bytes: c.log.bytes}
	info.FirstID, info.LastID = b.span(&c.log)
	if r := c.run; r != nil {
		info.Run = &RunInfo{RunChange: r.change, ID: r.id, UpdatedAt: schemas.Time(r.frame.at)}
	}
	return info
}

// Channels describes up to limit channels whose names begin with prefix, in the
// order of their names, from the first one after the given name; channels that
// have only readers are among them. next is the name to go on after, "" if there are
// no further ones. Errors: [ErrUnavailable] and that of ctx.
func (b *Broker) Channels(ctx context.Context, prefix string, after schemas.Channel, limit int) (infos []ChannelInfo, next schemas.Channel, err error) {
	names, err := b.names(ctx, prefix, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > limit {
		names, next = names[:limit], names[limit-1]
	}
	infos = make([]ChannelInfo, 0, len(names))
	for _, name := range names {
		switch info, err := b.Channel(ctx, name); {
		case err == nil:
			infos = append(infos, info)
		case !errors.Is(err, ErrNoChannel): // else it went meanwhile
			return nil, "", err
		}
	}
	return infos, next, nil
}

// names returns, in any order, the names of channels that begin with prefix and come
// after the given one: at least the first n that there are.
func (b *Broker) names(ctx context.Context, prefix string, after schemas.Channel, n int) ([]schemas.Channel, error) {
	if b.shards != nil {
		return b.shardsNames(ctx, prefix, after, n)
	}
	names, err := b.engine.Names(ctx, prefix, after, n)
	return append(names, b.registry.names(prefix, after)...), err
}

// names returns the names that begin with prefix and come after the given one, of
// channels that are in memory or that streams wait for.
func (r *registry) names(prefix string, after schemas.Channel) (names []schemas.Channel) {
	add := func(name schemas.Channel) {
		if name > after && strings.HasPrefix(string(name), prefix) {
			names = append(names, name)
		}
	}
	for c := range r.matching("*") {
		add(c.name)
	}
	for name := range r.awaited() {
		add(name)
	}
	return names
}

// Delete forgets a channel, its run status too, and ends the streams that named
// it. Streams that follow a pattern go on. Errors: [ErrNoChannel], [ErrUnavailable]
// and that of ctx.
func (b *Broker) Delete(ctx context.Context, name schemas.Channel) error {
	found, err := b.home(name).engine.Delete(ctx, name)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoChannel
	}
	return nil
}
