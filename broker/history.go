package broker

import (
	"encoding/json"
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

// History returns messages that the channel holds. A channel that does not
// exist holds none.
func (b *Broker) History(name schemas.Channel, q Query) History {
	h := History{Messages: []json.RawMessage{}}
	after, foreign := b.bound(q.After, 0)
	before, _ := b.bound(q.Before, nobody)
	h.Gap = foreign
	c := b.registry.get(name)
	if c == nil {
		h.Gap = foreign || q.After != "" && b.registry.lostSince(schemas.Pattern(name), after)
		return h
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
	return h
}

// bound reads an id; foreign reports one that is not of this log.
func (b *Broker) bound(text string, none uint64) (seq uint64, foreign bool) {
	if text == "" {
		return none, false
	}
	id, err := schemas.ParseID(text)
	if err != nil || id.Epoch != b.opts.Epoch || id.Seq > b.seq.last() {
		return none, true
	}
	return id.Seq, false
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
// that named it. It returns [ErrNoChannel].
func (b *Broker) Channel(name schemas.Channel) (ChannelInfo, error) {
	if c := b.registry.get(name); c != nil {
		return b.describe(c), nil
	}
	if waiting := b.registry.waiters(name); len(waiting) > 0 {
		return ChannelInfo{Channel: name, Subscribers: len(waiting)}, nil
	}
	return ChannelInfo{}, ErrNoChannel
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
// have only readers are among them. more reports whether there are further ones.
func (b *Broker) Channels(prefix string, after schemas.Channel, limit int) (infos []ChannelInfo, more bool) {
	type entry struct {
		name    schemas.Channel
		channel *channel // nil: it has only readers
		readers int
	}
	var found []entry
	add := func(e entry) {
		if e.name > after && strings.HasPrefix(string(e.name), prefix) {
			found = append(found, e)
		}
	}
	for c := range b.registry.matching("*") {
		add(entry{name: c.name, channel: c})
	}
	for name, readers := range b.registry.awaited() {
		add(entry{name: name, readers: readers})
	}
	slices.SortStableFunc(found, func(a, b entry) int { return strings.Compare(string(a.name), string(b.name)) })
	found = slices.CompactFunc(found, func(a, b entry) bool { return a.name == b.name }) // one came or went meanwhile
	if more = len(found) > limit; more {
		found = found[:limit]
	}
	infos = make([]ChannelInfo, len(found))
	for i, e := range found {
		infos[i] = ChannelInfo{Channel: e.name, Subscribers: e.readers}
		if e.channel != nil {
			infos[i] = b.describe(e.channel)
		}
	}
	return infos, more
}

// Delete forgets a channel, its run status too, and ends the streams that named
// it. Streams that follow a pattern go on. It returns [ErrNoChannel].
func (b *Broker) Delete(name schemas.Channel) error {
	readers := b.registry.waiters(name)
	found := len(readers) > 0
	if c := b.registry.get(name); c != nil {
		named, removed := b.remove(c, gapExpired, nil)
		readers, found = append(readers, named...), found || removed
	}
	if !found {
		return ErrNoChannel
	}
	for _, s := range readers {
		s.End(ChannelDeleted(name))
	}
	return nil
}
