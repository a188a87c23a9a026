package disk

import (
	"cmp"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configure an engine. A zero field has its default.
type Options struct {
	// SyncEvery is the longest time until an ordinary message is synced to the disk. A power
	// failure may lose the messages of that time. Default: 100 ms.
	SyncEvery time.Duration
	// MaxBytes is the size that all messages together may have, without the overhead of the
	// database. Default: no limit.
	MaxBytes int64
	// RememberFor is how long a durable publish is remembered, and the record of a text after
	// it was last set. Gaps in an empty channel are exact for at least as long. Default: 24
	// hours.
	RememberFor time.Duration
	// RunsFor is how long the latest run status of a channel is kept after its last change.
	// Default: 30 days.
	RunsFor time.Duration
	// Outbox puts the end of each run into the outbox. Default: nobody is told.
	Outbox bool
	// Log gets a line when the disk fails, when it works again, and when messages are dropped
	// to enforce MaxBytes. Default: no log.
	Log *slog.Logger

	fs   vfs.FS // default: the system's
	boot string // the current boot of the machine; "": unknown
}

func (o Options) withDefaults() Options {
	o.SyncEvery = cmp.Or(o.SyncEvery, 100*time.Millisecond)
	o.RememberFor = cmp.Or(o.RememberFor, 24*time.Hour)
	o.RunsFor = cmp.Or(o.RunsFor, 30*24*time.Hour)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.fs == nil {
		o.fs, o.boot = vfs.Default, bootID()
	}
	return o
}

// bootID returns the system's id for the current boot of the machine, or "" if it has none.
// Without one, an engine cannot tell a kill from a power failure.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
