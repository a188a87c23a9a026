package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Sizes of the database. They bound the memory that it takes, to about 100 MiB, and
// what is read at a start.
const (
	memTableBytes  = 16 << 20
	memTables      = 4                                // then writes wait for the disk
	cacheBytes     = 32<<20 + memTables*memTableBytes // Pebble takes what is in memory out of it
	maxOpenFiles   = 1000
	databaseFormat = pebble.FormatTableFormatV6
)

// store is an open database. When it fails for good it is fenced off, broken is
// closed, and the committer opens another one.
type store struct {
	dir    string
	db     *pebble.DB
	guard  *guard
	broken chan struct{}
	broke  sync.Once
	why    error // why it broke, set before broken is closed

	log *slog.Logger
}

// openStore opens the database in dir. create says that there is none yet; corrupt
// is told of damaged tables.
func openStore(fs vfs.FS, dir string, create bool, log *slog.Logger, corrupt func(error)) (s *store, err error) {
	s = &store{dir: dir, broken: make(chan struct{}), log: log}
	s.guard = &guard{FS: fs, broke: s.breakOff}
	opts := &pebble.Options{
		FS:                          s.guard,
		Logger:                      s,
		DisableWAL:                  true, // see journal
		ErrorIfExists:               create,
		ErrorIfNotExists:            !create,
		FormatMajorVersion:          databaseFormat,
		CacheSize:                   cacheBytes,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		L0CompactionFileThreshold:   100,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                maxOpenFiles,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				log.Warn("disk engine: a file could not be written, it is tried again", slog.Any("error", err))
			},
			DataCorruption: func(info pebble.DataCorruptionInfo) { corrupt(fmt.Errorf("%s: %w", info.Path, info.Details)) },
		},
	}
	opts.Experimental.ReadSamplingMultiplier = -1 // reading starts no work
	for i := range opts.Levels {
		// Most keys of durable publishes are new: the filter says so without a read.
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	defer func() {
		if p := recover(); p != nil { // Pebble's way to say that a directory is beyond it
			err = fmt.Errorf("disk: %s: %v", dir, p)
		}
	}()
	if s.db, err = pebble.Open(dir, opts); err != nil {
		if isClosed(s.broken) {
			err = s.why // of which err is what came next
		}
		return nil, fmt.Errorf("disk: %s: %w", dir, err)
	}
	if isClosed(s.broken) {
		_ = s.close()
		return nil, fmt.Errorf("disk: %s: %w", dir, s.why)
	}
	s.guard.open.Store(true)
	return s, nil
}

// Infof implements [pebble.Logger]. What Pebble does day by day is nobody's concern.
func (s *store) Infof(string, ...any) {}

// Errorf implements [pebble.Logger].
func (s *store) Errorf(format string, args ...any) {
	s.log.Warn("disk engine: database", slog.String("message", oneLine(format, args)))
}

// Fatalf implements [pebble.Logger]. Pebble calls it when it cannot go on, and
// expects the process to end. This one goes on with another database: everything
// that is not in the tables of this one is in the journal.
func (s *store) Fatalf(format string, args ...any) {
	s.breakOff(errors.New(oneLine(format, args)))
}

func oneLine(format string, args []any) string {
	return strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}

// breakOff gives the database up, because of its first fault.
func (s *store) breakOff(why error) {
	s.broke.Do(func() {
		s.guard.fenced.Store(true)
		s.why = fmt.Errorf("disk: database: %w", why)
		close(s.broken)
	})
}

// close gives the database up. What Pebble complains of is returned, also when it
// does so by a panic, as it does when something is still in use after a failure.
func (s *store) close() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("disk: closing the database: %v", p)
		}
	}()
	return s.db.Close()
}
