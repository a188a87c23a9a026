package nats

import (
	"context"
	"time"
)

const (
	// startWait is how long each step of a start may take: a cluster that was started
	// together with its clients takes some seconds to elect its leaders.
	startWait = 30 * time.Second
	// attemptWait is how long one attempt at a step may take. What was sent to a leader
	// that has gone is never answered.
	attemptWait = 2 * time.Second
)

// patiently calls attempt until it succeeds, fails for good, or ctx ends, with less than
// all the time for each call. attempt must be one that may be repeated, also when it was
// not answered.
func patiently(ctx context.Context, attempt func(context.Context) error) error {
	var pause backoff
	for {
		short, cancel := context.WithTimeout(ctx, attemptWait)
		err := attempt(short)
		cancel()
		if err == nil || !passing(err) && !startingUp(err) || pause.wait(ctx) != nil {
			return err
		}
	}
}
