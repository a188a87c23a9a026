package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Flow control makes publishers wait for the server, never for a client. A log may
// exceed its limits for readers that have not had their turn yet: a burst longer than
// the ring is no loss for a reader that is only a moment behind. This backlog is
// bounded in two ways, and a publish that would exceed either waits in
// [shard.waitForReaders]:
//
//   - What gathers for the next sweep of a fan-out group must stay below
//     maxUnswept.
//   - A log must not exceed its limits by more than [Options.BacklogBytes], nor
//     must all logs together use up [Options.Memory].
//
// A reader whose socket was full at its turn is lagging, and no publish waits for it.
// When the log exceeds its limits by more than it may, frames held for lagging readers
// are dropped, and these readers are told of a gap. So the wait ends once every reader has had one turn, which
// is up to this process alone. If that takes longer than [Options.PublishTimeout], the
// publish fails with [ErrBusy].

// remeasure is how often a waiting publish works out again which readers it waits for.
const remeasure = 5 * time.Millisecond

// backlogFull reports whether so much of c is held for readers that have not had their
// turn that a publish must wait. The caller holds c.mu.
func (sh *shard) backlogFull(c *channel, now time.Time) bool {
	return c.readers.sweepDue(c.log.Total()) || sh.holdsTooMuch(c, now)
}

// holdsTooMuch reports whether c holds more than it may for readers that have not had
// their turn. What is held for lagging readers is dropped first.
func (sh *shard) holdsTooMuch(c *channel, now time.Time) bool {
	if !c.log.OverLimits() || !sh.overBacklog(c) {
		return false
	}
	sh.trim(c, now)
	for served := c.served(sh.broker.clock(now)); c.log.OverLimits() && sh.overBacklog(c); {
		freed, ok := c.log.DropHeld(served)
		if !ok {
			return c.log.Counted() > 1
		}
		sh.logBytes.Add(-freed)
	}
	return false
}

// overBacklog reports whether c exceeds its limits by more than it may, or the memory of
// all logs is nearly used up. Once that is used up, channels lose messages whether they
// have been read or not.
func (sh *shard) overBacklog(c *channel) bool {
	return c.log.Bytes() > c.log.Limits.Bytes+sh.opts.BacklogBytes || sh.logBytes.Load() > sh.opts.Memory-sh.opts.Memory/16
}

// waitForReaders waits until the backlog of c is no longer full. It returns c with its
// mutex held, as it was given, or what relock returns if the channel was removed
// meanwhile. It never waits for a client: a reader that accepts nothing at its turn is
// lagging from then on.
//
// Errors: [ErrBusy], [ErrClosed], [ErrTooManyChannels] and that of ctx. The mutex is
// not held then.
func (sh *shard) waitForReaders(ctx context.Context, c *channel, since time.Time, relock func(schemas.Channel, time.Time) (*channel, error)) (*channel, error) {
	again := time.NewTicker(remeasure)
	defer again.Stop()
	sh.broker.stats.waits.Add(1)
	for {
		if c.caughtUp == nil {
			c.caughtUp = make(chan struct{})
		}
		room, name := c.caughtUp, c.name
		c.mu.Unlock()
		select {
		case <-room:
		case <-again.C:
		case <-sh.broker.stop:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now := time.Now()
		if now.Sub(since) > sh.opts.PublishTimeout {
			return nil, fmt.Errorf("%w: readers of %s have not been offered what was published before", ErrBusy, name)
		}
		var err error
		if c, err = relock(name, now); err != nil || c == nil {
			return nil, err
		}
		if !sh.backlogFull(c, now) {
			return c, nil
		}
	}
}
