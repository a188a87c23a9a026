package disk

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A full disk must become usable again without help when messages expire or channels are
// deleted. That is harder than it sounds, because a deletion is itself written: first to the
// journal, then by a flush to a table, and only a compaction that merges this table with the
// older ones makes files smaller. Pebble starts flushes and compactions when enough has
// accumulated, which on a disk that takes no publishes may be never. So here
//
//   - publishes stop while a reserve is still free (space.go). Expiry, deletions, flushes and
//     compactions work from that reserve;
//   - the journal rotates early, so that its segments are discarded early;
//   - relieve starts a flush and then a compaction of everything, whenever something was
//     dropped since the last one;
//   - compactions leave free what flushes need (package faultfs);
//   - once a compaction has failed because of that, Pebble no longer starts any by itself
//     (switchMerges). Otherwise it would repeat its own for ever, and never run that of relieve.
//
// All of that goes on while deletions are committed. If it stops half-way, nothing is lost:
// the inputs of a compaction are only removed when its outputs are in the manifest. To open
// the database needs space, too, before anything can be dropped: the spare file gives it.

// relieve makes the database give back the space of what was dropped, in the background. It
// does so while publishes are refused: once after a start, and again whenever something was
// dropped.
func (e *Engine) relieve() {
	if !e.droppable || !e.relieving.CompareAndSwap(false, true) {
		return
	}
	e.droppable = false
	s := e.store
	e.relief.Go(func() { // ends with the database, or the engine
		defer e.relieving.Store(false)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { // ends with ctx
			select {
			case <-e.stop:
			case <-s.broken:
			case <-ctx.Done():
			}
			cancel()
		}()
		for s.compact(ctx) != nil && ctx.Err() == nil {
			// There was no space to merge tables. More messages may expire.
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			if e.trouble.Load() == nil {
				return
			}
		}
	})
}

// errSwitch is the reason why switchMerges gives up a database.
var errSwitch = errors.New("reopened because the free space has changed")

// switchMerges stops Pebble from starting compactions by itself when there is no space for
// them, and lets it start them again when there is. Pebble only takes that setting when it
// opens a database, so the database is reopened. switchMerges reports whether it tried: if
// it failed, the committer repairs the database as after any other failure.
func (e *Engine) switchMerges(full bool) bool {
	s := e.store
	stop := full && s.merges && s.fs.Denied()
	start := !full && !s.merges
	if !stop && !start {
		return false
	}
	s.breakOff(errSwitch)
	if err := e.reopen(); err == nil {
		e.space.looked = time.Time{} // the new database knows no limit yet
	}
	return true
}

// compact merges all tables.
func (s *store) compact(ctx context.Context) error {
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.db.Compact(ctx, []byte{0}, []byte{0xff}, true)
}

// The spare file occupies space for opening a database on a full disk, which removes it: a
// database cannot be opened without writing.
const (
	spareFile  = "SPARE"
	spareBytes = 4 << 20 // on a small disk, a thirty-second of it
)

// spare removes the spare file if less space is free than it takes.
func spare(fs vfs.FS, dir string) {
	usage, err := fs.GetDiskUsage(dir)
	if err == nil && usage.AvailBytes < spareSize(usage) {
		_ = fs.Remove(fs.PathJoin(dir, spareFile))
	}
}

func spareSize(usage vfs.DiskUsage) uint64 { return min(spareBytes, usage.TotalBytes/32) }

// keepSpare creates the spare file if there is none. The caller knows that there is space.
func keepSpare(fs vfs.FS, dir string) error {
	name := fs.PathJoin(dir, spareFile)
	usage, err := fs.GetDiskUsage(dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := fs.Stat(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	// A file system that cannot preallocate leaves a start on a full disk without spare.
	err = firstOf(file.Preallocate(0, int64(spareSize(usage))), file.Close())
	if err != nil {
		_ = fs.Remove(name)
	}
	return err
}
