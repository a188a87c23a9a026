package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// memory is the engine that keeps nothing but what is in the logs of the broker
// anyway, and remembers durable publishes in bounded memory. It hands out
// positions under the lock of the channel, so that publishers to different
// channels do not wait for each other.
type memory struct {
	broker *Broker
	epoch  uint64
	once   *once
}

func newMemory(opts Options) (*memory, error) {
	remembered, err := newOnce(opts.RememberBytes, opts.RememberFor)
	if err != nil {
		return nil, err
	}
	return &memory{epoch: opts.Epoch, once: remembered}, nil
}

// Start implements [Engine].
func (m *memory) Start(sink Sink) (Origin, error) {
	m.broker = sink.b
	return Origin{Epoch: m.epoch}, nil
}

// Append implements [Engine].
func (m *memory) Append(ctx context.Context, e Entry) (schemas.Receipt, error) {
	if e.Key != "" {
		return m.appendOnce(ctx, e)
	}
	return m.broker.put(ctx, &e)
}

// appendOnce is Append for a durable publish. It stands apart because what a
// closure takes with it is allocated: in Append, that would be every entry.
func (m *memory) appendOnce(ctx context.Context, e Entry) (schemas.Receipt, error) {
	return m.once.do(&e, func() (schemas.Receipt, error) { return m.broker.put(ctx, &e) })
}

// Recall implements [Engine].
func (m *memory) Recall(_ context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	r, err := m.once.recall(nameOf(channel, topic, key))
	return r, err == nil, nil
}

// Head implements [Engine].
func (m *memory) Head(context.Context) (uint64, error) { return m.broker.seq.last(), nil }

// Load implements [Engine]: nothing is kept of a channel that the broker does not
// hold.
func (m *memory) Load(_ context.Context, name schemas.Channel) (Kept, error) {
	return Kept{Lost: m.broker.registry.lostOf(schemas.Pattern(name))}, nil
}

// Matching implements [Engine].
func (m *memory) Matching(_ context.Context, pattern schemas.Pattern, _ uint64, _ int) (Found, error) {
	return Found{Lost: m.broker.registry.lostOf(pattern)}, nil
}

// Names implements [Engine].
func (*memory) Names(context.Context, string, schemas.Channel, int) ([]schemas.Channel, error) {
	return nil, nil
}

// Follow implements [Engine]: everything is delivered.
func (*memory) Follow(context.Context, schemas.Pattern) error { return nil }

// Unfollow implements [Engine].
func (*memory) Unfollow(schemas.Pattern) {}

// Delete implements [Engine].
func (m *memory) Delete(_ context.Context, name schemas.Channel) (bool, error) {
	return m.broker.drop(name), nil
}

// Ready implements [Engine].
func (*memory) Ready() error { return nil }

// Stats implements [Engine].
func (m *memory) Stats() EngineStats {
	return EngineStats{
		Replayed:       m.once.replayed.Load(),
		ForgottenEarly: m.once.early.Load() + m.once.receipts.Stats().Collisions,
		Remembered:     m.once.receipts.Len(), RememberedBytes: int64(m.once.receipts.Capacity()),
	}
}

// Close implements [Engine].
func (m *memory) Close() error { return m.once.close() }

// put gives e the next position and appends it to its channel, which comes into
// being if need be.
func (b *Broker) put(ctx context.Context, e *Entry) (schemas.Receipt, error) {
	now := time.Now()
	c, err := b.lock(e.Channel, now)
	if err == nil && b.behind(c, now) {
		c, err = b.await(ctx, c, now)
	}
	if err != nil {
		return schemas.Receipt{}, err
	}
	if e.change != nil && c.run != nil {
		if same, err := e.follow(&c.run.change); same || err != nil {
			first := c.run.receipt(e.Channel)
			c.mu.Unlock()
			return first, err
		}
	}
	e.ID, e.CreatedAt = b.idOf(b.seq.take()), schemas.TimeOf(now)
	told := b.append(c, &e.Message, e.Limits, e.change)
	c.mu.Unlock()

	b.seq.settle(e.ID.Seq)
	b.herald.settled(told)
	if b.held.Load() > b.opts.Memory {
		b.shrink(now)
	}
	return receiptOf(&e.Message), nil
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
			if c, made = b.registry.create(name, 0, nil); made {
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
