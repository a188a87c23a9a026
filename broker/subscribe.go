package broker

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Subscribe opens a stream. The caller must close it. ctx bounds only the call.
//
// Errors: [ErrTooManyStreams], [ErrTooManyInStream], [engine.ErrUnavailable],
// [ErrDraining], [ErrClosed] and that of ctx.
func (b *Broker) Subscribe(ctx context.Context, sub Subscription) (*Stream, error) {
	if err := b.Fits(sub.Names()); err != nil {
		return nil, err
	}
	if err := b.open(); err != nil {
		return nil, err
	}
	s := b.newStream(sub)
	s.follow(sub.Presence)
	if err := b.streams.admit(s); err != nil {
		s.leaveSeat()
		return nil, err
	}
	for _, c := range s.cursors {
		if err := c.enter(ctx, sub); err != nil {
			s.Close()
			return nil, err
		}
	}
	s.initPreamble(sub)
	s.cursors[0].arrival.tell = sub.Arrived
	s.attend()
	return s, nil
}

// maxPatterns is how many patterns one stream may follow: each is compared with every
// channel when the stream begins.
const maxPatterns = 16

// Fits returns [ErrTooManyInStream] if the names are more channels or patterns than one
// stream may ask for. It does not validate them.
func (b *Broker) Fits(names []string) error {
	if len(names) > b.opts.MaxChannelsPerStream {
		return fmt.Errorf("%w: %d, at most %d are allowed", ErrTooManyInStream, len(names), b.opts.MaxChannelsPerStream)
	}
	patterns := 0
	for _, name := range names {
		if strings.HasSuffix(name, "*") {
			patterns++
		}
	}
	if patterns > maxPatterns {
		return fmt.Errorf("%w: %d patterns, at most %d are allowed", ErrTooManyInStream, patterns, maxPatterns)
	}
	return nil
}

func (b *Broker) newStream(sub Subscription) *Stream {
	now := time.Now()
	s := &Stream{
		broker: b,
		id:     b.streams.opened.Add(1),
		owner:  newOwner(sub.Owner),
		format: sub.Format,
		filter: newChannelFilter(sub.Channels),
		until:  sub.UntilEnd,
		opened: b.clock(now),
	}
	if !sub.Owner.ExpiresAt.IsZero() {
		s.endsAt = millisUp(sub.Owner.ExpiresAt)
	}
	if age := b.opts.MaxStreamAge; age > 0 {
		// The age is shortened by up to a fifth, so that streams opened together do not
		// end together.
		end := millisUp(now.Add(age - jitter(age/5)))
		if s.endsAt == 0 || end < s.endsAt {
			s.endsAt, s.ages = end, true
		}
	}
	b.divide(s, sub)
	return s
}

// divide gives the stream a cursor in each shard that may have something for it.
func (b *Broker) divide(s *Stream, sub Subscription) {
	filters := s.filter.divide(len(b.shards))
	for i, sh := range b.shards {
		if filters[i] != nil {
			s.cursors = append(s.cursors, newCursor(s, sh, filters[i]))
		}
	}
	if len(s.cursors) == 1 {
		return
	}
	elsewhere := make([]uint64, len(b.shards))
	for i, sh := range b.shards {
		var known bool
		if elsewhere[i], known = sh.position(sub.LastEventID); !known {
			elsewhere[i] = sh.seq.Last()
		}
	}
	s.rare.Store(&rare{merging: &merging{elsewhere: elsewhere}})
}

// millisUp returns t in Unix milliseconds, rounded up.
func millisUp(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }
