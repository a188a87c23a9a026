package nats

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

const (
	// rounds is in how many slices all that is followed is looked at, one a second.
	rounds = 15
	// auditBatch is how many channels are asked for at once.
	auditBatch = 400
	// patience is how often a stream may look like another one before that is
	// believed: a server that has just come back may tell old news.
	patience = 5
)

// audit looks after what live delivery cannot tell by itself: that the last message
// before a silence was lost. It compares the ends of channels with those in the stream:
// of all after any trouble, of a part each second. And it watches the stream itself.
type audit struct {
	*Engine
	seed maphash.Seed

	// Owned by run.
	round    uint64
	leader   string
	messages identity
	told     *identity // nil but for shard 0
	doubts   int       // how often in a row a stream has looked like another one, or been gone
}

// identity is by what a stream is known to be the one that it was.
type identity struct {
	log   *journal
	birth string
	head  uint64 // the newest position that was ever seen
}

func newAudit(e *Engine) *audit {
	a := &audit{Engine: e, seed: maphash.MakeSeed(), messages: identity{log: e.log, birth: e.birth}}
	if f := e.Facts(); f != nil {
		a.told = &identity{log: f.log, birth: f.birth}
	}
	return a
}

// run ends when the engine is closed or the stream is given up.
func (a *audit) run() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for a.doubts < patience {
		select {
		case <-a.life.Done():
			return
		case <-a.health.wake:
			a.mend()
		case now := <-tick.C:
			if a.look(); a.doubts > 0 {
				continue // what lies in another stream is nothing that was missed
			}
			a.control.keepMarking(now)
			a.mend()
			a.slice()
		}
	}
}

// within gives work the time that it may take.
func (a *audit) within(most time.Duration, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(a.life, most)
	defer cancel()
	return work(ctx)
}

// look asks the streams whether they are what they were.
func (a *audit) look() {
	err := a.within(2*time.Second, func(ctx context.Context) error {
		state, err := a.recognize(ctx, &a.messages)
		if err == nil && a.told != nil {
			_, err = a.recognize(ctx, a.told)
		}
		if err != nil {
			return err
		}
		a.doubts = 0
		a.health.doubt(nil)
		a.health.first.Store(state.State.First)
		a.health.floor.Store(state.floor())
		if leader := state.Cluster.Leader; leader != a.leader {
			if a.leader != "" {
				a.trouble() // the old one may have gone with messages that it had not delivered
			}
			a.leader = leader
		}
		return nil
	})
	if err != nil && a.life.Err() == nil {
		a.opts.Log.Debug("cannot look at the stream", slog.Any("error", err))
	}
}

// recognize asks one stream.
func (a *audit) recognize(ctx context.Context, i *identity) (*info, error) {
	state, err := i.log.info(ctx)
	switch {
	case codeOf(err) == codeNoStream:
		return nil, a.doubt("the stream %s is gone", i.log.stream)
	case err != nil:
		return nil, err
	case state.birth() != i.birth:
		return nil, a.doubt("the stream %s was made anew", i.log.stream)
	case state.State.Last < i.head:
		return nil, a.doubt("the stream %s has gone back, and must be deleted", i.log.stream)
	}
	i.head = state.State.Last
	return state, nil
}

// doubt counts how often a stream has looked like another one, and believes it in the
// end.
func (a *audit) doubt(format string, args ...any) error {
	why := fmt.Errorf("nats: "+format, args...)
	a.health.doubt(why)
	if a.doubts++; a.doubts >= patience {
		a.giveUp(fmt.Errorf("%w: this process must be started again", why))
	}
	return why
}

// giveUp ends the use of the streams for good. Readers wait for positions that will not
// come: they are sent elsewhere. This process cannot go on with another stream, since
// all that it holds in memory has positions of the old one.
func (a *audit) giveUp(why error) {
	a.health.kill(why)
	a.opts.Log.Error("the stream must not be used", slog.Any("error", why))
	a.sink.Sever()
}

// mend looks through everything that is followed if there was trouble.
func (a *audit) mend() {
	trouble, due := a.health.due()
	if !due || a.doubts > 0 {
		return
	}
	if err := a.within(30*time.Second, func(ctx context.Context) error {
		exact, patterns := a.followed(nil)
		if err := a.compare(ctx, exact, patterns); err != nil {
			return err
		}
		return a.chase(ctx, a.round)
	}); err != nil {
		if a.life.Err() == nil {
			a.opts.Log.Debug("cannot look for missed messages", slog.Any("error", err))
		}
		return // again with the next tick
	}
	a.health.mend(trouble)
}

// slice looks at a part of what is followed. What was seen in the last round and has
// not come since will not come by itself.
func (a *audit) slice() {
	a.round++
	err := a.within(5*time.Second, func(ctx context.Context) error {
		if err := a.chase(ctx, a.round-1); err != nil {
			return err
		}
		exact, patterns := a.followed(func(text string) bool { return maphash.String(a.seed, text)%rounds == a.round%rounds })
		return a.compare(ctx, exact, patterns)
	})
	if err != nil && a.life.Err() == nil {
		a.opts.Log.Debug("cannot compare with the stream", slog.Any("error", err))
	}
}

// followed returns the channels and patterns that are followed, of those that chosen,
// if not nil, chooses.
func (a *audit) followed(chosen func(string) bool) (exact []schemas.Channel, patterns map[schemas.Pattern]uint64) {
	patterns = make(map[schemas.Pattern]uint64)
	a.live.do(func() {
		for name, t := range a.live.tails {
			if t.sub != nil && (chosen == nil || chosen(string(name))) {
				exact = append(exact, name)
			}
		}
		for pattern, i := range a.live.interests {
			if i.from > 0 && (chosen == nil || chosen(string(pattern))) {
				patterns[pattern] = i.from
			}
		}
	})
	return exact, patterns
}

// compare asks for the ends of channels and notes them.
func (a *audit) compare(ctx context.Context, exact []schemas.Channel, patterns map[schemas.Pattern]uint64) error {
	if len(exact) == 0 && len(patterns) == 0 {
		return nil
	}
	// After a reconnect: what comes from now on comes live.
	if err := a.log.reach(ctx, a.canary()); err != nil {
		return err
	}
	state, err := a.log.info(ctx)
	if err != nil {
		return err
	}
	head := state.State.Last
	for len(exact) > 0 {
		n := min(auditBatch, len(exact))
		filters := make([]string, n)
		for i, name := range exact[:n] {
			filters[i] = subjectOf(a.names.messages, name)
		}
		exact = exact[n:]
		list, _, err := a.log.lasts(ctx, filters, a.canary(), 1, head)
		if err != nil {
			return err
		}
		a.live.do(func() { a.note("", list) })
	}
	for pattern, from := range patterns {
		if err := a.comparePattern(ctx, pattern, from, head); err != nil {
			return err
		}
	}
	return nil
}

// comparePattern is compare for all channels that a pattern names.
func (a *audit) comparePattern(ctx context.Context, pattern schemas.Pattern, from, head uint64) error {
	filter := filterOf(a.names.messages, pattern)
	list, upTo, err := a.log.lasts(ctx, []string{filter}, a.canary(), from+1, head)
	if errors.Is(err, errTooMany) {
		upTo = head
		list, err = a.endsOf(ctx, filter, from+1, head)
	}
	if err != nil {
		return err
	}
	a.live.do(func() {
		a.note(pattern, list)
		a.live.advance(pattern, upTo)
	})
	return nil
}

// endsOf finds the newest messages of subjects by looking at all since a position.
func (a *audit) endsOf(ctx context.Context, filter string, from, to uint64) ([]stored, error) {
	newest, found, err := a.log.last(ctx, filter)
	if err != nil || !found {
		return nil, err
	}
	ends := make(map[string]stored)
	err = a.log.fetch(ctx, filter, from, min(to, newest.seq), func(s stored) { ends[s.subject] = stored{subject: s.subject, seq: s.seq} })
	list := make([]stored, 0, len(ends))
	for _, s := range ends {
		list = append(list, s)
	}
	return list, err
}

// note tells of the ends of channels, those that pattern names if it is not empty. Only
// the loop calls it.
func (a *audit) note(pattern schemas.Pattern, list []stored) {
	for _, s := range list {
		name, ok := channelOf(a.names.messages, s.subject)
		if ok && (pattern == "" || pattern.Matches(name)) {
			a.live.note(name, s.seq, a.round)
		}
	}
}

// chase fetches what was noted up to a round and has not come, and returns when it is
// delivered.
func (a *audit) chase(ctx context.Context, round uint64) error {
	var repairs sync.WaitGroup
	a.live.do(func() { a.live.chase(round, func() { repairs.Add(1) }, repairs.Done) })
	done := make(chan struct{})
	a.running.Go(func() { // ends with the repairs, which end with the engine
		repairs.Wait()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// advance says that everything of a pattern's channels up to a position was delivered
// or is noted, and forgets the tails that say no more than that. Only the loop calls it.
func (l *live) advance(pattern schemas.Pattern, position uint64) {
	i := l.interests[pattern]
	if i == nil || i.from == 0 || position <= i.from {
		return
	}
	i.from = position
	for name, t := range l.tails {
		if pattern.Matches(name) {
			l.tidy(name, t)
		}
	}
}
