package nats

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// Head implements [engine.Engine]. Everything published before the call is delivered
// soon afterwards, and [engine.Sink.Reached] then says so.
func (e *Engine) Head(ctx context.Context) (uint64, error) {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	info, err := e.stream.Info(limited)
	if err == nil {
		// The answer to the barrier comes behind whatever the leader had to deliver.
		err = e.stream.Barrier(limited, e.canary)
	}
	if err != nil {
		return 0, e.failed(ctx, err)
	}
	e.live.reached(info.State.LastSeq)
	return info.State.LastSeq, nil
}

// Matching implements [engine.Engine].
func (e *Engine) Matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (engine.Found, error) {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return engine.Found{}, err
	}
	defer cancel()
	found, err := e.matching(limited, pattern, after, limit)
	return found, e.failed(ctx, err)
}

func (e *Engine) matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (found engine.Found, err error) {
	seen := make(map[schemas.Channel]bool)
	add := func(prefix string, m jetstream.Message) bool {
		if name, ok := channelOf(prefix, m.Subject); ok && pattern.Matches(name) && m.Sequence > max(after, e.control.deletedAt(name)) {
			seen[name] = true
		}
		return len(seen) <= limit
	}
	for _, prefix := range []string{e.names.messages, e.names.runs} {
		if err := e.newest(ctx, filterOf(prefix, pattern), after+1, func(m jetstream.Message) bool { return add(prefix, m) }); err != nil {
			return found, err
		}
	}
	for name := range seen {
		found.Channels = append(found.Channels, name)
	}
	slices.Sort(found.Channels)
	if found.More = len(found.Channels) > limit; found.More {
		found.Channels = found.Channels[:limit]
	}
	// A channel of which nothing is kept has lost what was older than any channel keeps.
	found.Lost = max(e.control.lostBefore(time.Now().Add(-e.opts.Retain.Age)), e.control.lastDeletion(pattern),
		e.health.floor.Load(), max(e.health.first.Load(), 1)-1)
	return found, nil
}

// newest calls visit for messages from a position on that filter matches, until visit
// returns false: at least for the newest one of each subject.
func (e *Engine) newest(ctx context.Context, filter string, from uint64, visit func(jetstream.Message) bool) error {
	newest, found, err := e.stream.Last(ctx, filter)
	if err != nil || !found || newest.Sequence < from {
		return err
	}
	list, _, err := e.stream.LastPerSubject(ctx, []string{filter}, e.canary, from, newest.Sequence)
	if errors.Is(err, jetstream.ErrTooManySubjects) {
		enough := false
		return e.stream.WalkTo(ctx, filter, from, newest.Sequence, func(m jetstream.Message) { enough = enough || !visit(m) })
	}
	if err != nil {
		return err
	}
	for _, m := range list {
		if !visit(m) {
			return nil
		}
	}
	return nil
}
