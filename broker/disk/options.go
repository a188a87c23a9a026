package disk

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are the limits and times of an engine. The zero value of a field stands
// for its default.
type Options struct {
	// SyncEvery is after what time the disk is made to keep an ordinary message, at
	// the latest: what a power failure may cost. Default 100 ms.
	SyncEvery time.Duration
	// MaxBytes is what all messages together may take, without what the database
	// needs for itself. Default: no limit.
	MaxBytes int64
	// RememberFor is how long a durable publish is remembered, and at least how long
	// it is known exactly what an emptied channel has lost. Default 24 h.
	RememberFor time.Duration
	// RunsFor is how long the latest run status of a channel is kept after its last
	// change. Default 30 days.
	RunsFor time.Duration
	// Log is told when the disk fails, when it works again, and when messages were
	// dropped for want of room. Default: none.
	Log *slog.Logger

	fs   vfs.FS // default: that of the system
	boot string // names what the machine has been up for since it started; "": unknown
}

func (o Options) withDefaults() Options {
	defaultTo(&o.SyncEvery, 100*time.Millisecond)
	defaultTo(&o.RememberFor, 24*time.Hour)
	defaultTo(&o.RunsFor, 30*24*time.Hour)
	defaultTo(&o.Log, slog.New(slog.DiscardHandler))
	if o.fs == nil {
		o.fs, o.boot = vfs.Default, bootID()
	}
	return o
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// bootID returns what the system calls the time since the machine started, "" if it
// has no such name: whether an unclean end was a power failure is unknown then.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
