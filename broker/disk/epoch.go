package disk

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
)

// newEpoch returns a random name for the life of a log: up to eight digits in base
// 36, never 0.
func newEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])>>24 | 1
}

func writeEpoch(db *pebble.DB, epoch uint64) error {
	return db.Set(systemKey(systemEpoch), binary.AppendUvarint([]byte{version}, epoch), pebble.NoSync)
}

// readEpoch reads the epoch, or begins another one if the directory says so: all ids
// from before are those of another history then.
func (e *Engine) readEpoch(db *pebble.DB) error {
	found, err := get(db, systemKey(systemEpoch), func(b []byte) error {
		d := decoder{rest: b}
		d.version()
		e.epoch = d.number()
		return d.end()
	})
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errCorrupt, e.store.dir, err)
	}
	if !found || e.epoch == 0 {
		return fmt.Errorf("%w: %s has no epoch", errCorrupt, e.store.dir)
	}
	fs, name := e.opts.fs, e.opts.fs.PathJoin(e.dir, renewFile)
	if _, err := fs.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	was := e.epoch
	e.epoch = newEpoch()
	if err := firstOf(writeEpoch(db, e.epoch), db.Flush(), fs.Remove(name), syncDir(fs, e.dir)); err != nil {
		return fmt.Errorf("a new epoch: %w", err)
	}
	e.opts.Log.Info("disk engine: a new epoch begins, as the directory says",
		slog.String("file", name), slog.String("was", epochText(was)), slog.String("epoch", epochText(e.epoch)))
	return nil
}

func epochText(epoch uint64) string { return strconv.FormatUint(epoch, 36) }
