package broker

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// composite is a stream over several shards, as one over a pattern is. In each
// shard that it reads it has a part: a stream there like any other, but for the
// client, which they share. One goroutine reads the stream, and gathers from the
// parts in turns; whichever has news wakes it.
//
// Positions of different shards cannot be compared. So its client is told with each
// event where the stream stands in every shard, and messages are in the order of
// their channel and of their shard.
type composite struct {
	// Static after construction.
	stream *Stream   // what the client has
	parts  []*Stream // by shard; nil where nothing is read
	since  []uint64  // where the client stands in the shards of which nothing is read

	first int // the part that is gathered from first; owned by the carrier
}

// subscribeShards is Subscribe for a broker with shards.
func (b *Broker) subscribeShards(ctx context.Context, sub Subscription) (*Stream, error) {
	subs, only := b.divide(sub)
	if only != nil {
		return only.Subscribe(ctx, sub)
	}
	c := b.compose(sub, subs)
	if err := b.roster.admit(c.stream); err != nil {
		return nil, err
	}
	for i, part := range c.parts {
		if part == nil {
			continue
		}
		err := part.broker.current()
		if err == nil {
			err = part.broker.receive(ctx, part, subs[i])
		}
		if err != nil {
			c.stream.Close()
			return nil, err
		}
	}
	c.begin(sub)
	return c.stream, nil
}

// divide returns what sub asks for in each shard; only is the shard that it asks
// for alone, nil if there are several.
func (b *Broker) divide(sub Subscription) (subs []Subscription, only *Broker) {
	subs = make([]Subscription, len(b.shards))
	for i := range subs {
		subs[i] = Subscription{LastEventID: sub.LastEventID, Replay: sub.Replay, Format: sub.Format}
	}
	for _, sel := range sub.Channels {
		if name, exact := sel.Channel.Exact(); exact {
			one := &subs[shardOf(name, len(subs))]
			one.Channels = append(one.Channels, sel)
			continue
		}
		for i := range subs {
			subs[i].Channels = append(subs[i].Channels, sel)
		}
	}
	needed := 0
	for i := range subs {
		if len(subs[i].Channels) > 0 {
			only = b.shards[i]
			needed++
		}
	}
	if needed > 1 {
		only = nil
	}
	return subs, only
}

// compose makes the stream and its parts, which nobody knows of yet.
func (b *Broker) compose(sub Subscription, subs []Subscription) *composite {
	c := &composite{stream: b.newStream(sub), parts: make([]*Stream, len(subs)), since: make([]uint64, len(subs))}
	carrier := newPuller()
	c.stream.composite, c.stream.carrier = c, carrier
	for i, shard := range b.shards {
		if len(subs[i].Channels) == 0 {
			var known bool
			if c.since[i], known = shard.position(sub.LastEventID); !known {
				c.since[i] = shard.seq.last()
			}
			continue
		}
		part := shard.newStream(subs[i])
		part.composite, part.carrier = c, carrier
		c.parts[i] = part
	}
	return c
}

// begin makes the introduction of the whole, once each part has its own.
func (c *composite) begin(sub Subscription) {
	s := c.stream
	in := &intro{open: openData{Resumed: true, Channels: s.wants.patterns(), ExpiresAt: timePtr(sub.Owner.ExpiresAt)}}
	for part := range c.each {
		in.open.Resumed = in.open.Resumed && part.intro.open.Resumed
		part.intro.said = true
	}
	s.intro = in
}

// each yields the parts.
func (c *composite) each(yield func(*Stream) bool) {
	for _, part := range c.parts {
		if part != nil && !yield(part) {
			return
		}
	}
}

// introduce puts what the parts have to say first into b, and reports whether that
// was all.
func (c *composite) introduce(b *Batch) bool {
	for part := range c.each {
		if part.intro == nil {
			continue
		}
		if part.introduce(b); part.intro != nil {
			return false
		}
	}
	return true
}

// collect puts what the parts have into b. A client of lines is told afterwards
// where it stands: the id of a message would tell it for one shard alone.
func (c *composite) collect(b *Batch, limit int) {
	n := len(c.parts)
	c.first = (c.first + 1) % n
	before := b.Messages
	for i := range c.parts {
		if part := c.parts[(c.first+i)%n]; part != nil {
			part.collect(b, limit/n)
		}
	}
	if b.Messages > before && c.stream.format == NDJSON {
		b.add(c.stream.positionEvent())
	}
}

// moved is [Stream.moved] of the whole.
func (c *composite) moved() bool {
	for part := range c.each {
		if part.moved() {
			return true
		}
	}
	return false
}

// event returns f, at which the given part stands now, as the client is sent it.
func (c *composite) event(part *Stream, f *frame) []byte {
	c.report()
	return f.reframed(part.here(), part.format)
}

// report notes that the client is told where the stream stands.
func (c *composite) report() {
	for part := range c.each {
		part.reported = part.position.Load()
	}
}

// out is [Stream.out] of the whole.
func (c *composite) out(at time.Duration) {
	for part := range c.each {
		part.outSince.Store(int64(at))
	}
}

func (c *composite) slim(b *Batch) {
	for part := range c.each {
		part.slim(b)
	}
}

// leave makes the parts readers of nothing.
func (c *composite) leave() {
	for part := range c.each {
		part.broker.exit(part)
	}
}

// at returns where the whole stands when the given part of it stands at p.
func (c *composite) at(part *Stream, p uint64) schemas.Position {
	at := schemas.Position{Epoch: c.stream.broker.origin.Epoch, Seqs: make([]uint64, len(c.parts))}
	copy(at.Seqs, c.since)
	for i, other := range c.parts {
		switch other {
		case nil:
		case part:
			at.Seqs[i] = p
		default:
			at.Seqs[i] = other.position.Load()
		}
	}
	return at
}

// Composite reports whether the stream's channels are in several shards. Then
// [Stream.Next] is the only way to read it. Safe for concurrent use.
func (s *Stream) Composite() bool { return s.composite != nil }

// joint returns the composite that s is, nil if it is none or only a part.
func (s *Stream) joint() *composite {
	if c := s.composite; c != nil && c.stream == s {
		return c
	}
	return nil
}

// whole returns the stream that the client has: s, or what s is a part of.
func (s *Stream) whole() *Stream {
	if s.composite != nil {
		return s.composite.stream
	}
	return s
}

// reads reports whether s has to do with the broker b, which may be a shard.
func (s *Stream) reads(b *Broker) bool {
	if c := s.joint(); c != nil && b.shard > 0 {
		return c.parts[b.shard-1] != nil
	}
	return s.broker == b
}

// standing returns where the stream stands. Safe for concurrent use.
func (s *Stream) standing() schemas.Position {
	p := s.position.Load()
	if c := s.composite; c != nil {
		return c.at(s, p)
	}
	return schemas.Position{Epoch: s.broker.origin.Epoch, Shard: s.broker.shard, Seqs: []uint64{p}}
}
