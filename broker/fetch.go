package broker

import (
	"context"

	"github.com/sluicehq/sluice/schemas"
)

// maxFetch is how many channels a stream may need of what a pattern names. More
// would be a way to fill the memory with what nobody reads.
const maxFetch = 4096

// fetch makes the engine deliver what s wants, and brings what s needs of the past
// into memory. It returns up to which positions something of the patterns may be
// lost.
func (b *Broker) fetch(ctx context.Context, s *Stream, sub Subscription) (lost map[schemas.Pattern]uint64, err error) {
	for _, sel := range s.wants.selectors {
		f, err := b.interest.join(ctx, sel.Channel)
		if f != nil {
			s.follows = append(s.follows, f)
		}
		if err != nil {
			return nil, err
		}
	}
	after, past, err := b.past(ctx, sub)
	if err != nil {
		return nil, err
	}
	if !past && !s.alone {
		// It must not begin before what it is not sent: a node that nobody read
		// through has heard of nothing.
		if err := b.hearHead(ctx); err != nil {
			return nil, err
		}
	}
	for _, sel := range s.wants.selectors {
		if name, exact := sel.Channel.Exact(); exact {
			err = b.refill(ctx, name)
		} else if past {
			if lost == nil {
				lost = make(map[schemas.Pattern]uint64)
			}
			lost[sel.Channel], err = b.refillMatching(ctx, sel.Channel, after)
		}
		if err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// past returns after which position a new stream wants messages that are there
// already, and whether it wants any.
func (b *Broker) past(ctx context.Context, sub Subscription) (after uint64, wanted bool, err error) {
	if sub.LastEventID == "" {
		return 0, sub.Replay.mode != replayNone, nil
	}
	after, known := b.position(sub.LastEventID)
	if !known {
		return 0, true, nil
	}
	if err := b.catchUpWith(ctx, after); err != nil {
		return 0, false, err
	}
	return after, true, nil
}

// catchUpWith asks the engine for the newest position, if a client knows one that
// this node has not heard of: it may have it from another node.
func (b *Broker) catchUpWith(ctx context.Context, position uint64) error {
	if !b.kept || position <= b.seq.last() {
		return nil
	}
	return b.hearHead(ctx)
}

func (b *Broker) hearHead(ctx context.Context) error {
	head, err := b.engine.Head(ctx)
	if err != nil {
		return err
	}
	b.seq.hear(head)
	return nil
}

// refillMatching refills the channels that pattern matches and that have something
// after the position. Of what they are too many, it says that it is lost.
func (b *Broker) refillMatching(ctx context.Context, pattern schemas.Pattern, after uint64) (lost uint64, err error) {
	found, err := b.engine.Matching(ctx, pattern, after, maxFetch)
	if err != nil {
		return 0, err
	}
	for _, name := range found.Channels {
		if err := b.refill(ctx, name); err != nil {
			return 0, err
		}
	}
	lost = max(found.Lost, b.origin.Lost)
	if found.More {
		lost = max(lost, b.seq.last())
	}
	return lost, nil
}
