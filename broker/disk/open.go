package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What is in a directory. The format file is there first, and says whether the rest
// is whole.
const (
	formatFile  = "FORMAT"
	lockFile    = "LOCK"
	renewFile   = "NEW-EPOCH" // made by whoever put an older copy there
	storeDir    = "tables"
	journalDir  = "journal"
	formatName  = "sluice"
	formatNow   = 1
	formatBegun = "begun" // behind the number, while the directory is being made
)

// Open opens the engine's directory, which is made if need be. The caller closes the
// engine.
//
// Errors: [ErrInUse]; one that names the file when something is damaged; one that
// says so when the directory was written by a newer version, or is not an engine's.
func Open(dir string, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	fs := opts.fs
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	whole, err := checkFormat(fs, dir)
	if err != nil {
		return nil, err
	}
	lock, err := fs.Lock(fs.PathJoin(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
	}
	e := &Engine{
		opts: opts, dir: dir, lock: lock,
		queue: make(chan *request, queueLength), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	e.group.e, e.facts.e = e, e
	if !whole {
		err = create(fs, dir, opts)
	}
	if err == nil {
		err = e.open()
	}
	if err != nil {
		return nil, firstOf(err, lock.Close())
	}
	return e, nil
}

// checkFormat reports whether dir is a whole directory of an engine; else it is
// empty, or was being made.
func checkFormat(fs vfs.FS, dir string) (whole bool, err error) {
	name := fs.PathJoin(dir, formatFile)
	text, err := readAll(fs, name)
	if errors.Is(err, os.ErrNotExist) {
		return false, checkEmpty(fs, dir)
	}
	if err != nil {
		return false, fmt.Errorf("disk: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) < 2 || words[0] != formatName {
		return false, fmt.Errorf("%w: %s does not say %q", errCorrupt, name, formatName)
	}
	number, err := strconv.Atoi(words[1])
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: %s: no number of a format", errCorrupt, name)
	case number > formatNow:
		return false, fmt.Errorf("disk: %s was written by a newer version: its format is %d, this program knows %d", dir, number, formatNow)
	}
	return len(words) == 2, nil
}

// checkEmpty refuses to take a directory over that has something else in it.
func checkEmpty(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	for _, name := range names {
		switch name {
		case lockFile, formatFile + ".new", "lost+found":
		default:
			return fmt.Errorf("disk: %s is neither empty nor an engine's: it has %q and no %s", dir, name, formatFile)
		}
	}
	return nil
}

func writeFormat(fs vfs.FS, dir, rest string) error {
	name := fs.PathJoin(dir, formatFile)
	file, err := fs.Create(name+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s %d%s\n", formatName, formatNow, rest)
	if err := firstOf(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// create makes an empty engine in dir. The format file says that it is being made
// until it is whole.
func create(fs vfs.FS, dir string, opts Options) error {
	tables, journal := fs.PathJoin(dir, storeDir), fs.PathJoin(dir, journalDir)
	err := roomIn(fs, dir, 0)
	if err != nil {
		return err
	}
	err = firstOf(
		writeFormat(fs, dir, " "+formatBegun),
		fs.RemoveAll(tables), fs.RemoveAll(journal),
		fs.MkdirAll(tables, 0o700), fs.MkdirAll(journal, 0o700),
		syncDir(fs, fs.PathDir(dir)), // or a power failure takes all of it away
	)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	s, err := openStore(fs, tables, true, opts.Log, func(error) {})
	if err != nil {
		return err
	}
	err = firstOf(
		writeEpoch(s.db, newEpoch()),
		s.db.Set(systemKey(systemState), (&state{}).append(nil), pebble.NoSync),
		s.db.Flush(), s.close(),
	)
	if err == nil {
		j := newJournal(&opts, journal, 0, 0)
		err = firstOf(j.begin(1, true), j.end(), j.close())
	}
	if err == nil {
		err = firstOf(syncDir(fs, dir), writeFormat(fs, dir, ""))
	}
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return nil
}

// open opens what is there. The work grows with what an unclean end left in the
// journal, which is bounded, and not with what is kept.
func (e *Engine) open() (err error) {
	fs := e.opts.fs
	e.store, err = openStore(fs, fs.PathJoin(e.dir, storeDir), false, e.opts.Log, e.noteDamage)
	if err != nil {
		return err
	}
	if err = e.begin(); err != nil {
		e.store.guard.fenced.Store(true)
		if e.journal != nil {
			err = firstOf(err, e.journal.end(), e.journal.close())
		}
		_ = e.store.close()
		return fmt.Errorf("disk: %s: %w", e.dir, err)
	}
	return nil
}

// begin reads the journal back, decides what may be lost, and begins a segment. What
// was read back is written to the tables while the engine works already.
func (e *Engine) begin() error {
	db := e.db()
	if err := e.readEpoch(db); err != nil {
		return err
	}
	r, newest, err := e.recover(db)
	if err != nil {
		return err
	}
	s, err := readState(db)
	if err != nil {
		return err
	}
	s.lost = max(s.lost, r.lost)
	if !r.clean && !r.killed {
		// What readers have seen may be forgotten here: no position up to the one that
		// was set aside is handed out again.
		s.lost = max(s.head, s.reserved)
	}
	s.head = max(s.head, s.lost)
	e.state = s
	e.head.Store(s.head)
	e.stats.kept.Store(s.bytes)
	e.stats.remembered.Store(s.remembered)
	// The header of the segment says what is lost, so that the next start knows.
	e.journal = newJournal(&e.opts, e.opts.fs.PathJoin(e.dir, journalDir), s.record, s.lost)
	if err := e.journal.begin(newest+1, false); err != nil {
		return err
	}
	if r.records == 0 {
		return e.discard(newest)
	}
	flushed, err := db.AsyncFlush()
	e.retired = append(e.retired, retired{newest, flushed})
	return err
}

// recover brings the records of the journal into db that it has not had yet. It
// returns the newest segment, too.
func (e *Engine) recover(db *pebble.DB) (*replay, uint64, error) {
	was, err := readState(db)
	if err != nil {
		return nil, 0, err
	}
	r := &replay{fs: e.opts.fs, dir: e.opts.fs.PathJoin(e.dir, journalDir), boot: e.opts.boot, applied: was.record}
	numbers, err := segments(e.opts.fs, r.dir)
	if err != nil {
		return nil, 0, err
	}
	if len(numbers) == 0 {
		return nil, 0, fmt.Errorf("%w: %s has no segment", errCorrupt, r.dir)
	}
	batch := db.NewBatch()
	err = r.run(numbers, func(payload []byte) error {
		batch.Reset()
		if err := batch.SetRepr(payload); err != nil {
			return err
		}
		return db.Apply(batch, pebble.NoSync)
	})
	if err != nil {
		return nil, 0, err
	}
	e.stats.recovered.Add(int64(r.records))
	now, err := readState(db)
	if err == nil && now.record != r.last {
		err = fmt.Errorf("%w: record %d of the journal says that it is %d", errCorrupt, r.last, now.record)
	}
	return r, numbers[len(numbers)-1], err
}

// noteDamage makes the first damaged file known: it is not overlooked from now on.
func (e *Engine) noteDamage(err error) {
	if e.damage.CompareAndSwap(nil, &failed{err}) {
		e.opts.Log.Error("disk engine: a file is damaged", slog.Any("error", err))
	}
}

// shut brings everything into the tables and gives all up. What cannot be written
// now is in the journal, and the next start reads it back.
func (e *Engine) shut() error {
	err := e.journal.end()
	written := false
	if err == nil && !isClosed(e.store.broken) && e.look() == nil {
		written, err = e.writeDown()
	}
	if written {
		return firstOf(err, e.journal.close(), e.store.close(), e.lock.Close())
	}
	e.store.guard.fenced.Store(true) // what waits for room does so no more
	_ = e.store.close()
	return firstOf(err, e.journal.close(), e.lock.Close())
}

// writeDown leaves a directory that needs nothing to be read back. It reports false
// if the disk does not take it.
func (e *Engine) writeDown() (bool, error) {
	flushed, err := e.db().AsyncFlush()
	if err != nil {
		return false, fmt.Errorf("disk: %w", err)
	}
	for !isClosed(flushed) {
		select {
		case <-flushed:
		case <-time.After(lookForRoom):
			if isClosed(e.store.broken) || e.store.guard.waiting.Load() > 0 {
				return false, nil
			}
		}
	}
	// An empty segment stays. By it the next start sees that the tables are whole.
	was := e.journal.segment
	if err := e.journal.begin(was+1, true); err != nil {
		return true, fmt.Errorf("disk: %w", err)
	}
	return true, e.discard(was)
}
