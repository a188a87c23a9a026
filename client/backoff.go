package client

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minWait = 250 * time.Millisecond
	maxWait = 5 * time.Second
	maxHint = 5 * time.Minute // no server's wish is obeyed for longer

	// stableAfter is how long a connection must have lived for the next failure
	// to count as the first.
	stableAfter = maxWait
)

// backoff decides how long to wait before the next attempt: anything up to a
// bound that doubles with each failure in a row, so that the clients of a server
// that comes back do not come back all at once. The zero value is ready for use.
type backoff struct {
	failures int // in a row
}

// next returns the wait after one more failure. hint is what the server asked
// for with that failure; 0: nothing. The first time it is taken as it is, since
// servers spread what they ask for; when it did not help, it is the least.
func (b *backoff) next(hint time.Duration) time.Duration {
	hint = min(hint, maxHint)
	bound := min(minWait<<min(b.failures, 16), maxWait)
	b.failures++
	if b.failures == 1 && hint > 0 {
		return hint
	}
	return max(hint, rand.N(bound+1))
}

func (b *backoff) reset() { b.failures = 0 }

// sleep waits for d and reports whether ctx lived on.
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
