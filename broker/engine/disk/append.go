package disk

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// request is a publish, the record of a text to set, or another change, that a caller hands to
// the committer.
type request struct {
	entry engine.Entry
	op    func(*group) error // the change of a group of its own; nil for a publish or a record
	set   *textChange        // the record of a text; nil for anything else
	frees bool               // the change frees space, so a full disk does not refuse it

	state   atomic.Int32
	done    chan struct{} // capacity 1: receives when the request has its answer
	receipt schemas.Receipt
	err     error

	hash keyHash // of the idempotency key, if there is one
	text keyHash // of the text whose record is set or must have the fence of the entry
	meta *meta   // of the channel, set by admit

	merges bool          // the entry may be held as one with others of its topic
	parts  schemas.Parts // if so
}

// States of a request. Whoever moves it from queued to another state decides: the caller,
// who has waited long enough, or the committer, which will answer. Until then the data of the
// entry may be read, since the caller waits.
const (
	queued = iota
	taken
	cancelled
)

const (
	queueLength   = 1024
	maxGroup      = 1024    // requests
	maxGroupBytes = 4 << 20 // of data; less than half a memtable, which Pebble would not copy
)

// Append implements [engine.Engine].
func (e *Engine) Append(ctx context.Context, entry engine.Entry) (schemas.Receipt, error) {
	if err := e.sink.Wait(ctx, entry.Channel); err != nil {
		return schemas.Receipt{}, err
	}
	r := e.request()
	r.entry = entry
	if entry.Key != "" {
		r.hash = hashOf(entry.Channel, entry.Topic, entry.Key)
	}
	if entry.Fence != 0 {
		name := entry.TextName()
		r.text = hashOfText(&name)
	}
	r.split()
	err := e.ask(ctx, r)
	if err != nil {
		return schemas.Receipt{}, err
	}
	receipt, err := r.receipt, r.err
	e.release(r)
	return receipt, err
}

// do makes the committer run a change in a group of its own.
func (e *Engine) do(ctx context.Context, op func(*group) error) error {
	return e.runOp(ctx, op, false)
}

// freeSpace is do for a change that frees space, and therefore works on a full disk.
func (e *Engine) freeSpace(ctx context.Context, op func(*group) error) error {
	return e.runOp(ctx, op, true)
}

func (e *Engine) runOp(ctx context.Context, op func(*group) error, frees bool) error {
	r := e.request()
	r.op, r.frees = op, frees
	if err := e.ask(ctx, r); err != nil {
		return err
	}
	err := r.err
	e.release(r)
	return err
}

func (e *Engine) request() *request {
	if r, ok := e.pool.Get().(*request); ok {
		return r
	}
	return &request{done: make(chan struct{}, 1)}
}

func (e *Engine) release(r *request) {
	*r = request{done: r.done}
	e.pool.Put(r)
}

// ask hands r to the committer and waits for the answer, which is in r. If ask returns an
// error, nothing has changed, and the caller must not use r any more.
func (e *Engine) ask(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.Ready(); err != nil && (!r.frees || !e.crowded.Load()) {
		return err
	}
	placed := r.entry.Placed
	select {
	case e.queue <- r:
		if placed != nil {
			placed()
		}
	case <-ctx.Done():
		return ctx.Err()
	case <-e.ended:
		return unavailable(errClosed)
	}
	var err error
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-e.ended:
		err = unavailable(errClosed)
	}
	if r.state.CompareAndSwap(queued, cancelled) {
		return err // the committer drops r when it takes it
	}
	<-r.done
	return nil
}

// answer gives r its answer; err is that of its group. What has fenced r off may be of the
// same group, which has not happened then.
func (r *request) answer(err error) {
	if err != nil && (r.err == nil || errors.Is(r.err, engine.ErrFenced)) {
		r.receipt, r.err = schemas.Receipt{}, err
	}
	r.done <- struct{}{}
}
