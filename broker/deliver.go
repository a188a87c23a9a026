package broker

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// deliver brings a message that an engine has given its position to the log of its
// channel, if somebody reads that, see [Sink.Deliver].
func (b *Broker) deliver(m *schemas.Message, limits Limits) {
	now := time.Now()
	m.ID.Shard = b.shard
	// Before it is looked up who reads the channel: who comes later starts behind m.
	b.seq.hear(m.ID.Seq)
	told := false
	if c := b.lockRead(m.Channel, m.ID.Seq, now); c != nil {
		if m.ID.Seq > c.log.last {
			late := m.ID.Seq <= b.seq.watermark()
			told = b.append(c, m, b.limitsOf(m.Channel, limits), runChange(m))
			if late && told {
				c.owe()
			}
		} else if told = c.readers.rouse(); told {
			// It came into the log when that was refilled: nobody has been told of it.
			b.herald.enqueue(c)
		}
		c.mu.Unlock()
	}
	b.seq.reach(m.ID.Seq)
	b.herald.settled(told)
	if b.held.Load() > b.opts.Memory {
		b.shrink(now)
	}
}

// reached is [Sink.Reached].
func (b *Broker) reached(position uint64) {
	b.seq.reach(position)
	b.herald.call()
}

// lockRead returns the channel with its mutex held; nil if nobody reads it. It is
// made if it does not exist and somebody waits for it, with seq as its first
// message.
func (b *Broker) lockRead(name schemas.Channel, seq uint64, now time.Time) *channel {
	for {
		c := b.registry.get(name)
		if c == nil {
			if !b.registry.wanted(name) {
				return nil
			}
			if b.registry.count.Load() >= int64(b.opts.MaxChannels) {
				b.makeRoom(now) // if nothing can go, all have readers, and these are bounded
			}
			var made bool
			if c, made = b.registry.create(name, seq, nil); made {
				b.held.Add(channelOverhead)
			}
		}
		c.mu.Lock()
		if !c.gone {
			return c
		}
		c.mu.Unlock()
	}
}

// runChange returns the change that m tells of, nil if it is not a run message.
func runChange(m *schemas.Message) *RunChange {
	if m.Kind != schemas.KindRun {
		return nil
	}
	change, err := runChangeOf(m)
	if err != nil {
		return nil // not written by a broker
	}
	return &change
}

// limitsOf fills in what an engine does not know of a channel's limits.
func (b *Broker) limitsOf(name schemas.Channel, l Limits) Limits {
	if b.opts.LimitsOf != nil && l == (Limits{}) {
		l = b.opts.LimitsOf(name)
	}
	return b.limits(l)
}

// waitFor is [Sink.Wait].
func (b *Broker) waitFor(ctx context.Context, name schemas.Channel) error {
	now := time.Now()
	c, err := b.relock(name, now)
	if c != nil && b.behind(c, now) {
		c, err = b.await(ctx, c, now)
	}
	if c != nil {
		c.mu.Unlock()
	}
	return err
}

// drop is [Sink.Drop].
func (b *Broker) drop(name schemas.Channel) bool {
	readers := b.registry.waiters(name)
	found := len(readers) > 0
	if c := b.registry.get(name); c != nil {
		named, removed := b.remove(c, gapExpired, nil)
		readers, found = append(readers, named...), found || removed
	}
	for _, s := range readers {
		s.End(ChannelDeleted(name))
	}
	return found
}

// sever is [Sink.Sever].
func (b *Broker) sever() {
	b.severed.Store(true)
	for _, s := range b.roster.open() {
		if s.reads(b) {
			s.End(Draining())
		}
	}
}

// current reports why readers cannot be served now: the errors of open, and
// [ErrUnavailable] when the engine has been out of reach for so long that what is in
// memory may be old.
func (b *Broker) current() error {
	if err := b.open(); err != nil {
		return err
	}
	return b.severance()
}

// severance is current for those who may also ask a broker that is about to stop.
func (b *Broker) severance() error {
	if !b.severed.Load() {
		return nil
	}
	if err := b.engine.Ready(); err != nil {
		return err
	}
	b.severed.Store(false)
	return nil
}
