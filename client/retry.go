package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// DefaultRetries is how often a call that failed in passing is made again.
const DefaultRetries = 5

// WithRetries sets how often a call that failed in passing is made again, at
// most; 0: never. Default: [DefaultRetries].
//
// A wait stands before each: anything up to 250 ms, a bound that doubles up to
// 5 s, or what the server asked for (Retry-After, up to 5 minutes). What is
// tried again is a question of what could happen twice:
//
//   - A publish with an [IdempotencyKey] (each item, in a batch), a run status,
//     a token, a definition, and what only reads: after errors of the network and
//     the statuses 408, 429, 502, 503 and 504. The key is the same every time.
//   - A publish without a key: only when nothing was published, because no
//     connection could be made or because a Sluice server said so (its problems
//     with 429 and 503). It is not given a key of its own accord: a durable
//     publish costs the server a memory of it, and says so in its receipt.
//   - [Client.PublishLines], [Client.PublishStream] and [Client.Health]: never.
//
// Subscriptions come again for as long as they last, whatever is set here.
func WithRetries(n int) Option {
	return func(c *Client) { c.retries = max(0, n) }
}

// repeat says when a call may be made again.
type repeat int

const (
	never     repeat = iota
	ifUndone         // only if it surely changed nothing
	ifPassing        // whenever it may succeed a little later: making it twice does no harm
)

// allows reports whether what failed with err may be tried again.
func (r repeat) allows(err error) bool {
	var (
		problem *Problem
		network *networkError
	)
	switch {
	case r == never:
		return false
	case errors.As(err, &problem):
		return problem.undone() || r == ifPassing && problem.repeatable()
	case errors.As(err, &network):
		return r == ifPassing || unconnected(err)
	}
	return false
}

// unconnected reports whether no connection was made, so that nothing can have
// been sent.
func unconnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// repeating makes attempts until one succeeds, or fails so that r does not allow
// another one, or the retries are used up. It returns what the last one did; when
// ctx ends meanwhile, its error as well.
func (c *Client) repeating(ctx context.Context, r repeat, attempt func() error) error {
	var waits backoff
	for tries := 0; ; tries++ {
		err := attempt()
		if err == nil || ctx.Err() != nil || tries >= c.retries || !r.allows(err) {
			return err
		}
		if err := pause(ctx, waits.next(hintOf(err)), err); err != nil {
			return err
		}
	}
}

// pause waits for d. It returns an error when ctx ends before, at once if that is
// certain; it says what was to be tried again, too.
func pause(ctx context.Context, d time.Duration, why error) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return fmt.Errorf("%w (%w before the next attempt)", why, context.DeadlineExceeded)
	}
	if !sleep(ctx, d) {
		return fmt.Errorf("%w (%w before the next attempt)", why, ctx.Err())
	}
	return nil
}

// hintOf returns how long the server asked to wait; 0: it did not.
func hintOf(err error) time.Duration {
	var (
		problem *Problem
		closed  *CloseError
	)
	switch {
	case errors.As(err, &problem):
		return problem.RetryAfter
	case errors.As(err, &closed):
		return time.Duration(min(closed.RetryAfterMS, maxHint.Milliseconds())) * time.Millisecond
	}
	return 0
}
