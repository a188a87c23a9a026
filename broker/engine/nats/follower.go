package nats

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

// follower reads the messages that a filter matches, in the order of positions, and
// goes on with those that come later: when it is poked, and once a second. It leaves
// nothing on the server, so a server that restarts or a new leader makes no difference
// to it.
type follower struct {
	stream *jetstream.Stream
	filter string
	visit  func(jetstream.Message)
	poked  chan struct{}
	at     atomic.Uint64 // everything up to this position was visited
}

func newFollower(stream *jetstream.Stream, filter string, visit func(jetstream.Message)) *follower {
	return &follower{stream: stream, filter: filter, visit: visit, poked: make(chan struct{}, 1)}
}

// poke says that there is something new.
func (f *follower) poke() {
	select {
	case f.poked <- struct{}{}:
	default:
	}
}

// run visits new messages until ctx ends.
func (f *follower) run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.poked:
		case <-tick.C:
		}
		if err := f.step(ctx); err != nil && ctx.Err() == nil {
			log.Debug("cannot follow the stream", slog.String("stream", f.stream.Name()), slog.Any("error", err))
		}
	}
}

// step visits what some replica has. Calls must not overlap.
func (f *follower) step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return f.stream.Walk(ctx, f.filter, f.at.Load()+1, func(m jetstream.Message) bool {
		f.visit(m)
		f.at.Store(m.Sequence)
		return true
	})
}

// catchUp visits everything that the leader has now.
func (f *follower) catchUp(ctx context.Context) error {
	newest, found, err := f.stream.Last(ctx, f.filter)
	if err != nil || !found {
		return err
	}
	return f.stream.WalkTo(ctx, f.filter, f.at.Load()+1, newest.Sequence, func(m jetstream.Message) {
		f.visit(m)
		f.at.Store(m.Sequence)
	})
}

// waitFor returns when run has visited everything up to a position.
func (f *follower) waitFor(ctx context.Context, position uint64) error {
	var pause jetstream.Backoff
	for f.at.Load() < position {
		f.poke()
		if err := pause.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
