package jetstream

import (
	"context"
	"time"
)

const (
	firstPause   = 2 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// Backoff waits between attempts, twice as long each time: from 2 ms up to 250 ms. The
// zero value is ready for use by one goroutine.
type Backoff struct{ last time.Duration }

// Wait waits, or returns the error of ctx if that ends first.
func (b *Backoff) Wait(ctx context.Context) error {
	b.last = min(max(2*b.last, firstPause), longestPause)
	timer := time.NewTimer(b.last)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Retry calls attempt until it succeeds, fails with an error for which again reports
// false, or ctx ends. It returns the error of the last attempt, which therefore need
// not be that of ctx. limit bounds each attempt; 0: only ctx does.
func Retry(ctx context.Context, limit time.Duration, again func(error) bool, attempt func(context.Context) error) error {
	var pause Backoff
	for {
		err := within(ctx, limit, attempt)
		if err == nil || !again(err) || pause.Wait(ctx) != nil {
			return err
		}
	}
}

// within calls attempt with at most the time that limit allows.
func within(ctx context.Context, limit time.Duration, attempt func(context.Context) error) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return attempt(ctx)
}
