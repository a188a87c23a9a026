package disk

import (
	"errors"
	"fmt"
	"time"

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
