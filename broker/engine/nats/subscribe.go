package nats

import (
	"context"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/schemas"
)

// Subscribe implements [engine.Engine].
func (e *Engine) Subscribe(ctx context.Context, pattern schemas.Pattern) error {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err := e.live.subscribe(limited, pattern); err != nil {
		e.Unsubscribe(pattern)
		return e.failed(ctx, err)
	}
	return nil
}

// subscribe makes three steps, and their order matters. It subscribes, so that messages
// begin to arrive; they are held, because nobody knows yet where they begin. It waits
// until the subscription has reached the stream's leader. Then it asks where the
// channel ends: what is stored after that position arrives live, and what lies before
// is loaded. If it asked before the barrier, a message stored in between would be
// neither loaded nor delivered.
func (l *live) subscribe(ctx context.Context, pattern schemas.Pattern) (err error) {
	l.do(func() { err = l.listenTo(pattern) })
	if err != nil {
		return err
	}
	if err := l.stream.Barrier(ctx, l.canary); err != nil {
		return err
	}
	if name, exact := pattern.Exact(); exact {
		newest, _, err := l.stream.Last(ctx, subjectOf(l.names.messages, name))
		if err != nil {
			return err
		}
		l.do(func() { l.settle(name, newest.Sequence) })
		return nil
	}
	info, err := l.stream.Info(ctx)
	if err != nil {
		return err
	}
	l.do(func() { l.settlePattern(pattern, max(info.State.LastSeq, 1)) })
	return nil
}

// listenTo makes the subscription. What arrives is held until it is settled.
func (l *live) listenTo(pattern schemas.Pattern) error {
	sub, err := l.conn.ChanSubscribe(l.names.liveOf(filterOf(l.names.messages, pattern)), l.arrivals)
	if err != nil {
		return err
	}
	l.begin(pattern, sub)
	return nil
}

// begin notes that what sub stands for begins to arrive.
func (l *live) begin(pattern schemas.Pattern, sub *natsio.Subscription) {
	name, exact := pattern.Exact()
	if !exact {
		l.patterns[pattern] = &patternSub{sub: sub}
		return
	}
	t := l.tailOf(name)
	if t == nil {
		t = &tail{}
		l.tails[name] = t
	}
	t.sub = sub
}

// settle says that everything of a channel after a position arrives live.
func (l *live) settle(name schemas.Channel, from uint64) {
	t := l.tails[name]
	if t == nil || t.settled {
		return // a pattern has settled it, perhaps at an earlier position
	}
	t.last, t.settled = from, true
	l.release(name, t)
}

// settlePattern is settle for all channels that a pattern matches. A channel that is just being
// subscribed to by name is settled, too: those who read the pattern do not wait for that.
func (l *live) settlePattern(pattern schemas.Pattern, from uint64) {
	p := l.patterns[pattern]
	if p == nil {
		return
	}
	p.from = from
	for name := range l.tails {
		if pattern.Matches(name) {
			l.settle(name, from)
		}
	}
}

// Unsubscribe implements [engine.Engine].
func (e *Engine) Unsubscribe(pattern schemas.Pattern) {
	e.live.do(func() { e.live.unsubscribe(pattern) })
}

// unsubscribe also undoes a subscribe that failed half-way. If the connection is
// closed, its Unsubscribe fails, but then all subscriptions have ended.
func (l *live) unsubscribe(pattern schemas.Pattern) {
	if name, exact := pattern.Exact(); exact {
		if t := l.tails[name]; t != nil && t.sub != nil {
			_ = t.sub.Unsubscribe()
			t.sub = nil
			l.tidy(name, t)
		}
		return
	}
	p := l.patterns[pattern]
	if p == nil {
		return
	}
	_ = p.sub.Unsubscribe()
	delete(l.patterns, pattern)
	for name, t := range l.tails {
		if pattern.Matches(name) {
			l.tidy(name, t)
		}
	}
}
