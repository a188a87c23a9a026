package wal

import (
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/internal/highwater"
)

// StartSync starts a sync in the background. The caller must call EndSync before it
// appends the next record.
func (j *Journal) StartSync() { go func() { j.outcome <- j.Sync() }() } // ends with the sync

// EndSync waits for the sync that StartSync began and returns its error.
func (j *Journal) EndSync() error { return <-j.outcome }

// Sync makes the disk keep every record that has been written. After an error it is unknown
// which of them are on the disk, and the journal takes no more records: see [Journal.Fault].
func (j *Journal) Sync() error {
	upTo := j.written.Load()
	if j.synced.Load() >= upTo {
		return nil
	}
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	if j.synced.Load() >= upTo {
		return nil // a concurrent sync has done it
	}
	j.syncs.Add(1)
	began := time.Now()
	err := j.file.SyncData()
	j.times.Observe(int64(time.Since(began)))
	if err != nil {
		// The system may have dropped what it could not write. A second sync would succeed
		// and prove nothing.
		j.fault.CompareAndSwap(nil, &fault{err})
		return err
	}
	highwater.Raise(&j.synced, upTo)
	return nil
}

// keepSynced syncs ordinary records within SyncEvery. It ends with Finish.
func (j *Journal) keepSynced() {
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-j.wake:
		}
		wait.Reset(j.SyncEvery)
		select {
		case <-j.stop:
			return
		case <-wait.C:
		}
		_ = j.Sync() // the next Append returns it
	}
}

// SyncDir makes the disk keep which files are in a directory.
func SyncDir(fs vfs.FS, name string) error {
	dir, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
