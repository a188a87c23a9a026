package disk

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine/disk/recent"
	"github.com/sluicehq/sluice/broker/engine/disk/wal"
	"github.com/sluicehq/sluice/schemas"
)

// Two things can fail for good while the engine runs, and the committer repairs both before
// it commits anything else. Publishes are refused meanwhile, and readers go on.
//
// The database fails when its manifest cannot be written (package faultfs says so) or when a
// batch cannot be applied. Its memory is then worth nothing, and the journal has everything
// that its tables lack: segments are only discarded after a flush that succeeded. So repair
// opens a second database from the same tables, replays the journal into it, and puts it in
// the place of the first one when the last reader has left that. If the process ends before,
// the next start does the same.
//
// The journal fails when a sync fails: it is unknown what the disk has of the newest records,
// and no later sync can tell. But the database has them in memory. So rotateAfterFault
// flushes the database first, then begins another segment, and only then discards the old
// ones. A record that was appended and not applied is skipped: its publishers were told that
// the outcome is uncertain. If the process ends before the flush, the old segments are there,
// and the next start replays them. If the power fails before it, what the disk does not have
// is lost, as after any power failure.
//
// If both have failed, the database is repaired first.

// fail records why nothing can be published; nil says that publishing works.
func (e *Engine) fail(err error) {
	was := e.trouble.Load()
	switch {
	case err == nil && was != nil:
		e.trouble.Store(nil)
		e.opts.Log.Info("disk engine: works again")
	case err != nil:
		e.trouble.Store(&failed{err})
		if was == nil {
			e.opts.Log.Error("disk engine: nothing can be published", slog.Any("error", err))
		}
	}
}

// usable returns the fault of the database or the journal, if there is one. Requests are
// refused instead of waiting for the repair, which comes next.
func (e *Engine) usable() error {
	if isClosed(e.store.broken) {
		return unavailable(e.store.why)
	}
	return unavailable(e.journal.Fault())
}

// repairFaults repairs what has failed. It reports false when the engine is being closed.
func (e *Engine) repairFaults() bool {
	if isClosed(e.store.broken) && !e.repair() {
		return false
	}
	fault := e.journal.Fault()
	return fault == nil || e.rotateAfterFault(fault)
}

// retired are segments of the journal that can be discarded as soon as the database has
// flushed what was in memory when the last of them was full.
type retired struct {
	upTo    uint64
	flushed <-chan struct{}
}

// rotate begins a new segment when the present one is full, and discards those that are no
// longer needed.
func (e *Engine) rotate() error {
	for len(e.retired) > 0 && e.isWritten(e.retired[0].flushed) {
		if err := e.journal.Discard(e.retired[0].upTo); err != nil {
			return err
		}
		e.retired = e.retired[1:]
	}
	// On a full disk segments are kept shorter: until one is discarded, its records take
	// their space twice.
	if !e.journal.Full() && (e.space.full == nil || e.journal.Bytes() < lookAfter) {
		return nil
	}
	was := e.journal.Segment()
	if err := e.journal.Rotate(); err != nil {
		return err
	}
	flushed, err := e.db().AsyncFlush()
	if err != nil {
		return err
	}
	e.retired = append(e.retired, retired{was, flushed})
	return nil
}

// isWritten reports whether a flush has written what was in memory to the tables. In a
// database that has failed, flushes end as well, since package faultfs hides from it what
// could not be written. The fault is visible before such a flush ends.
func (e *Engine) isWritten(flushed <-chan struct{}) bool {
	return isClosed(flushed) && !isClosed(e.store.broken)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// until repeats try until it succeeds, and refuses requests meanwhile. It reports false
// when the engine is being closed.
func (e *Engine) until(why error, try func() error) bool {
	e.fail(why)
	wait := time.NewTicker(retryEvery)
	defer wait.Stop()
	for {
		err := try()
		if err == nil {
			e.space = space{}
			e.fail(nil)
			return true
		}
		e.fail(err)
		e.refuse(unavailable(err))
		select {
		case <-e.stop:
			return false
		case <-wait.C:
		}
	}
}

// repair replaces the database, which has failed. Readers use the old one meanwhile.
func (e *Engine) repair() bool {
	return e.until(e.store.why, e.reopen)
}

// reopen replays the journal into a new database and puts it in the place of the old one.
func (e *Engine) reopen() error {
	was := e.store
	spare(e.opts.fs, e.dir)
	e.spared = false
	next, err := openStore(e.opts.fs, was.dir, false, e.space.full == nil, e.opts.Log, e.noteDamage)
	if err != nil {
		return err
	}
	r, err := e.recover(next.db)
	if err == nil && r.Last < e.journal.Written() {
		err = fmt.Errorf("%w: %s: record %d is missing", wal.ErrDamaged, e.walConfig().Dir, r.Last+1)
	}
	var s state
	if err == nil {
		s, err = readState(next.db)
	}
	if err != nil {
		next.breakOff(err)
		_ = next.close()
		return err
	}
	s.head, s.lost = max(s.head, e.state.lost), max(s.lost, e.state.lost)
	e.storeMu.Lock() // when the last reader has left the old one
	e.store = next
	e.storeMu.Unlock()
	e.relief.Wait()
	if err := was.close(); err != nil {
		e.opts.Log.Warn("disk engine: the database that failed", slog.Any("error", err))
	}
	e.state, e.group.batch = s, nil
	e.metas, e.fences = recent.Cache[schemas.Channel, *meta]{}, recent.Cache[keyHash, fence]{}
	e.packer.known = false
	if n := len(e.retired); n > 0 { // they can go when what was read back is flushed
		flushed, err := next.db.AsyncFlush()
		if err != nil {
			next.breakOff(err)
		}
		e.retired = []retired{{e.retired[n-1].upTo, flushed}}
	}
	e.droppable = true
	e.refilter()
	return nil
}

// rotateAfterFault goes on in a new segment after a sync that failed. All that took effect
// is flushed to the tables first. The record that did not take effect counts as applied, so
// that a crash in between does not read it back.
func (e *Engine) rotateAfterFault(why error) bool {
	var flushed <-chan struct{}
	return e.until(why, func() (err error) {
		if flushed == nil {
			e.state.record = e.journal.Written()
			e.packer.known = false
			if err := e.db().Set(systemKey(systemState), e.state.append(nil), pebble.NoSync); err != nil {
				return err
			}
			if flushed, err = e.db().AsyncFlush(); err != nil {
				return err
			}
		}
		select {
		case <-flushed:
		case <-e.store.broken:
		case <-time.After(retryEvery):
		}
		switch {
		case isClosed(e.store.broken):
			flushed = nil
			return firstOf(e.reopen(), why)
		case !isClosed(flushed):
			return why
		}
		was := e.journal.Segment()
		if err := e.journal.Next(false); err != nil {
			return err
		}
		e.retired = nil
		return e.journal.Discard(was)
	})
}
