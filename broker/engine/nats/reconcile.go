package nats

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

const (
	// sliceCount is in how many slices the subscriptions are compared with the stream,
	// one per second.
	sliceCount = 15
	// channelsAtOnce is how many channels one request asks about.
	channelsAtOnce = 400
)

// reconciler finds what live delivery cannot notice by itself: that the last message
// before a silence was lost. It compares where the channels end in the stream with
// where they end here.
//
// It does so in two ways. When messages may have been lost (a reconnect, an overflow, a
// new leader, a missing canary), it compares everything and repairs at once, and only
// then does the engine turn ready again. Otherwise it compares one slice of the
// subscriptions per second. A message that the stream has and the loop has not may
// simply be on its way, so the slice only notes it, and a later round repairs what has
// not arrived by then. Hence the bound: a lost message is found within sliceCount
// seconds, and repaired one second later.
//
// Publishing and live delivery go on meanwhile. The order within a comparison matters:
// first a barrier, so that whatever is stored from now on arrives live even after a
// reconnect; then the position where the stream ends; then the ends of channels, from a
// replica that is not behind that position. If a step fails, nothing is noted, and the
// next tick begins again. A node that stops in the middle loses nothing: readers resume
// by position.
//
// The reconciler also watches the streams themselves, see [watchedStream].
type reconciler struct {
	stream  *jetstream.Stream
	names   subjects
	canary  string
	live    *live
	control *control
	health  *health
	sink    sink
	log     *slog.Logger
	life    context.Context
	seed    maphash.Seed

	// Owned by run.
	round      uint64
	leader     string
	messages   watchedStream
	cluster    *watchedStream // of the cluster state; nil except for shard 0
	suspicions int            // how often in a row a stream was gone or another one
}

func newReconciler(e *Engine) *reconciler {
	r := &reconciler{
		stream: e.stream, names: e.names, canary: e.canary, live: e.live, control: e.control, health: e.health,
		sink: e.sink, log: e.opts.Log, life: e.life, seed: maphash.MakeSeed(),
		messages: watchedStream{stream: e.stream, incarnation: e.incarnation},
	}
	if s := e.cluster; s != nil {
		r.cluster = &watchedStream{stream: s.stream, incarnation: s.incarnation}
	}
	return r
}

// run ends when the engine is closed or its stream is given up.
func (r *reconciler) run() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for r.suspicions < maxSuspicions {
		select {
		case <-r.life.Done():
			return
		case <-r.health.wake:
			r.reconcileAll()
		case now := <-tick.C:
			if r.checkStreams(); r.suspicions > 0 {
				continue // what another stream holds is nothing that we missed
			}
			r.control.keepMarking(now)
			r.reconcileAll()
			r.reconcileSlice()
		}
	}
}

// within gives work a time limit.
func (r *reconciler) within(limit time.Duration, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(r.life, limit)
	defer cancel()
	return work(ctx)
}

// reconcileAll compares everything if messages may have been lost.
func (r *reconciler) reconcileAll() {
	losses, due := r.health.lossesDue()
	if !due || r.suspicions > 0 {
		return
	}
	if err := r.within(30*time.Second, func(ctx context.Context) error {
		exact, patterns := r.subscriptions(nil)
		if err := r.compare(ctx, exact, patterns); err != nil {
			return err
		}
		return r.repairAll(ctx)
	}); err != nil {
		if r.life.Err() == nil {
			r.log.Debug("cannot look for missed messages", slog.Any("error", err))
		}
		return // the next tick tries again
	}
	r.health.reconciled(losses)
	r.live.do(r.live.resume)
}

// reconcileSlice compares one slice. What an earlier round noted and has still not
// arrived will not arrive by itself.
func (r *reconciler) reconcileSlice() {
	r.round++
	err := r.within(5*time.Second, func(ctx context.Context) error {
		if err := r.repairNoted(ctx, r.round-1); err != nil {
			return err
		}
		exact, patterns := r.subscriptions(func(text string) bool { return maphash.String(r.seed, text)%sliceCount == r.round%sliceCount })
		return r.compare(ctx, exact, patterns)
	})
	if err != nil {
		r.round-- // the next tick compares the same slice
		if r.life.Err() == nil {
			r.log.Debug("cannot compare with the stream", slog.Any("error", err))
		}
	}
}

// subscriptions returns the channels and patterns that this node subscribes to; chosen,
// if not nil, selects some of them.
func (r *reconciler) subscriptions(chosen func(string) bool) (exact []schemas.Channel, patterns map[schemas.Pattern]uint64) {
	patterns = make(map[schemas.Pattern]uint64)
	r.live.do(func() {
		for name, t := range r.live.tails {
			if t.sub != nil && (chosen == nil || chosen(string(name))) {
				exact = append(exact, name)
			}
		}
		for pattern, p := range r.live.patterns {
			if p.from > 0 && (chosen == nil || chosen(string(pattern))) {
				patterns[pattern] = p.from
			}
		}
	})
	return exact, patterns
}

// compare asks where channels end and notes it.
func (r *reconciler) compare(ctx context.Context, exact []schemas.Channel, patterns map[schemas.Pattern]uint64) error {
	if len(exact) == 0 && len(patterns) == 0 {
		return nil
	}
	if err := r.stream.Barrier(ctx, r.canary); err != nil {
		return err
	}
	info, err := r.stream.Info(ctx)
	if err != nil {
		return err
	}
	head := info.State.LastSeq
	for len(exact) > 0 {
		n := min(channelsAtOnce, len(exact))
		filters := make([]string, n)
		for i, name := range exact[:n] {
			filters[i] = subjectOf(r.names.messages, name)
		}
		exact = exact[n:]
		ends, _, err := r.stream.LastPerSubject(ctx, filters, r.canary, 1, head)
		if err != nil {
			return err
		}
		r.live.do(func() { r.note("", ends) })
	}
	for pattern, from := range patterns {
		if err := r.comparePattern(ctx, pattern, from, head); err != nil {
			return err
		}
	}
	return nil
}

// comparePattern is compare for all channels that a pattern matches.
func (r *reconciler) comparePattern(ctx context.Context, pattern schemas.Pattern, from, head uint64) error {
	filter := filterOf(r.names.messages, pattern)
	ends, upTo, err := r.stream.LastPerSubject(ctx, []string{filter}, r.canary, from+1, head)
	if errors.Is(err, jetstream.ErrTooManySubjects) {
		upTo = head
		ends, err = r.walkEnds(ctx, filter, from+1, head)
	}
	if err != nil {
		return err
	}
	r.live.do(func() {
		r.note(pattern, ends)
		r.live.advance(pattern, upTo)
	})
	return nil
}

// walkEnds finds the newest message of each subject by reading all messages between two
// positions.
func (r *reconciler) walkEnds(ctx context.Context, filter string, from, to uint64) ([]jetstream.Message, error) {
	newest, found, err := r.stream.Last(ctx, filter)
	if err != nil || !found {
		return nil, err
	}
	last := make(map[string]uint64)
	err = r.stream.WalkTo(ctx, filter, from, min(to, newest.Sequence), func(m jetstream.Message) { last[m.Subject] = m.Sequence })
	ends := make([]jetstream.Message, 0, len(last))
	for subject, seq := range last {
		ends = append(ends, jetstream.Message{Subject: subject, Sequence: seq})
	}
	return ends, err
}

// note tells the loop where channels end; with a pattern, only those that it matches.
// Only the loop calls it.
func (r *reconciler) note(pattern schemas.Pattern, ends []jetstream.Message) {
	for _, m := range ends {
		name, ok := channelOf(r.names.messages, m.Subject)
		if ok && (pattern == "" || pattern.Matches(name)) {
			r.live.note(name, m.Sequence, r.round)
		}
	}
}

// repairNoted repairs what was noted up to a round and has not arrived, and returns when
// it is delivered.
func (r *reconciler) repairNoted(ctx context.Context, round uint64) error {
	var repairs []<-chan struct{}
	r.live.do(func() { repairs = r.live.repairNoted(round) })
	return await(ctx, repairs)
}

// repairAll repairs whatever is known to be missing, and returns when nothing is any more:
// not even what a repair fetches that began before, or one that had to begin after it.
func (r *reconciler) repairAll(ctx context.Context) error {
	for {
		var repairs []<-chan struct{}
		r.live.do(func() { repairs = r.live.repairAll() })
		if len(repairs) == 0 {
			return nil
		}
		if err := await(ctx, repairs); err != nil {
			return err
		}
	}
}

// await waits until all channels are closed.
func await(ctx context.Context, repairs []<-chan struct{}) error {
	for _, done := range repairs {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
