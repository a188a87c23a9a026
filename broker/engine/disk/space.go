package disk

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine/disk/wal"
)

// space is what is known about the free space on the disk. The committer owns it.
type space struct {
	looked  time.Time
	written int // bytes, since
	full    error
}

// reserveBytes is the reserve that must be free for publishes to be accepted, on top of what
// has yet to be written to the tables. On a small disk it is a quarter of the disk. Whatever
// frees space works from the reserve: expiry, deletions, flushes and compactions.
const reserveBytes = memTables * memTableBytes

// lookAfter is how many bytes may be written before the free space is checked again.
const lookAfter = 1 << 20

// checkSpace returns an error if the disk is too full for a publish. It asks the file system
// only now and then.
func (e *Engine) checkSpace() error {
	now := time.Now()
	if e.space.written > lookAfter || now.Sub(e.space.looked) >= retryEvery/2 || now.Before(e.space.looked) {
		e.space.looked, e.space.written = now, 0
		if e.space.full = e.look(); e.space.full != nil {
			e.fail(e.space.full)
		} else if !e.spared {
			e.spared = keepSpare(e.opts.fs, e.dir) == nil
		}
		e.crowded.Store(e.space.full != nil)
	}
	return unavailable(e.space.full)
}

func (e *Engine) look() error {
	unwritten := uint64(e.journal.Bytes()) + uint64(len(e.retired))*wal.SegmentBytes
	total, err := spaceIn(e.opts.fs, e.dir, unwritten)
	// Without space for a flush and the manifest, a compaction cannot delete its inputs.
	e.store.fs.LeaveFree(int64(unwritten + reserveOf(total)/4))
	if e.store.fs.Waiting() {
		return errors.New("disk: the disk is full")
	}
	return err
}

func reserveOf(total uint64) uint64 { return min(reserveBytes, total/4) }

// spaceIn returns an error if the disk of a directory has less free space than the reserve
// and what is needed. total is the size of the disk, 0 if that is unknown.
func spaceIn(fs vfs.FS, dir string, needed uint64) (total uint64, err error) {
	usage, err := fs.GetDiskUsage(dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("disk: free space: %w", err)
	}
	if least := needed + reserveOf(usage.TotalBytes); usage.AvailBytes < least {
		return usage.TotalBytes, fmt.Errorf("disk: the disk is nearly full: %d bytes are free, %d are needed", usage.AvailBytes, least)
	}
	return usage.TotalBytes, nil
}
