package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// WithRetries sets the maximum number of retries of a call after transient failures; 0
// disables them. Default: [DefaultRetries].
//
// Before each retry the client waits a random time up to 250 ms, a limit that doubles up
// to 5 s, or as long as the server asked (Retry-After, up to 5 minutes). Whether a call is
// retried depends on what happens if it takes effect twice:
//
//   - A publish with an [IdempotencyKey] (each item of a batch), a run status, a token, a
//     definition and every read are retried after network errors and the statuses 408,
//     429, 502, 503 and 504. The key stays the same.
//   - A publish without a key is retried only if nothing was published: no connection could
//     be made, or a Sluice server says so (its problems with 429 and 503). The client
//     never adds a key by itself, because the server must remember a durable publish and
//     its receipt says that it is one.
//   - [Client.PublishStream] resumes at the server's offset, after the same failures and after
//     status 500. The count of its retries starts over whenever the server has received more.
//   - [Client.PublishLines] and [Client.Health] are never retried.
//
// Subscriptions always reconnect, whatever this option says.
func WithRetries(n int) Option {
	return func(c *Client) { c.retries = max(0, n) }
}

// repeat says when a call may be retried.
type repeat int

const (
	never       repeat = iota
	ifUndone           // only if it certainly changed nothing
	ifTransient        // after every transient failure: a second call does no harm
)

// allows reports whether a call that failed with err may be retried.
func (r repeat) allows(err error) bool {
	var (
		problem *Problem
		network *networkError
	)
	switch {
	case r == never:
		return false
	case errors.As(err, &problem):
		return problem.undone() || r == ifTransient && problem.repeatable()
	case errors.As(err, &network):
		return r == ifTransient || unconnected(err)
	}
	return false
}

// unconnected reports whether no connection was made, so nothing can have been sent.
func unconnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// retry makes attempts until one succeeds, r forbids a retry after an error, or no retries are
// left. It returns the error of the last attempt, and also that of ctx if ctx ends during a
// wait.
func (c *Client) retry(ctx context.Context, r repeat, attempt func() error) error {
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

// pause waits for d. It returns an error if ctx ends earlier, and does not wait at all if the
// deadline of ctx is too soon. The error includes why, the failure before the retry.
func pause(ctx context.Context, d time.Duration, why error) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return fmt.Errorf("%w (%w before the next attempt)", why, context.DeadlineExceeded)
	}
	if !sleep(ctx, d) {
		return fmt.Errorf("%w (%w before the next attempt)", why, ctx.Err())
	}
	return nil
}

// hintOf returns how long the server asked to wait, 0 if it did not.
func hintOf(err error) time.Duration {
	var (
		problem *Problem
		closed  *CloseError
	)
	switch {
	case errors.As(err, &problem):
		return problem.RetryAfter
	case errors.As(err, &closed):
		return milliseconds(closed.RetryAfterMS)
	}
	return 0
}
