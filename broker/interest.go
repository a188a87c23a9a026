package broker

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// lingers is how long a channel stays in memory after its last reader has left: one
// that only lost its connection finds everything as it was.
const lingers = 30 * time.Second

// interest is the channels and patterns that streams read, of which the engine is
// told. A channel is in memory only while it is followed: then its log misses
// nothing. With the memory engine there is nothing to be told.
type interest struct {
	broker *Broker

	mu       sync.Mutex
	followed map[schemas.Pattern]*following // guarded by mu
}

// following is a channel or pattern that streams read, or have read a moment ago.
type following struct {
	begun chan struct{} // closed when the engine follows it, or has failed to
	err   error         // why it has failed; set before begun is closed

	// Guarded by the interest's mu.
	live    bool // the engine follows it
	readers int
	idle    time.Time     // since when there is none
	ended   chan struct{} // closed when the engine follows it no longer; nil: that is not under way
}

func (i *interest) init(b *Broker) {
	i.broker = b
	i.followed = make(map[schemas.Pattern]*following)
}

// join counts one more reader of what pattern names, and returns when all that is
// stored from now on will be delivered. The caller has to give the result to leave.
func (i *interest) join(ctx context.Context, pattern schemas.Pattern) (*following, error) {
	for {
		i.mu.Lock()
		f := i.followed[pattern]
		switch {
		case f == nil:
			f = &following{begun: make(chan struct{}), readers: 1}
			i.followed[pattern] = f
			i.mu.Unlock()
			return f, i.begin(ctx, pattern, f)
		case f.ended != nil:
			ended := f.ended
			i.mu.Unlock()
			if err := wait(ctx, ended); err != nil {
				return nil, err
			}
		default:
			f.readers++
			i.mu.Unlock()
			err := wait(ctx, f.begun)
			if err == nil {
				err = f.err
			}
			return f, err
		}
	}
}

// wait returns when done is closed, or with the error of ctx.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin makes the engine follow pattern. Others may wait for it too, so it does not
// end with ctx.
func (i *interest) begin(ctx context.Context, pattern schemas.Pattern, f *following) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.broker.opts.PublishTimeout)
	defer cancel()
	f.err = i.broker.engine.Follow(ctx, pattern)
	i.mu.Lock()
	defer i.mu.Unlock()
	if f.live = f.err == nil; !f.live {
		delete(i.followed, pattern)
	}
	close(f.begun)
	return f.err
}

// leave undoes join. f may be nil.
func (i *interest) leave(f *following) {
	if f == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if f.readers--; f.readers == 0 {
		f.idle = time.Now()
	}
}

// sweep makes the engine follow no longer what has had no reader for a while, and
// drops the logs that would miss something then.
func (i *interest) sweep(now time.Time) {
	for pattern, f := range i.expire(now) {
		i.drop(pattern)
		i.broker.engine.Unfollow(pattern)
		i.mu.Lock()
		delete(i.followed, pattern)
		close(f.ended)
		i.mu.Unlock()
	}
}

// expire marks what has had no reader for a while, and returns it.
func (i *interest) expire(now time.Time) map[schemas.Pattern]*following {
	i.mu.Lock()
	defer i.mu.Unlock()
	var over map[schemas.Pattern]*following
	for pattern, f := range i.followed {
		if f.readers == 0 && f.live && now.Sub(f.idle) >= lingers {
			if over == nil {
				over = make(map[schemas.Pattern]*following)
			}
			f.ended = make(chan struct{})
			over[pattern] = f
		}
	}
	return over
}

// drop takes the channels that pattern names out of memory, unless the engine
// follows them for another reason. A stream that has just come loads them anew.
func (i *interest) drop(pattern schemas.Pattern) {
	if name, exact := pattern.Exact(); exact {
		if c := i.broker.registry.get(name); c != nil {
			i.dropChannel(c)
		}
		return
	}
	for c := range i.broker.registry.matching(pattern) {
		i.dropChannel(c)
	}
}

func (i *interest) dropChannel(c *channel) {
	i.broker.remove(c, gapNone, func() bool { return i.covers(c.name) })
}

// covers reports whether the engine follows the channel.
func (i *interest) covers(name schemas.Channel) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stays(schemas.Pattern(name)) || i.stays("*") {
		return true
	}
	for pattern := range prefixes(name) {
		if i.stays(pattern) {
			return true
		}
	}
	return false
}

func (i *interest) stays(pattern schemas.Pattern) bool {
	f := i.followed[pattern]
	return f != nil && f.live && f.ended == nil
}
