package webhooks

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
)

const (
	readAtOnce = 256 // events
	// retryOutbox is the pause after an outbox could not be used.
	retryOutbox = time.Second
	// lookAgain is how often an outbox is read though it has said nothing.
	lookAgain = 5 * time.Second
	// settleEvery is how long outcomes are gathered, to be noted together.
	settleEvery = 5 * time.Millisecond
	// lastSettle is how long the outcomes may take that are noted at the end.
	lastSettle = 2 * time.Second
)

// source takes events out of one outbox, whenever this node leads it.
type source struct {
	// Static after construction.
	sender *Sender
	box    outbox.Store
	shard  int                // in ids; 0: there is one outbox
	wake   chan struct{}      // capacity 1: there are outcomes
	flush  chan chan struct{} // asks run to read what there is
	tells  bool               // it gets the events about readers

	mu       sync.Mutex
	leads    bool             // guarded by mu
	outcomes []outbox.Outcome // guarded by mu; to be noted
}

// run leads whenever it can, until life ends.
func (src *source) run() {
	for life := src.sender.life; life.Err() == nil; {
		leading, resign, err := src.box.Lead(life)
		if err != nil {
			src.failed(life, err)
			continue
		}
		src.lead(leading)
		src.sender.mu.Lock()
		src.sender.leave(src)
		src.sender.mu.Unlock()
		resign()
	}
}

// lead reads the outbox from its beginning and goes on with what comes, until leading ends.
func (src *source) lead(leading context.Context) {
	src.setLeads(true)
	defer src.setLeads(false)
	var beside sync.WaitGroup // until leading ends
	defer beside.Wait()
	beside.Go(func() { src.note(leading) })
	if src.tells {
		beside.Go(func() { src.tellOccupancy(leading) })
	}
	var after uint64
	for leading.Err() == nil {
		events, err := src.box.Read(leading, after, readAtOnce)
		if err != nil {
			src.failed(leading, err)
			continue
		}
		for _, e := range events {
			after = e.ID.Seq
			e.ID.Shard, e.Message.Shard = src.shard, src.shard
			src.sender.enqueue(leading, src, e)
		}
		if len(events) == 0 {
			src.wait(leading)
		}
	}
}

// wait returns when the outbox should be read again.
func (src *source) wait(leading context.Context) {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	select {
	case <-leading.Done():
	case <-src.box.News():
	case caught := <-src.flush:
		close(caught)
	case <-timer.C:
	}
}

// catchUp returns when everything that was in the outbox before has been read, or when ctx ends.
// What an outbox keeps need not be read now.
func (src *source) catchUp(ctx context.Context) {
	if src.sender.opts.Kept && !src.isLeading() {
		return
	}
	for range 2 { // what is read between the two was there before
		caught := make(chan struct{})
		select {
		case src.flush <- caught:
		case <-ctx.Done():
			return
		}
	}
}

// settle has outcomes noted. It does not wait.
func (src *source) settle(outcomes ...outbox.Outcome) {
	src.mu.Lock()
	src.outcomes = append(src.outcomes, outcomes...)
	src.mu.Unlock()
	select {
	case src.wake <- struct{}{}:
	default:
	}
}

// note notes outcomes until leading ends, and then what is left, as far as that can be done
// at once. What cannot be noted is sent again by whoever leads next.
func (src *source) note(leading context.Context) {
	for {
		select {
		case <-src.wake:
			pause(leading, settleEvery)
		case <-leading.Done():
		}
		if leading.Err() != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(leading), lastSettle)
			defer cancel()
			if err := src.noteNow(ctx); err != nil {
				src.sender.opts.Log.Warn("webhook outcomes not stored, events may be sent again", slog.Any("error", err))
			}
			return
		}
		if err := src.noteNow(leading); err != nil {
			src.failed(leading, err)
		}
	}
}

// noteNow notes all outcomes, or keeps them for the next time.
func (src *source) noteNow(ctx context.Context) error {
	outcomes := src.take()
	if len(outcomes) == 0 {
		return nil
	}
	err := src.box.Settle(ctx, outcomes)
	if err != nil {
		src.settle(outcomes...)
	}
	return err
}

func (src *source) take() []outbox.Outcome {
	src.mu.Lock()
	defer src.mu.Unlock()
	outcomes := src.outcomes
	src.outcomes = nil
	return outcomes
}

func (src *source) setLeads(leads bool) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.leads = leads
}

func (src *source) isLeading() bool {
	src.mu.Lock()
	defer src.mu.Unlock()
	return src.leads
}

// failed logs that the outbox could not be used, and waits a moment.
func (src *source) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	src.sender.opts.Log.Warn("outbox of webhooks not available", slog.Any("error", err))
	pause(ctx, retryOutbox)
}

// pause waits, until ctx ends at the latest.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
