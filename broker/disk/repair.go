package disk

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// fail notes why nothing can be published, nil that something can.
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

// usable reports that the database or the journal has failed. Nobody waits for the
// repair, which comes next.
func (e *Engine) usable() error {
	if isClosed(e.store.broken) {
		return unavailable(e.store.why)
	}
	if f := e.journal.fault.Load(); f != nil {
		return unavailable(f.err)
	}
	return nil
}

// mend repairs what has failed. It reports false when the engine is to stop.
func (e *Engine) mend() bool {
	if isClosed(e.store.broken) && !e.repair() {
		return false
	}
	f := e.journal.fault.Load()
	return f == nil || e.renew(f.err)
}

// retired are segments of the journal that are done with as soon as the database has
// written what was in memory when the last of them was full.
type retired struct {
	upTo    uint64
	flushed <-chan struct{}
}

// turn begins a new segment when the present one is full, and removes those that are
// no longer needed.
func (e *Engine) turn() error {
	for len(e.retired) > 0 && isClosed(e.retired[0].flushed) {
		if err := e.discard(e.retired[0].upTo); err != nil {
			return err
		}
		e.retired = e.retired[1:]
	}
	if !e.journal.full() {
		return nil
	}
	was := e.journal.segment
	if err := e.journal.rotate(); err != nil {
		return err
	}
	flushed, err := e.db().AsyncFlush()
	if err != nil {
		return err
	}
	e.retired = append(e.retired, retired{was, flushed})
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// discard removes the segments up to a number.
func (e *Engine) discard(upTo uint64) error {
	numbers, err := segments(e.opts.fs, e.journal.dir)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if number > upTo {
			break
		}
		if err := e.opts.fs.Remove(e.opts.fs.PathJoin(e.journal.dir, segmentName(number))); err != nil {
			return err
		}
	}
	return nil
}

// until tries again and again, and refuses what comes meanwhile. It reports false
// when the engine is to stop.
func (e *Engine) until(why error, try func() error) bool {
	e.fail(why)
	wait := time.NewTicker(lookForRoom)
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

// repair opens another database in place of one that has failed, and gives it what
// the other one had not yet written. Readers use the old one until then.
func (e *Engine) repair() bool {
	return e.until(e.store.why, e.reopen)
}

// reopen reads the journal into a new database and puts it in the place of the old
// one.
func (e *Engine) reopen() error {
	was := e.store
	next, err := openStore(e.opts.fs, was.dir, false, e.opts.Log, e.noteDamage)
	if err != nil {
		return err
	}
	_, _, err = e.recover(next.db)
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
	if err := was.close(); err != nil {
		e.opts.Log.Warn("disk engine: the database that failed", slog.Any("error", err))
	}
	// The segments are still needed: they go with the next one that is full.
	e.state, e.metas, e.retired, e.group.batch = s, metas{}, nil, nil
	e.refilter()
	return nil
}

// renew goes on in a new segment after one that could not be synced. All that took
// effect is written to the tables first. What did not is passed over: its record
// counts as applied, so that it is not read back after a crash in between.
func (e *Engine) renew(why error) bool {
	var flushed <-chan struct{}
	return e.until(why, func() (err error) {
		if flushed == nil {
			e.state.record = e.journal.written.Load()
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
			flushed = nil
			return firstOf(e.reopen(), why)
		case <-time.After(lookForRoom):
			return why
		}
		was := e.journal.segment
		if err := e.journal.begin(was+1, false); err != nil {
			return err
		}
		e.retired = nil
		e.journal.fault.Store(nil)
		return e.discard(was)
	})
}
