package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// remeasure is how often a publish that waits finds out anew whom it waits for.
const remeasure = 5 * time.Millisecond

// behind reports whether so much of c is held for readers that have not had their
// turn that a publish must wait. The caller holds c.mu.
func (b *Broker) behind(c *channel, now time.Time) bool {
	return c.readers.gathered(c.log.total) || b.overfull(c, now)
}

// overfull reports whether c holds more than it may for readers that have not had
// their turn. What is held for others goes: their sockets were full when it was
// their turn.
func (b *Broker) overfull(c *channel, now time.Time) bool {
	if !c.log.full() || !b.over(c) {
		return false
	}
	b.tidy(c, now)
	for served := c.served(b.clock(now)); c.log.full() && b.over(c); {
		freed, ok := c.log.cede(served)
		if !ok {
			return c.log.count > 1
		}
		b.held.Add(-freed)
	}
	return false
}

// over reports whether c holds more than it may beyond its limits: by itself, or
// because the memory of all rings is nearly used up. When it is used up, channels
// lose messages whether they have been read or not.
func (b *Broker) over(c *channel) bool {
	return c.log.bytes > c.log.limits.Bytes+b.opts.Hold || b.held.Load() > b.opts.Memory-b.opts.Memory/16
}

// await waits until c is no longer behind, and returns it with its mutex held, as
// it was given, or nil if it has gone and nothing is held of it. It never waits for a reader: one that takes nothing when its
// turn comes is waited for no longer.
//
// Errors: [ErrBusy], [ErrClosed], [ErrTooManyChannels] and that of ctx; the mutex
// is not held then.
func (b *Broker) await(ctx context.Context, c *channel, since time.Time) (*channel, error) {
	again := time.NewTicker(remeasure)
	defer again.Stop()
	b.stats.waits.Add(1)
	for {
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room, name := c.room, c.name
		c.mu.Unlock()
		select {
		case <-room:
		case <-again.C:
		case <-b.stop:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now := time.Now()
		if now.Sub(since) > b.opts.PublishTimeout {
			return nil, fmt.Errorf("%w: what was published to %s has not reached them yet", ErrBusy, name)
		}
		var err error
		if c, err = b.relock(name, now); err != nil || c == nil {
			return nil, err
		}
		if !b.behind(c, now) {
			return c, nil
		}
	}
}

// relock is lock for a channel that was there a moment ago. With an engine that
// keeps messages, one that nobody reads any more does not come back.
func (b *Broker) relock(name schemas.Channel, now time.Time) (*channel, error) {
	if !b.kept {
		return b.lock(name, now)
	}
	for {
		c := b.registry.get(name)
		if c == nil {
			return nil, nil
		}
		c.mu.Lock()
		if !c.gone {
			return c, nil
		}
		c.mu.Unlock()
	}
}
