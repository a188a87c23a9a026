package client

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

const (
	minWait = 250 * time.Millisecond
	maxWait = 5 * time.Second
	maxHint = 5 * time.Minute // the longest wait that a server can ask for

	// stableAfter is how long a connection must have lasted for the next failure to count
	// as the first.
	stableAfter = maxWait
)

// backoff decides how long to wait before the next attempt: a random time up to a limit
// that doubles with each failure in a row, so that clients do not all reconnect at once
// when their server returns. The zero value is ready for use.
type backoff struct {
	failures int // in a row
}

// next returns the wait after one more failure. hint is the wait that the server asked for
// with that failure, 0 for none. After the first failure, the hint is the wait, since
// servers spread their hints; after later failures it is the minimum.
func (b *backoff) next(hint time.Duration) time.Duration {
	hint = min(hint, maxHint)
	bound := min(minWait<<min(b.failures, 16), maxWait)
	b.failures++
	if b.failures == 1 && hint > 0 {
		return hint
	}
	return max(hint, rand.N(bound+1))
}

// milliseconds returns n milliseconds, or fewer if that would overflow.
func milliseconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

func (b *backoff) reset() { b.failures = 0 }

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
