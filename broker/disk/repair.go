package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// space is what is known of the room on the disk. Owned by the committer.
type space struct {
	looked  time.Time
	written int // bytes, since
	full    error
}

// Room that must be left on the disk for publishes to be taken: enough for what is
// in memory to be written down. Of a small disk, a quarter.
const leastRoom = memTables * memTableBytes

// lookAfter is how many bytes may be written until the disk is looked at again.
const lookAfter = 1 << 20

// room reports that the disk is too full for a publish. It looks at the disk now and
// then.
func (e *Engine) room() error {
	now := time.Now()
	if e.space.written > lookAfter || now.Sub(e.space.looked) >= lookForRoom/2 || now.Before(e.space.looked) {
		e.space.looked, e.space.written = now, 0
		if e.space.full = e.look(); e.space.full != nil {
			e.fail(e.space.full)
		}
	}
	return unavailable(e.space.full)
}

func (e *Engine) look() error {
	if e.store.guard.waiting.Load() > 0 {
		return errors.New("disk: the disk is full")
	}
	// What is in the journal has to be written to the tables before it can go.
	return roomIn(e.opts.fs, e.dir, uint64(e.journal.at)+uint64(len(e.retired)+1)*segmentBytes)
}

// roomIn reports that the disk of a directory has less room than it must have for
// safety, or than is needed.
func roomIn(fs vfs.FS, dir string, needed uint64) error {
	usage, err := fs.GetDiskUsage(dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("disk: room on the disk: %w", err)
	}
	if least := max(needed, min(leastRoom, usage.TotalBytes/4)); usage.AvailBytes < least {
		return fmt.Errorf("disk: the disk is nearly full: %d bytes are free, %d are needed", usage.AvailBytes, least)
	}
	return nil
}

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

// usable returns when the journal and the database work, or when the engine is to
// stop.
func (e *Engine) usable() error {
	select {
	case <-e.store.broken:
		if !e.repair() {
			return unavailable(errClosed)
		}
	default:
	}
	if f := e.journal.fault.Load(); f != nil && !e.renew(f.err) {
		return unavailable(errClosed)
	}
	return nil
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
