package nats

import (
	"context"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// repair fetches what is missing of a channel up to its target, and calls done, which
// may be nil, when that is delivered or the engine is closed. Only the loop calls it.
func (l *live) repair(name schemas.Channel, t *tail, done func()) {
	t.fetching = true
	from, to := t.last+1, t.target
	l.repairs.Go(func() { // ends when all is fetched, or with the engine
		if done != nil {
			defer done()
		}
		missing, ok := l.missing(name, from, to)
		if !ok {
			return
		}
		// Not with do: the loop may have ended, and waits for this goroutine.
		select {
		case l.commands <- func() { l.repaired(name, t, missing, to) }:
		case <-l.life.Done():
		}
	})
}

// missing fetches messages of a channel, for as long as it takes. It reports false if
// the engine was closed meanwhile.
func (l *live) missing(name schemas.Channel, from, to uint64) (missing []stored, ok bool) {
	select {
	case l.repairer <- struct{}{}:
		defer func() { <-l.repairer }()
	case <-l.life.Done():
		return nil, false
	}
	var pause backoff
	for {
		missing = nil
		ctx, cancel := context.WithTimeout(l.life, 10*time.Second)
		err := l.log.fetch(ctx, subjectOf(l.names.messages, name), from, to, func(s stored) { missing = append(missing, s) })
		cancel()
		if err == nil {
			return missing, true
		}
		if pause.wait(l.life) != nil {
			return nil, false
		}
		l.opts.Log.Debug("fetching missed messages", slog.Any("error", err))
	}
}

// repaired delivers what was missing, and what had to wait for it.
func (l *live) repaired(name schemas.Channel, t *tail, missing []stored, to uint64) {
	if l.tails[name] != t {
		return // followed no longer, or anew
	}
	for _, s := range missing {
		if s.seq > t.last {
			l.deliver(name, s.seq, s.data)
			l.stats.repaired.Add(1)
			t.last = s.seq
		}
	}
	t.last = max(t.last, to) // what did not come is there no longer
	t.fetching = false
	l.release(name, t)
}

// note says that, as was found in a round of the audit, a channel's newest message has
// this position.
func (l *live) note(name schemas.Channel, seq, round uint64) {
	if t := l.tailOf(name); t != nil && t.target < seq {
		t.target, t.noted = seq, round
	}
}

// chase fetches what was noted up to a round and has not come by itself. It calls begun
// before each repair, and done after it.
func (l *live) chase(round uint64, begun, done func()) {
	for name, t := range l.tails {
		if t.settled && !t.fetching && t.target > t.last && t.noted <= round {
			begun()
			l.repair(name, t, done)
		}
	}
}
