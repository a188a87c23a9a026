package disk

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk/wal"
	"github.com/sluicehq/sluice/schemas"
)

// The contents of a directory. The format file is created first and says whether the rest is
// complete.
const (
	formatFile  = "FORMAT"
	lockFile    = "LOCK"
	endFile     = "END"       // see package wal
	renewFile   = "NEW-EPOCH" // created by an operator who restored an older copy
	storeDir    = "tables"
	journalDir  = "journal"
	formatName  = "sluice"
	formatNow   = 3       // messages of format 1 have neither offset nor sub; format 2 has no texts, see text.go
	formatBegun = "begun" // follows the number while the directory is being created
)

// Open opens the engine in a directory, and creates it if the directory is empty or missing.
// The caller closes the engine.
//
// It returns [ErrInUse] if another engine has the directory open, and an error that names the
// file if one is damaged or cannot be used. It also fails if the directory was written by a
// newer version or contains something else.
func Open(dir string, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	fs := opts.fs
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	if _, err := checkFormat(fs, dir); err != nil {
		return nil, err // so far, nothing was written to dir
	}
	lock, err := lockDir(fs, dir)
	if err != nil {
		return nil, err
	}
	// Another process may have used the directory before it was locked.
	format, err := checkFormat(fs, dir)
	if err != nil {
		return nil, firstOf(err, lock.Close())
	}
	e := &Engine{
		opts: opts, dir: dir, lock: lock,
		queue: make(chan *request, queueLength), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	e.group.e, e.cluster.e = e, e
	e.outbox = Outbox{e: e, news: make(chan struct{}, 1)}
	e.droppable = true
	spare(fs, dir)
	if format == 0 {
		err, format = create(fs, dir, opts), formatNow
	}
	if err == nil {
		err = e.open(format)
	}
	if err != nil {
		return nil, firstOf(err, lock.Close())
	}
	return e, nil
}

// create creates an empty engine in dir. The format file says formatBegun until it is
// complete.
func create(fs vfs.FS, dir string, opts Options) error {
	tables, journal := fs.PathJoin(dir, storeDir), fs.PathJoin(dir, journalDir)
	if _, err := spaceIn(fs, dir, 0); err != nil {
		return err
	}
	err := inOrder(
		func() error { return writeFormat(fs, dir, " "+formatBegun) },
		func() error { return fs.RemoveAll(tables) },
		func() error { return fs.RemoveAll(journal) },
		func() error { return fs.MkdirAll(tables, 0o700) },
		func() error { return fs.MkdirAll(journal, 0o700) },
		func() error { return wal.SyncDir(fs, fs.PathDir(dir)) }, // or a power failure could remove all of it
		func() error { return createTables(fs, tables, opts) },
		func() error { return wal.Create(opts.walConfig(dir)) },
		func() error { return wal.SyncDir(fs, dir) },
		func() error { return writeFormat(fs, dir, "") },
	)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return nil
}

func createTables(fs vfs.FS, dir string, opts Options) error {
	s, err := openStore(fs, dir, true, true, opts.Log, func(error) {})
	if err != nil {
		return err
	}
	err = inOrder(
		func() error { return writeEpoch(s.db, schemas.NewEpoch()) },
		func() error { return s.db.Set(systemKey(systemState), (&state{}).append(nil), pebble.NoSync) },
		s.flush,
	)
	return firstOf(err, s.close())
}

// open opens an existing directory of the given format. The work is bounded: it depends on
// what an unclean end left in the journal, not on how much is stored.
func (e *Engine) open(format int) (err error) {
	fs := e.opts.fs
	_, full := spaceIn(fs, e.dir, 0)
	e.store, err = openStore(fs, fs.PathJoin(e.dir, storeDir), false, full == nil, e.opts.Log, e.noteDamage)
	if err != nil {
		return err
	}
	if err = e.begin(format); err != nil {
		e.store.fs.Fence()
		if e.journal != nil {
			err = firstOf(err, e.journal.Finish(), e.journal.Close())
		}
		_ = e.store.close()
		return fmt.Errorf("disk: %s: %w", e.dir, err)
	}
	return nil
}

// begin replays the journal, decides what may be lost, and begins a segment. Replayed records
// are flushed to the tables in the background.
//
// An older directory gets the present format after it has been read, and before anything is
// written that an older program cannot read.
func (e *Engine) begin(format int) error {
	db := e.db()
	if err := e.readEpoch(db); err != nil {
		return err
	}
	r, err := e.recover(db)
	if err != nil {
		return err
	}
	s, err := readState(db)
	if err != nil {
		return err
	}
	s.lost = max(s.lost, r.Lost)
	if !r.Clean && !r.Killed {
		// Readers may have seen messages that are missing here. Skip all positions that were
		// set aside, so that none is handed out twice.
		s.lost = max(s.head, s.reserved)
	}
	if r.Cut {
		// The record that set the last positions aside may be missing, too.
		s.lost = max(s.head, s.reserved) + reserveAhead
	}
	s.head = max(s.head, s.lost)
	e.state = s
	e.began = s.head
	e.head.Store(s.head)
	e.stats.kept.Store(s.bytes)
	e.stats.remembered.Store(s.remembered)
	if format < formatNow {
		if err := writeFormat(e.opts.fs, e.dir, ""); err != nil {
			return err
		}
	}
	// The segment's header stores what is lost for the next start.
	e.journal = wal.New(e.walConfig(), s.record, s.lost)
	if err := e.journal.Start(r.Segment + 1); err != nil {
		return err
	}
	if r.Records == 0 {
		return e.journal.Discard(r.Segment)
	}
	flushed, err := db.AsyncFlush()
	e.retired = append(e.retired, retired{r.Segment, flushed})
	return err
}

// recover applies the records of the journal that db lacks.
func (e *Engine) recover(db *pebble.DB) (wal.Replayed, error) {
	was, err := readState(db)
	if err != nil {
		return wal.Replayed{}, err
	}
	r, err := wal.Replay(e.walConfig(), was.record, newUnpacker(db).apply)
	if err != nil {
		return r, err
	}
	e.stats.recovered.Add(int64(r.Records))
	now, err := readState(db)
	if err == nil && now.record != r.Last {
		err = fmt.Errorf("%w: record %d of the journal says that it is %d", wal.ErrDamaged, r.Last, now.record)
	}
	return r, err
}

// walConfig is the configuration of the journal in a directory.
func (o *Options) walConfig(dir string) wal.Config {
	return wal.Config{
		FS: o.fs, Dir: o.fs.PathJoin(dir, journalDir), End: o.fs.PathJoin(dir, endFile),
		Boot: o.boot, SyncEvery: o.SyncEvery, Log: o.Log,
	}
}

func (e *Engine) walConfig() wal.Config { return e.opts.walConfig(e.dir) }

// noteDamage remembers the first damaged file; Ready reports it from then on.
func (e *Engine) noteDamage(err error) {
	if e.damage.CompareAndSwap(nil, &failed{err}) {
		e.opts.Log.Error("disk engine: a file is damaged", slog.Any("error", err))
	}
}

// shut flushes everything to the tables and closes the files. What cannot be flushed is in
// the journal, and the next start replays it.
func (e *Engine) shut() error {
	err := e.journal.Finish()
	written := false
	if err == nil && !isClosed(e.store.broken) && e.look() == nil {
		written, err = e.writeDown()
	}
	if written {
		return firstOf(err, e.journal.Close(), e.store.close(), e.lock.Close())
	}
	e.store.fs.Fence() // ends writes that wait for space
	_ = e.store.close()
	return firstOf(err, e.journal.Close(), e.lock.Close())
}

// writeDown flushes everything, so that the next start has nothing to replay. It reports
// false if the disk does not allow that.
func (e *Engine) writeDown() (bool, error) {
	flushed, err := e.db().AsyncFlush()
	if err != nil {
		return false, fmt.Errorf("disk: %w", err)
	}
	for !e.isWritten(flushed) {
		if isClosed(e.store.broken) || e.store.fs.Waiting() {
			return false, nil
		}
		select {
		case <-flushed:
		case <-time.After(retryEvery):
		}
	}
	// Leave an empty segment, which tells the next start that the tables are complete.
	was := e.journal.Segment()
	if err := e.journal.Next(true); err != nil {
		return true, fmt.Errorf("disk: %w", err)
	}
	return true, e.journal.Discard(was)
}
