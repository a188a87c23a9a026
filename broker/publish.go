package broker

import (
	"context"
	"fmt"
	"time"

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

	change *RunChange // of a run message
}

// Publish appends a message to its channel, which comes into being if need be,
// and calls its readers. It does not wait for them, but for the server itself: when
// what it has not yet offered to its readers exceeds [Options.Hold] or the
// memory of all rings, until that has become less, ctx has ended or
// [Options.PublishTimeout] has passed. Safe for concurrent use.
//
// Errors: [ErrTooLarge], [ErrTooManyChannels], [ErrBusy], [ErrDraining],
// [ErrClosed], and that of ctx. Nothing was published then.
func (b *Broker) Publish(ctx context.Context, p Publication) (schemas.Receipt, error) {
	if err := b.accepting(ctx); err != nil {
		return schemas.Receipt{}, err
	}
	if p.Kind == "" {
		p.Kind = schemas.KindData
	}
	if p.Key != "" {
		return b.putOnce(ctx, p)
	}
	return b.put(ctx, &p)
}

// putOnce is put for a durable publish. It stands apart because what a closure
// takes with it is allocated: in Publish, that would be every publication.
func (b *Broker) putOnce(ctx context.Context, p Publication) (schemas.Receipt, error) {
	return b.once.do(p, func() (schemas.Receipt, error) { return b.put(ctx, &p) })
}

// Recall returns the receipt of a durable publish that is remembered, marked as a
// duplicate, and whether there is one.
func (b *Broker) Recall(channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool) {
	r, err := b.once.recall(nameOf(channel, topic, key))
	return r, err == nil
}

// accepting reports why nothing can be published now.
func (b *Broker) accepting(ctx context.Context) error {
	if err := b.Ready(); err != nil {
		return err
	}
	return ctx.Err()
}

// put appends the message of p.
func (b *Broker) put(ctx context.Context, p *Publication) (schemas.Receipt, error) {
	now := time.Now()
	if err := b.fits(p); err != nil {
		return schemas.Receipt{}, err
	}
	c, err := b.lock(p.Channel, now)
	if err == nil && b.behind(c, now) {
		c, err = b.await(ctx, c, now)
	}
	if err != nil {
		return schemas.Receipt{}, err
	}
	if p.change != nil {
		if first, err := b.follow(c.run, p); first != nil || err != nil {
			c.mu.Unlock()
			b.forget(c) // it may have been made for this
			return first.receipt(p.Channel), err
		}
	}
	m, told := b.append(c, p, now)
	c.mu.Unlock()

	b.seq.settle(m.ID.Seq)
	b.herald.settled(told)
	b.stats.published.Add(1)
	if b.held.Load() > b.opts.Memory {
		b.shrink(now)
	}
	return schemas.Receipt{ID: m.ID, Channel: m.Channel, Topic: m.Topic, Kind: m.Kind, CreatedAt: m.CreatedAt}, nil
}

// fits returns [ErrTooLarge] if the event of p would be too long.
func (b *Broker) fits(p *Publication) error {
	if size := eventBytes(p, b.idBytes()); size > b.opts.MaxEventBytes {
		return fmt.Errorf("%w: its event has %d bytes, at most %d are allowed", ErrTooLarge, size, b.opts.MaxEventBytes)
	}
	return nil
}

// lock returns the channel, made if need be, with its mutex held.
func (b *Broker) lock(name schemas.Channel, now time.Time) (*channel, error) {
	for {
		c := b.registry.get(name)
		if c == nil {
			if b.registry.count.Load() >= int64(b.opts.MaxChannels) && !b.makeRoom(now) {
				return nil, fmt.Errorf("%w: all %d have readers", ErrTooManyChannels, b.opts.MaxChannels)
			}
			var made bool
			if c, made = b.registry.create(name); made {
				b.held.Add(channelOverhead)
			}
		}
		c.mu.Lock()
		if !c.gone {
			return c, nil
		}
		c.mu.Unlock()
	}
}

// append adds the message of p to the log of c, whose mutex the caller holds.
// The caller settles its position. told is whether readers wait for the herald.
func (b *Broker) append(c *channel, p *Publication, now time.Time) (m schemas.Message, told bool) {
	m = schemas.Message{
		ID: b.idOf(b.seq.take()), Channel: p.Channel, Topic: p.Topic, Kind: p.Kind, Data: p.Data,
		RunID: p.RunID, StreamID: p.StreamID, CreatedAt: schemas.TimeOf(now),
	}
	f := encodeFrame(&m, c.log.mark(m.Topic), eventBytes(p, b.idBytes()))
	c.log.limits = b.limits(p.Limits)
	grown := c.log.append(f)
	c.touched = max(c.touched, f.at)
	if p.change != nil {
		grown += c.setRun(&run{frame: f, change: *p.change, id: m.ID})
	}
	b.held.Add(grown)
	b.keep(c)
	if told = c.readers.rouse(); told {
		b.herald.enqueue(c)
	}
	return m, told
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
