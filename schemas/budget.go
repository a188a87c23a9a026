package schemas

import (
	"context"
)

// Limits of checking one message. A step is the comparison of one value with one schema, or
// something that takes about as long. Ordinary schemas take a few steps per value.
const (
	baseSteps     = 1 << 18
	stepsForAByte = 16
	// maxRemembered limits the remembered outcomes. Others are computed again.
	maxRemembered = 1 << 17
	// maxEntered is how deep the checks of schemas may nest.
	maxEntered = 4096
	// lookAfter is the number of steps between two looks at the context.
	lookAfter = 4096
)

// work is the budget of one check. When it is used up, err is set, and all later results
// are meaningless.
type work struct {
	ctx   context.Context
	left  int
	spent int // since the context was looked at
	err   error
}

// workFor returns the budget for a document of the given size, multiplied by times.
func workFor(ctx context.Context, bytes, times int) work {
	return work{ctx: ctx, left: times * (baseSteps + stepsForAByte*bytes)}
}

// spend takes steps from the budget and reports whether it was large enough.
func (w *work) spend(steps int) bool {
	if w.err != nil {
		return false
	}
	w.spent += steps
	if w.spent >= lookAfter {
		w.left -= w.spent
		w.spent = 0
		switch {
		case w.left < 0:
			w.err = ErrTooMuchWork
		case w.ctx.Err() != nil:
			w.err = w.ctx.Err()
		}
	}
	return w.err == nil
}
