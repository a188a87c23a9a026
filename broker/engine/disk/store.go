package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk/faultfs"
)

// Sizes of the database. They bound its memory to about 100 MiB, and also how much a start
// has to read.
const (
	memTableBytes  = 16 << 20
	memTables      = 4                                // with more, writes wait for the disk
	cacheBytes     = 32<<20 + memTables*memTableBytes // Pebble counts memtables against the cache
	maxOpenFiles   = 1000
	databaseFormat = pebble.FormatTableFormatV6

	// compactionDebt makes Pebble merge tables when eight flushes have gathered, which is half
	// of it. Merging writes everything again, so what expires before that is written once.
	// Reads have to look at up to as many tables more.
	compactionDebt = 16
)

// store is an open database. When it fails for good, it is fenced off and broken is closed.
// The committer then opens another one.
type store struct {
	dir    string
	db     *pebble.DB
	apply  func(*pebble.Batch, *pebble.WriteOptions) error // db.Apply, except in tests
	fs     *faultfs.FS
	merges bool // Pebble starts compactions by itself, see switchMerges
	broken chan struct{}
	broke  sync.Once
	why    error      // why it broke; set before broken is closed
	failed chan error // capacity 1: the first error of writing a table

	log *slog.Logger
}

// openStore opens the database in dir, or creates it. merges lets Pebble start compactions by
// itself. corrupt is called for each damaged table.
func openStore(fs vfs.FS, dir string, create, merges bool, log *slog.Logger, corrupt func(error)) (s *store, err error) {
	s = &store{dir: dir, merges: merges, broken: make(chan struct{}), failed: make(chan error, 1), log: log}
	s.fs = faultfs.New(fs, s.breakOff)
	opts := &pebble.Options{
		FS:                          s.fs,
		Logger:                      s,
		DisableWAL:                  true, // package wal takes its place
		ErrorIfExists:               create,
		ErrorIfNotExists:            !create,
		FormatMajorVersion:          databaseFormat,
		CacheSize:                   cacheBytes,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       compactionDebt,
		L0CompactionFileThreshold:   100,
		L0StopWritesThreshold:       40,
		DisableAutomaticCompactions: !merges,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                maxOpenFiles,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				s.flushFailed(err)
				if faultfs.IsFull(err) || isClosed(s.broken) {
					return // the engine logs it once
				}
				log.Warn("disk engine: a file could not be written, trying again", slog.Any("error", err))
			},
			DataCorruption: func(info pebble.DataCorruptionInfo) { corrupt(fmt.Errorf("%s: %w", info.Path, info.Details)) },
		},
	}
	if !merges {
		// Deletions must not wait for a compaction that cannot succeed before they are flushed.
		opts.L0StopWritesThreshold = math.MaxInt32
	}
	opts.Experimental.ReadSamplingMultiplier = -1 // reads trigger no compactions
	for i := range opts.Levels {
		// Most idempotency keys are new. The Bloom filter tells that without a read.
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	defer func() {
		if p := recover(); p != nil { // Pebble panics on some damaged directories
			err = fmt.Errorf("disk: %s: %v", dir, p)
		}
	}()
	if s.db, err = pebble.Open(dir, opts); err != nil {
		if isClosed(s.broken) {
			err = s.why // err is only a consequence
		}
		return nil, fmt.Errorf("disk: %s: %w", dir, err)
	}
	if isClosed(s.broken) {
		_ = s.close()
		return nil, fmt.Errorf("disk: %s: %w", dir, s.why)
	}
	s.apply = s.db.Apply
	s.fs.Opened()
	return s, nil
}

// Infof implements [pebble.Logger]. Routine messages are dropped.
func (s *store) Infof(string, ...any) {}

// Errorf implements [pebble.Logger].
func (s *store) Errorf(format string, args ...any) {
	s.log.Warn("disk engine: database", slog.String("message", oneLine(format, args)))
}

// Fatalf implements [pebble.Logger]. Pebble calls it when it cannot continue, and expects the
// process to end. The engine opens another database instead: whatever is not in the tables
// of this one is in the journal.
func (s *store) Fatalf(format string, args ...any) {
	s.breakOff(errors.New(oneLine(format, args)))
}

func oneLine(format string, args []any) string {
	return strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}

// flushFailed passes the first error of writing a table to flush.
func (s *store) flushFailed(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// flush writes the memtables to tables. Pebble retries failed writes for ever, but flush
// returns the first error.
func (s *store) flush() error {
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
	case err := <-s.failed:
		return err
	}
	if isClosed(s.broken) { // faultfs hides such an error from Pebble
		return s.why
	}
	return nil
}

// breakOff fences the database off for good. Only the first call, with the first fault, has
// an effect.
func (s *store) breakOff(why error) {
	s.broke.Do(func() {
		s.fs.Fence()
		s.why = fmt.Errorf("disk: database: %w", why)
		close(s.broken)
	})
}

// close closes the database. It also turns a panic into an error: Pebble panics if something
// is still in use after a failure.
func (s *store) close() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("disk: closing the database: %v", p)
		}
	}()
	return s.db.Close()
}
