package nats

import (
	"context"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// repair fetches what a channel is missing, from after its last delivered message up to
// its target, and closes the tail's fetched when that is delivered or the engine is
// closed. Only the loop calls it.
//
// A goroutine does the fetching, at most maxRepairs of them at once, and takes as long
// as the cluster needs: until then the channel's later messages are held. It hands the
// result to the loop as a command. Meanwhile the channel may have been unsubscribed
// from, and even subscribed to again: then it has another tail, and the result is
// dropped. Positions that the stream no longer has count as delivered; whether they
// must be announced as lost is decided by Load.
func (l *live) repair(name schemas.Channel, t *tail) {
	from, to := t.last+1, t.target
	done := make(chan struct{})
	t.fetched = done
	l.repairs.Go(func() { // ends when all is fetched, or with the engine
		missing, ok := l.fetch(name, from, to)
		if !ok {
			close(done)
			return
		}
		// Not with do: the loop may have ended and be waiting for this goroutine.
		select {
		case l.commands <- func() { l.repaired(name, t, missing, to); close(done) }:
		case <-l.life.Done():
			close(done)
		}
	})
}

// fetch returns the messages of a channel between two positions. It tries until it
// succeeds, and reports false if the engine was closed first.
func (l *live) fetch(name schemas.Channel, from, to uint64) (missing []jetstream.Message, ok bool) {
	select {
	case l.repairer <- struct{}{}:
		defer func() { <-l.repairer }()
	case <-l.life.Done():
		return nil, false
	}
	again := func(err error) bool {
		l.log.Debug("cannot fetch missing messages yet", slog.Any("error", err))
		return true
	}
	err := jetstream.Retry(l.life, 10*time.Second, again, func(ctx context.Context) error {
		missing = nil
		return l.stream.WalkTo(ctx, subjectOf(l.names.messages, name), from, to, func(m jetstream.Message) { missing = append(missing, m) })
	})
	return missing, err == nil
}

// repaired delivers what was missing, and then what was held.
func (l *live) repaired(name schemas.Channel, t *tail, missing []jetstream.Message, to uint64) {
	if l.tails[name] != t {
		return // no longer subscribed to, or anew
	}
	for _, m := range missing {
		if m.Sequence > t.last {
			l.deliver(name, m.Sequence, m.Header, m.Data)
			l.stats.repaired.Add(1)
			t.last = m.Sequence
		}
	}
	t.last = max(t.last, to) // what was not found is no longer there
	t.fetched = nil
	l.release(name, t)
}

// note says that the reconciler found a channel's newest message at this position, in
// this round.
func (l *live) note(name schemas.Channel, seq, round uint64) {
	if t := l.tailOf(name); t != nil && t.target < seq {
		t.target, t.noted = seq, round
	}
}

// repairNoted repairs the channels whose newest message was noted in this round or
// before and has not arrived. It returns channels that are closed when that has ended.
func (l *live) repairNoted(round uint64) (repairs []<-chan struct{}) {
	for name, t := range l.tails {
		if t.lacks() && t.noted <= round {
			l.repair(name, t)
			repairs = append(repairs, t.fetched)
		}
	}
	return repairs
}

// repairAll repairs all channels that lack something. It returns channels that are closed
// when their repairs have ended, and those that were under way already.
func (l *live) repairAll() (repairs []<-chan struct{}) {
	for name, t := range l.tails {
		if t.lacks() {
			l.repair(name, t)
		}
		if t.fetching() {
			repairs = append(repairs, t.fetched)
		}
	}
	return repairs
}

// advance says that everything of a pattern's channels up to a position is delivered or
// noted, and removes the tails that are no longer needed for it.
func (l *live) advance(pattern schemas.Pattern, position uint64) {
	p := l.patterns[pattern]
	if p == nil || p.from == 0 || position <= p.from {
		return
	}
	p.from = position
	for name, t := range l.tails {
		if pattern.Matches(name) {
			l.tidy(name, t)
		}
	}
}
