package disk

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker"
)

// run is the committer. It ends when stop is closed.
func (e *Engine) run() {
	defer close(e.ended)
	tick := time.NewTimer(tendEvery)
	defer tick.Stop()
	for {
		if !e.mend() {
			e.refuse(unavailable(errClosed))
			return
		}
		select {
		case <-e.stop:
			e.refuse(unavailable(errClosed))
			return
		case <-e.store.broken:
		case r := <-e.queue:
			e.serve(r)
			if e.trouble.Load() != nil {
				tick.Reset(lookForRoom)
			}
		case <-tick.C:
			tick.Reset(e.tend())
		}
	}
}

// How often the agenda is looked at, when there is more to do, and when the disk has
// failed.
const (
	tendEvery   = time.Second
	tendAgain   = time.Millisecond
	lookForRoom = 100 * time.Millisecond
)

// serve does what waits: publishes as one group, another change as a group of its
// own.
func (e *Engine) serve(r *request) {
	runtime.Gosched() // those who were answered with the last group come before this one is closed
	e.taken = e.taken[:0]
	bytes := 0
	for r != nil {
		if !r.state.CompareAndSwap(queued, taken) {
			e.release(r)
		} else if r.op != nil {
			e.publish()
			e.change(r)
			return
		} else {
			e.taken = append(e.taken, r)
			bytes += len(r.entry.Data)
		}
		if len(e.taken) >= maxGroup || bytes >= maxGroupBytes {
			break
		}
		select {
		case r = <-e.queue:
		default:
			r = nil
		}
	}
	e.publish()
}

// publish makes a group of what was taken.
func (e *Engine) publish() {
	if len(e.taken) == 0 {
		return
	}
	err := e.usable()
	if err == nil {
		err = e.room()
	}
	applied := false
	if err == nil {
		err = e.form()
		applied = e.group.applied
	}
	if applied {
		for _, r := range e.group.entries {
			e.sink.Deliver(r.entry.Message, r.entry.Limits)
		}
	}
	for i, r := range e.taken {
		r.answer(err)
		e.taken[i] = nil
	}
	e.taken = e.taken[:0]
	if err == nil && e.opts.MaxBytes > 0 && e.state.bytes > e.opts.MaxBytes {
		e.shrink()
	}
}

// form writes the publishes that were taken.
func (e *Engine) form() error {
	g := &e.group
	g.begin(e.db())
	for _, r := range e.taken {
		answered, err := g.admit(r)
		if err != nil {
			r.err = unavailable(err)
		}
		if answered || err != nil {
			continue
		}
		if err := g.add(r); err != nil {
			return e.abandon(err)
		}
	}
	return e.commit()
}

// change runs a change that is no publish.
func (e *Engine) change(r *request) {
	err := e.usable()
	if err == nil {
		err = e.alone(r.op)
	}
	r.answer(err)
}

// alone writes a group of one change.
func (e *Engine) alone(op func(*group) error) error {
	g := &e.group
	g.begin(e.db())
	if err := op(g); err != nil {
		e.undo()
		return unavailable(err) // of this change: others may work
	}
	return e.commit()
}

// commit writes the group. When it returns nil everybody can see it.
func (e *Engine) commit() error {
	g := &e.group
	some, err := g.finish()
	if err != nil {
		e.undo()
		return unavailable(err)
	}
	if !some {
		e.undo()
		return nil
	}
	if err := e.turn(); err != nil {
		return e.abandon(err)
	}
	if err := e.journal.append(g.batch.Repr()); err != nil {
		return e.abandon(err)
	}
	// Positions that were not set aside on the disk must not be seen before they are.
	early := g.state.head > e.state.reserved
	if g.durable && (early || len(g.entries) == 0) {
		if err := e.journal.sync(); err != nil {
			return e.abandon(err)
		}
	}
	keeping := g.durable && !early && len(g.entries) > 0
	if keeping {
		e.journal.beginSync() // while the disk works, so do the tables
	}
	if err := e.db().Apply(g.batch, pebble.NoSync); err != nil {
		// What is in the journal will happen.
		e.store.breakOff(err)
		if !e.repair() {
			return broker.ErrUncertain
		}
	}
	e.settle()
	g.applied = true
	if !keeping {
		return nil
	}
	if err := e.journal.endSync(); err != nil {
		e.fail(err)
		return broker.ErrUncertain
	}
	return nil
}

// settle takes over what the group has changed.
func (e *Engine) settle() {
	g := &e.group
	e.state = g.state
	e.space.written += g.batch.Len()
	for _, name := range g.gone {
		e.metas.drop(name)
	}
	for hash := range g.keys {
		e.filter.add(hash)
	}
	e.head.Store(g.state.head)
	e.stats.kept.Store(g.state.bytes)
	e.stats.remembered.Store(g.state.remembered)
	e.stats.commits.Add(1)
	e.stats.dropped.Add(g.dropped)
	e.missed += g.dropped
	if e.trouble.Load() != nil {
		e.fail(nil)
	}
}

// undo forgets the group.
func (e *Engine) undo() {
	for _, c := range e.group.touched {
		e.metas.drop(c.name)
	}
	for _, name := range e.group.gone {
		e.metas.drop(name)
	}
}

// abandon forgets the group, which could not be written, and returns err as its
// callers get it.
func (e *Engine) abandon(err error) error {
	e.undo()
	if f := e.journal.fault.Load(); f != nil {
		e.fail(f.err)
		return fmt.Errorf("%w: %w", broker.ErrUncertain, f.err)
	}
	e.fail(err)
	return unavailable(err)
}

// shrink makes room in a group of its own.
func (e *Engine) shrink() {
	if err := e.alone((*group).shrink); err != nil {
		e.opts.Log.Warn("disk engine: no room could be made", slog.Any("error", err))
	}
}

// tend does what is due, and returns when to come again.
func (e *Engine) tend() time.Duration {
	if e.missed > 0 {
		e.opts.Log.Warn("messages dropped: all together took too much", slog.Int64("messages", e.missed))
		e.missed = 0
	}
	if e.usable() != nil || e.room() != nil {
		return lookForRoom
	}
	more, now := false, int64(0)
	err := e.alone(func(g *group) (err error) {
		now = g.now
		// After a failure nobody publishes: this is what finds out whether it works.
		g.probe = e.trouble.Load() != nil
		g.durable = g.probe
		more, err = g.tend()
		return err
	})
	switch {
	case err != nil && e.trouble.Load() != nil:
		return lookForRoom
	case err != nil:
		e.opts.Log.Warn("disk engine: what is too old could not be dropped", slog.Any("error", err))
	case more:
		return tendAgain
	default:
		e.tended = now
		e.filter.turn(now, now-e.opts.RememberFor.Milliseconds())
	}
	return tendEvery
}

// refuse answers all that waits.
func (e *Engine) refuse(err error) {
	for {
		select {
		case r := <-e.queue:
			if r.state.CompareAndSwap(queued, taken) {
				r.answer(err)
			}
		default:
			return
		}
	}
}
