package nats

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// walker reads what is stored under a filter, in the order of positions, and goes on
// with what comes later: when it is poked, and once a second. It needs nothing on the
// server, so a server that restarts or a leader that changes means nothing to it.
type walker struct {
	log    *journal
	filter string
	visit  func(stored)
	poked  chan struct{}
	at     atomic.Uint64 // everything up to this position was visited
}

func newWalker(log *journal, filter string, visit func(stored)) *walker {
	return &walker{log: log, filter: filter, visit: visit, poked: make(chan struct{}, 1)}
}

// poke says that there is something new.
func (w *walker) poke() {
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

// run visits what comes until ctx ends.
func (w *walker) run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.poked:
		case <-tick.C:
		}
		if err := w.step(ctx); err != nil && ctx.Err() == nil {
			log.Debug("cannot read on", slog.String("stream", w.log.stream), slog.Any("error", err))
		}
	}
}

// step visits what a replica has. Only one goroutine at a time calls it.
func (w *walker) step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return w.log.walk(ctx, w.filter, w.at.Load()+1, func(s stored) bool {
		w.visit(s)
		w.at.Store(s.seq)
		return true
	})
}

// catchUp visits everything up to what the leader has now.
func (w *walker) catchUp(ctx context.Context) error {
	newest, found, err := w.log.last(ctx, w.filter)
	if err != nil || !found {
		return err
	}
	return w.log.fetch(ctx, w.filter, w.at.Load()+1, newest.seq, func(s stored) {
		w.visit(s)
		w.at.Store(s.seq)
	})
}

// passes returns when everything up to a position was visited by run.
func (w *walker) passes(ctx context.Context, position uint64) error {
	var pause backoff
	for w.at.Load() < position {
		w.poke()
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
