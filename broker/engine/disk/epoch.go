package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine/disk/wal"
	"github.com/sluicehq/sluice/schemas"
)

func writeEpoch(db *pebble.DB, epoch uint64) error {
	return db.Set(systemKey(systemEpoch), binary.AppendUvarint([]byte{version}, epoch), pebble.NoSync)
}

// readEpoch reads the epoch. If the directory contains renewFile, it begins another epoch, and
// all earlier ids belong to another history.
func (e *Engine) readEpoch(db *pebble.DB) error {
	found, err := get(db, systemKey(systemEpoch), func(b []byte) error {
		d := decoder{rest: b}
		d.version(version)
		e.epoch = d.number()
		return d.end()
	})
	if err != nil {
		return fmt.Errorf("%w: %s: %w", wal.ErrDamaged, e.store.dir, err)
	}
	if !found || e.epoch == 0 {
		return fmt.Errorf("%w: %s has no epoch", wal.ErrDamaged, e.store.dir)
	}
	fs, name := e.opts.fs, e.opts.fs.PathJoin(e.dir, renewFile)
	if _, err := fs.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	was := e.epoch
	e.epoch = schemas.NewEpoch()
	// Remove the file last: if this fails half-way, the next start begins a new epoch again.
	if err := inOrder(
		func() error { return writeEpoch(db, e.epoch) },
		e.store.flush,
		func() error { return fs.Remove(name) },
		func() error { return wal.SyncDir(fs, e.dir) },
	); err != nil {
		return fmt.Errorf("a new epoch: %w", err)
	}
	e.opts.Log.Info("disk engine: a new epoch begins, as the directory says",
		slog.String("file", name), slog.String("was", epochText(was)), slog.String("epoch", epochText(e.epoch)))
	return nil
}

func epochText(epoch uint64) string { return strconv.FormatUint(epoch, 36) }
