package nats

import (
	"context"

	"github.com/sluicehq/sluice/schemas"
)

// Follow implements [broker.Engine].
func (e *Engine) Follow(ctx context.Context, pattern schemas.Pattern) error {
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err := e.live.follow(limited, pattern); err != nil {
		e.Unfollow(pattern)
		return e.failed(ctx, err)
	}
	return nil
}

// follow subscribes, waits until the subscription has reached the stream, and then asks
// where the stream stands: what comes later comes here.
func (l *live) follow(ctx context.Context, pattern schemas.Pattern) (err error) {
	l.do(func() { err = l.subscribe(pattern) })
	if err != nil {
		return err
	}
	if err := l.log.reach(ctx, l.canary()); err != nil {
		return err
	}
	if name, exact := pattern.Exact(); exact {
		newest, _, err := l.log.last(ctx, subjectOf(l.names.messages, name))
		if err != nil {
			return err
		}
		l.do(func() { l.settle(name, newest.seq) })
		return nil
	}
	state, err := l.log.info(ctx)
	if err != nil {
		return err
	}
	l.do(func() { l.settleAll(pattern, max(state.State.Last, 1)) })
	return nil
}

// subscribe begins to listen. What comes waits until it is known where that begins.
func (l *live) subscribe(pattern schemas.Pattern) error {
	sub, err := l.conn.ChanSubscribe(l.names.liveOf(filterOf(l.names.messages, pattern)), l.arriving)
	if err != nil {
		return err
	}
	name, exact := pattern.Exact()
	if !exact {
		l.interests[pattern] = &interest{sub: sub}
		return nil
	}
	t := l.tailOf(name)
	if t == nil {
		t = &tail{}
		l.tails[name] = t
	}
	t.sub = sub
	return nil
}

// settle says that what comes after a position comes live.
func (l *live) settle(name schemas.Channel, from uint64) {
	t := l.tails[name]
	if t == nil || t.settled {
		return // a pattern has settled it, maybe at an earlier position
	}
	t.last, t.settled = from, true
	l.release(name, t)
}

// settleAll is settle for all channels of a pattern.
func (l *live) settleAll(pattern schemas.Pattern, from uint64) {
	i := l.interests[pattern]
	if i == nil {
		return
	}
	i.from = from
	for name, t := range l.tails {
		if t.sub == nil && pattern.Matches(name) {
			l.settle(name, from)
		}
	}
}

// Unfollow implements [broker.Engine].
func (e *Engine) Unfollow(pattern schemas.Pattern) {
	e.live.do(func() { e.live.unfollow(pattern) })
}

// unfollow also undoes a follow that has failed half-way. Unsubscribing fails when the
// connection is closed, which ends all subscriptions.
func (l *live) unfollow(pattern schemas.Pattern) {
	if name, exact := pattern.Exact(); exact {
		if t := l.tails[name]; t != nil && t.sub != nil {
			_ = t.sub.Unsubscribe()
			t.sub = nil
			l.tidy(name, t)
		}
		return
	}
	i := l.interests[pattern]
	if i == nil {
		return
	}
	_ = i.sub.Unsubscribe()
	delete(l.interests, pattern)
	for name, t := range l.tails {
		if pattern.Matches(name) {
			l.tidy(name, t)
		}
	}
}

// tidy forgets a tail that nobody needs: no pattern names the channel, or the tail
// says no more than those patterns do.
func (l *live) tidy(name schemas.Channel, t *tail) {
	if t.sub != nil {
		return
	}
	from, named := l.named(name)
	if !named || t.settled && !t.fetching && t.last <= from && t.target <= t.last {
		delete(l.tails, name)
	}
}
