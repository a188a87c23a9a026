package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// unsubscribeAfter is how long a channel stays in memory after its last reader has
// left. A reader that only lost its connection finds everything as it was.
const unsubscribeAfter = 30 * time.Second

// upstream holds the engine's subscriptions: the channels and patterns that streams on
// this node read. A channel is in memory only while the engine is subscribed to it, for
// only then does its log miss nothing.
type upstream struct {
	store *persistent

	mu   sync.Mutex
	subs map[schemas.Pattern]*upstreamSub // guarded by mu
}

// upstreamSub is a channel or pattern that streams read, or have read a moment ago.
//
// The first reader creates it and starts the engine's subscription; readers that come
// meanwhile wait for begun. It is live from then on. When it has had no reader for
// [unsubscribeAfter], ended is set: the logs that it covers are unloaded first and the
// engine unsubscribes afterwards, so that no log in memory ever misses a message. A
// reader that comes in between waits until that is over and starts anew.
type upstreamSub struct {
	begun chan struct{} // closed when the engine is subscribed, or has failed to be
	err   error         // why it has failed; set before begun is closed

	// Guarded by the upstream's mu.
	live    bool // the engine is subscribed
	readers int
	idle    time.Time     // since when there are no readers
	ended   chan struct{} // closed when the engine is unsubscribed; nil unless that is under way
}

// upstreamRead is a list of what one cursor reads. Most cursors read one channel, and
// those of the memory store have none.
type upstreamRead struct {
	sub  *upstreamSub
	next *upstreamRead
}

func (u *upstream) init(p *persistent) {
	u.store = p
	u.subs = make(map[schemas.Pattern]*upstreamSub)
}

// addReader counts one more reader of pattern and returns once everything stored from
// now on will be delivered. The caller must give the result, even with an error, to
// removeReader.
func (u *upstream) addReader(ctx context.Context, pattern schemas.Pattern) (*upstreamSub, error) {
	for {
		u.mu.Lock()
		sub := u.subs[pattern]
		switch {
		case sub == nil:
			sub = &upstreamSub{begun: make(chan struct{}), readers: 1}
			u.subs[pattern] = sub
			u.mu.Unlock()
			// Others may come to wait for it, so it does not end with ctx.
			go u.subscribe(context.WithoutCancel(ctx), pattern, sub) // ends with the publish timeout
			return sub, sub.awaitSubscribed(ctx)
		case sub.ended != nil:
			ended := sub.ended
			u.mu.Unlock()
			if err := waitFor(ctx, ended); err != nil {
				return nil, err
			}
		default:
			sub.readers++
			u.mu.Unlock()
			return sub, sub.awaitSubscribed(ctx)
		}
	}
}

// waitFor returns when done is closed, or with the error of ctx.
func waitFor(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitSubscribed returns when the engine is subscribed, or with the reason why it is
// not.
func (s *upstreamSub) awaitSubscribed(ctx context.Context) error {
	if err := waitFor(ctx, s.begun); err != nil {
		return err
	}
	return s.err
}

// subscribe makes the engine subscribe to pattern.
func (u *upstream) subscribe(ctx context.Context, pattern schemas.Pattern, sub *upstreamSub) {
	limited, cancel := context.WithTimeout(ctx, u.store.shard.opts.PublishTimeout)
	defer cancel()
	sub.err = u.store.engine.Subscribe(limited, pattern)
	if sub.err != nil && limited.Err() != nil { // those who wait know nothing of this deadline
		sub.err = fmt.Errorf("%w: no subscription to %s in time", engine.ErrUnavailable, pattern)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if sub.live = sub.err == nil; !sub.live {
		delete(u.subs, pattern)
	}
	close(sub.begun)
}

// removeReader undoes addReader. sub may be nil.
func (u *upstream) removeReader(sub *upstreamSub) {
	if sub == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if sub.readers--; sub.readers == 0 {
		sub.idle = time.Now()
	}
}

// unsubscribeIdle unsubscribes from what has had no reader for a while, and unloads the
// logs that would miss something from then on.
func (u *upstream) unsubscribeIdle(now time.Time) {
	for pattern, sub := range u.expire(now) {
		u.unload(pattern)
		u.store.engine.Unsubscribe(pattern)
		u.mu.Lock()
		delete(u.subs, pattern)
		close(sub.ended)
		u.mu.Unlock()
	}
}

// expire marks what has had no reader for a while, and returns it.
func (u *upstream) expire(now time.Time) map[schemas.Pattern]*upstreamSub {
	u.mu.Lock()
	defer u.mu.Unlock()
	var over map[schemas.Pattern]*upstreamSub
	for pattern, sub := range u.subs {
		if sub.readers == 0 && sub.live && now.Sub(sub.idle) >= unsubscribeAfter {
			if over == nil {
				over = make(map[schemas.Pattern]*upstreamSub)
			}
			sub.ended = make(chan struct{})
			over[pattern] = sub
		}
	}
	return over
}

// unload takes the channels that pattern names out of memory, unless another
// subscription covers them. A stream that has just come loads them again.
func (u *upstream) unload(pattern schemas.Pattern) {
	if name, exact := pattern.Exact(); exact {
		if c := u.store.shard.registry.get(name); c != nil {
			u.unloadChannel(c)
		}
		return
	}
	for c := range u.store.shard.registry.matching(pattern) {
		u.unloadChannel(c)
	}
}

func (u *upstream) unloadChannel(c *channel) {
	u.store.shard.remove(c, ring.Kept, func() bool { return u.covers(c.name) }, nil)
}

// covers reports whether a subscription covers the channel.
func (u *upstream) covers(name schemas.Channel) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isLive(schemas.Pattern(name)) || u.isLive("*") {
		return true
	}
	for pattern := range prefixes(name) {
		if u.isLive(pattern) {
			return true
		}
	}
	return false
}

// isLive reports whether the engine is subscribed to pattern and stays so.
func (u *upstream) isLive(pattern schemas.Pattern) bool {
	sub := u.subs[pattern]
	return sub != nil && sub.live && sub.ended == nil
}
