package broker

import (
	"context"

	"github.com/sluicehq/sluice/schemas"
)

// Publication is a message to be published.
type Publication struct {
	Channel  schemas.Channel
	Topic    schemas.Topic
	Kind     schemas.Kind // default data
	Data     []byte       // compact JSON; copied
	RunID    string
	StreamID string
	// Key makes the publish durable: with the same channel, topic and key it
	// happens once. "" for an ordinary one.
	Key string
	// Limits of the channel's ring; zero fields stand for the broker's own.
	Limits Limits
}

// Publish appends a message to its channel, which comes into being if need be,
// and calls its readers. It does not wait for them, but for the server itself: when
// what it has not yet offered to its readers exceeds [Options.Hold] or the
// memory of all rings, until that has become less, ctx has ended or
// [Options.PublishTimeout] has passed. Safe for concurrent use.
//
// Errors: [ErrTooLarge], [ErrTooManyChannels], [ErrBusy], [ErrUnavailable],
// [ErrDraining], [ErrClosed], and that of ctx: nothing was published then. After
// [ErrUncertain] it may have been.
func (b *Broker) Publish(ctx context.Context, p Publication) (schemas.Receipt, error) {
	e := Entry{
		Message: schemas.Message{
			Channel: p.Channel, Topic: p.Topic, Kind: p.Kind, Data: p.Data, RunID: p.RunID, StreamID: p.StreamID,
		},
		Key: p.Key, Limits: p.Limits,
	}
	if e.Kind == "" {
		e.Kind = schemas.KindData
	}
	return b.hand(ctx, e)
}

// hand gives e to the engine.
func (b *Broker) hand(ctx context.Context, e Entry) (schemas.Receipt, error) {
	b = b.home(e.Channel)
	if err := b.open(); err != nil {
		return schemas.Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return schemas.Receipt{}, err
	}
	e.size, e.most = eventBytes(&e.Message, b.idBytes()), b.opts.MaxEventBytes
	if err := e.fits(); err != nil {
		return schemas.Receipt{}, err
	}
	e.Limits = b.limits(e.Limits)
	r, err := b.engine.Append(ctx, e)
	if err == nil && !r.Duplicate {
		b.stats.published.Add(1)
	}
	r.ID.Shard = b.shard
	return r, err
}

// Recall returns the receipt of a durable publish that is remembered, marked as a
// duplicate, and whether there is one. Errors: [ErrUnavailable] and that of ctx.
func (b *Broker) Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	b = b.home(channel)
	r, known, err := b.engine.Recall(ctx, channel, topic, key)
	r.ID.Shard = b.shard
	return r, known, err
}

// append adds m, which has its position, to the log of c, whose mutex the caller
// holds. told is whether readers wait for the herald.
func (b *Broker) append(c *channel, m *schemas.Message, limits Limits, change *RunChange) (told bool) {
	f := frameOf(m, c.log.mark(m.Topic))
	c.log.limits = limits
	grown := c.log.append(f)
	c.touched = max(c.touched, f.at)
	if change != nil {
		grown += c.setRun(&run{frame: f, change: *change, id: m.ID})
	}
	b.held.Add(grown)
	b.keep(c)
	if told = c.readers.rouse(); told {
		b.herald.enqueue(c)
	}
	return told
}

// idBytes returns how long the next id is.
func (b *Broker) idBytes() int {
	var text [32]byte
	return len(b.idOf(b.seq.last() + 1).Append(text[:0]))
}

// limits fills in the broker's own limits.
func (b *Broker) limits(l Limits) Limits {
	if l.Messages <= 0 {
		l.Messages = b.opts.Replay.Messages
	}
	if l.Bytes <= 0 {
		l.Bytes = b.opts.Replay.Bytes
	}
	if l.Age <= 0 {
		l.Age = b.opts.Replay.Age
	}
	return l
}
