package disk

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
)

// The committer is the one goroutine that changes anything. Publishers queue requests and
// wait; it takes everything that waits as one group and commits the group in this order:
//
//  1. Form the group. Each request is checked against the database and against the group so
//     far: an idempotency key, the order of a run, the fence of a text. It gets its position.
//     Nothing outside the group changes, so up to here a failure costs nothing.
//  2. Append the group to the journal, as one record. From here on the group will take
//     effect, even if the process ends: the next start reads the record back.
//  3. Sync the journal if the group is durable. While the disk works, step 4 runs. A group
//     whose positions are not yet set aside is synced before step 4: after a power failure a
//     position that a reader has seen must not be handed out again.
//  4. Apply the group to Pebble, which keeps it in memory. Readers see it from here on.
//  5. Wait for the sync, deliver the messages and answer the publishers.
//
// So at any moment one group is being committed and others form in the queue, which is why a
// slow disk makes groups larger and not publishers fewer. No two groups overlap, so the
// journal, Pebble and the deliveries have the same order.
//
// If the process ends before 2, nobody was told of the group, and it never happened. Between
// 2 and 5 it happened, and a publisher who got no answer learns so when it retries with its
// key. If the power fails, an ordinary group that was not synced yet is lost, at most
// SyncEvery of them; readers are told. If a sync fails, it is unknown what the disk has: the
// group's publishers get [engine.ErrUncertain], and rotateAfterFault goes on in another
// segment. If Pebble fails, repair opens it anew and reads the journal back into it.

// run is the committer. It ends when stop is closed.
func (e *Engine) run() {
	defer close(e.ended)
	tick := time.NewTimer(tendEvery)
	defer tick.Stop()
	for {
		if !e.repairFaults() {
			e.refuse(unavailable(errClosed))
			return
		}
		select {
		case <-e.stop:
			e.refuse(unavailable(errClosed))
			return
		case <-e.store.broken:
		case r := <-e.queue:
			worked := e.trouble.Load() == nil
			e.serve(r)
			if worked && e.trouble.Load() != nil {
				tick.Reset(retryEvery) // only once: deletions must not put it off for ever
			}
		case <-tick.C:
			tick.Reset(e.tend())
		}
	}
}

// How often the committer drops what has expired: usually, when there is more of it to
// drop, and when the disk has failed or is full.
const (
	tendEvery  = time.Second
	tendAgain  = time.Millisecond
	retryEvery = 100 * time.Millisecond
)

// serve commits what waits: publishes and records of texts as one group, any other change as a
// group of its own.
func (e *Engine) serve(r *request) {
	runtime.Gosched() // lets the publishers of the last group queue their next requests for this one
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

// publish commits the requests that were taken, delivers them and answers them.
func (e *Engine) publish() {
	if len(e.taken) == 0 {
		return
	}
	err := e.usable()
	if err == nil {
		err = e.checkSpace()
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

// form makes a group of the requests that were taken and commits it.
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

// change commits a change that is not a publish.
func (e *Engine) change(r *request) {
	err := e.usable()
	if err == nil {
		err = e.alone(r.op)
	}
	r.answer(err)
}

// alone commits a group that consists of one change.
func (e *Engine) alone(op func(*group) error) error {
	g := &e.group
	g.begin(e.db())
	if err := op(g); err != nil {
		e.undo()
		return unavailable(err) // this change failed, others may work
	}
	return e.commit()
}

// commit commits the group: steps 2 to 5 above, without the answers. When it returns nil,
// everybody can see the group.
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
	if err := e.rotate(); err != nil {
		return e.abandon(err)
	}
	record, err := e.packer.pack(g)
	if err != nil {
		return e.abandon(err)
	}
	if err := e.journal.Append(record, g.durable); err != nil {
		return e.abandon(err)
	}
	// Positions must be set aside on the disk before anybody sees them.
	early := g.state.head > e.state.reserved
	if g.durable && (early || len(g.entries) == 0) {
		if err := e.journal.Sync(); err != nil {
			return e.abandon(err)
		}
	}
	keeping := g.durable && !early && len(g.entries) > 0
	if keeping {
		e.journal.StartSync() // while the disk works, so do the tables
	}
	e.space.written += g.batch.Len()
	repaired := true
	if err := e.store.apply(g.batch, pebble.NoSync); err != nil {
		// The group is in the journal, so it will happen: repair reads it back from there.
		e.store.breakOff(err)
		repaired = e.repair()
	}
	if repaired {
		e.settle()
		g.applied = true
	}
	if keeping {
		if err := e.journal.EndSync(); err != nil {
			e.fail(err)
			return engine.ErrUncertain
		}
	}
	if !repaired {
		return engine.ErrUncertain // the engine is being closed
	}
	return nil
}

// settle makes the state of the group that of the engine.
func (e *Engine) settle() {
	g := &e.group
	e.state = g.state
	e.packer.was, e.packer.known = g.state, true
	for _, name := range g.gone {
		e.metas.Drop(name)
	}
	for hash := range g.keys {
		e.filter.add(hash)
	}
	for hash, f := range g.fences {
		e.fences.Put(hash, f)
	}
	e.head.Store(g.state.head)
	e.stats.kept.Store(g.state.bytes)
	e.stats.remembered.Store(g.state.remembered)
	e.stats.commits.Add(1)
	e.stats.dropped.Add(g.dropped)
	e.missed += g.dropped
	e.droppable = e.droppable || g.drops
	if g.told {
		e.outbox.poke()
	}
	if e.trouble.Load() != nil && e.space.full == nil {
		e.fail(nil)
	}
}

// undo drops the cached channels that the group changed.
func (e *Engine) undo() {
	for _, c := range e.group.touched {
		e.metas.Drop(c.name)
	}
	for _, name := range e.group.gone {
		e.metas.Drop(name)
	}
}

// abandon drops the group, which could not be written, and returns the error for its
// callers.
func (e *Engine) abandon(err error) error {
	e.undo()
	if fault := e.journal.Fault(); fault != nil {
		e.fail(fault)
		return fmt.Errorf("%w: %w", engine.ErrUncertain, fault)
	}
	e.fail(err)
	return unavailable(err)
}

// shrink enforces MaxBytes in a group of its own.
func (e *Engine) shrink() {
	if err := e.alone((*group).shrink); err != nil {
		e.opts.Log.Warn("disk engine: messages beyond the limit could not be dropped", slog.Any("error", err))
	}
}

// tend drops what has expired and returns after what time to call it again.
func (e *Engine) tend() time.Duration {
	if e.missed > 0 {
		e.opts.Log.Warn("messages dropped to stay within the size limit", slog.Int64("messages", e.missed))
		e.missed = 0
	}
	if e.usable() != nil {
		return retryEvery
	}
	full := e.checkSpace() != nil
	if e.switchMerges(full) {
		return retryEvery
	}
	more, now := false, int64(0)
	err := e.alone(func(g *group) (err error) {
		now = g.now
		// After a failure nobody publishes. An empty group finds out whether the disk works.
		g.probe = e.trouble.Load() != nil && !full
		g.durable = g.probe
		more, err = g.tend()
		return err
	})
	if full {
		if err := e.rotate(); err != nil {
			e.fail(err)
		}
		e.relieve()
	}
	switch {
	case err != nil && e.trouble.Load() != nil:
		return retryEvery
	case err != nil:
		e.opts.Log.Warn("disk engine: expired messages could not be dropped", slog.Any("error", err))
	case more:
		return tendAgain
	default:
		e.tended = now
		e.filter.rotate(now, now-e.opts.RememberFor.Milliseconds())
	}
	if full {
		return retryEvery
	}
	return tendEvery
}

// refuse answers all waiting requests with err.
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
