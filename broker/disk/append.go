package disk

import (
	"context"
	"sync/atomic"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// request is a publish, or another change, on its way to the committer and back.
type request struct {
	entry broker.Entry
	op    func(*group) error // of another change

	state   atomic.Int32
	done    chan struct{} // capacity 1: it has its answer
	receipt schemas.Receipt
	err     error

	hash keyHash // of its key
	meta *meta   // of its channel
}

// States of a request. Whoever brings it from queued to another one decides: its
// caller, who has waited enough, or the committer, who will answer. Until then the
// data of the entry may be read, since the caller waits.
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

// Append implements [broker.Engine].
func (e *Engine) Append(ctx context.Context, entry broker.Entry) (schemas.Receipt, error) {
	if err := e.sink.Wait(ctx, entry.Channel); err != nil {
		return schemas.Receipt{}, err
	}
	r := e.request()
	r.entry = entry
	if entry.Key != "" {
		r.hash = hashOf(entry.Channel, entry.Topic, entry.Key)
	}
	err := e.ask(ctx, r)
	if err != nil {
		return schemas.Receipt{}, err
	}
	receipt, err := r.receipt, r.err
	e.release(r)
	return receipt, err
}

// do runs a change in the committer, in a group of its own.
func (e *Engine) do(ctx context.Context, op func(*group) error) error {
	r := e.request()
	r.op = op
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

// ask brings r to the committer and returns nil when it has its answer. After an
// error nothing has happened, and r is no longer the caller's.
func (e *Engine) ask(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.Ready(); err != nil {
		return err
	}
	select {
	case e.queue <- r:
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
		return err // the committer drops r when it comes to it
	}
	<-r.done
	return nil
}

// answer gives r its answer.
func (r *request) answer(err error) {
	if err != nil && r.err == nil {
		r.receipt, r.err = schemas.Receipt{}, err
	}
	r.done <- struct{}{}
}
