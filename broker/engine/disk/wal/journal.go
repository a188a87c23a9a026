package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/internal/histogram"
)

// SegmentBytes is the size after which a new segment begins. It bounds the work of a start.
const SegmentBytes = 16 << 20

const (
	segmentHeader = 128 // see segmentHead

	preallocateFrom = 16 * SegmentBytes // with less free space, a segment takes no more than its records need
)

// Config says where a journal is and who writes it.
type Config struct {
	FS        vfs.FS
	Dir       string        // of the segments
	End       string        // name of the end file; "": none is written
	Boot      string        // names the present boot of the machine; "": unknown
	SyncEvery time.Duration // an ordinary record is on the disk after this time at the latest
	Log       *slog.Logger
}

// Journal appends records to the newest segment.
//
// The methods belong to one goroutine, the owner. Only [Journal.Fault], [Journal.Synced],
// [Journal.Written], [Journal.Syncs] and [Journal.SyncTimes] may be called by others, too.
type Journal struct {
	Config
	lost uint64 // as told to New

	// Of the owner.
	segment uint64  // number of the one that is written to
	framing framing // of the segment
	at      int64   // length of the segment
	torn    bool    // the segment may end with a part of a record that failed
	buf     []byte
	end     *endWriter // nil: there is no end file
	durable uint64     // newest record that is durable

	fileMu  sync.Mutex // held during a sync, so that the file is not replaced meanwhile: waiters wait for the disk
	file    vfs.File   // written to by the owner
	written atomic.Uint64
	synced  atomic.Uint64         // records up to here are on the disk
	fault   atomic.Pointer[fault] // a sync failed: what was written since synced may never reach the disk
	syncs   atomic.Int64
	times   *histogram.Histogram // of the syncs, in nanoseconds

	wake    chan struct{} // capacity 1: a record awaits its sync
	outcome chan error    // capacity 1: of StartSync
	stop    chan struct{}
	stopped sync.WaitGroup
}

type fault struct{ err error }

// New returns a journal whose next record has the number after last. Positions up to lost
// may be lost; every segment says so. The caller starts the journal, and ends it with
// Finish and Close.
func New(c Config, last, lost uint64) *Journal {
	j := &Journal{
		Config: c, lost: lost, durable: last,
		times:   engine.NewTimes(),
		outcome: make(chan error, 1), wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	j.written.Store(last)
	j.synced.Store(last)
	j.stopped.Go(j.keepSynced) // until Finish
	return j
}

// Create writes the first segment of an empty journal.
func Create(c Config) error {
	j := New(c, 0, 0)
	return errors.Join(j.begin(1, true), j.Finish(), j.Close())
}

// Start begins the segment of the given number. Until it has begun, the end file says what
// the replay found there: a start that fails leaves everything as it was for the next one.
func (j *Journal) Start(segment uint64) error {
	j.openEnd()
	if err := j.begin(segment, false); err != nil {
		return err
	}
	j.mark()
	return nil
}

// Next begins the segment after the present one. It clears the fault of a sync: the caller
// has made sure that nothing in the older segments is needed. clean says that the database
// has every record and that none will follow.
func (j *Journal) Next(clean bool) error { return j.begin(j.segment+1, clean) }

// Rotate syncs the present segment and begins the next one. Therefore only the newest
// segment can have an end that is torn.
func (j *Journal) Rotate() error {
	if err := j.Sync(); err != nil {
		return err
	}
	return j.begin(j.segment+1, false)
}

// Full reports whether it is time to rotate: the segment has its size, or a write to it
// failed. Then a part of that record may be there, and nothing may follow it.
func (j *Journal) Full() bool { return j.at >= SegmentBytes || j.torn }

// Segment is the number of the segment that is written to, and Bytes its length.
func (j *Journal) Segment() uint64 { return j.segment }

// Bytes is the length of the segment that is written to.
func (j *Journal) Bytes() int64 { return j.at }

// Written is the number of the newest record.
func (j *Journal) Written() uint64 { return j.written.Load() }

// Synced is the number up to which all records are on the disk.
func (j *Journal) Synced() uint64 { return j.synced.Load() }

// Syncs is how many syncs there have been.
func (j *Journal) Syncs() int64 { return j.syncs.Load() }

// SyncTimes is how long the syncs took, in nanoseconds.
func (j *Journal) SyncTimes() histogram.Snapshot { return j.times.Snapshot() }

// Fault returns the error of a sync that failed, nil if none has. Nothing can be appended
// until Next has begun another segment.
func (j *Journal) Fault() error {
	if f := j.fault.Load(); f != nil {
		return f.err
	}
	return nil
}

// Discard removes the segments up to the given number.
func (j *Journal) Discard(upTo uint64) error {
	numbers, err := segments(j.FS, j.Dir)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if number > upTo {
			break
		}
		if err := j.FS.Remove(j.FS.PathJoin(j.Dir, segmentName(number))); err != nil {
			return err
		}
	}
	return nil
}

// begin creates the segment of the given number and writes there from now on.
func (j *Journal) begin(number uint64, clean bool) error {
	var salt [8]byte
	_, _ = rand.Read(salt[:]) // never fails
	head := segmentHead{
		number: number, first: j.written.Load() + 1, salt: binary.LittleEndian.Uint64(salt[:]),
		lost: j.lost, clean: clean, marked: j.end != nil, boot: j.Boot,
	}
	name := j.FS.PathJoin(j.Dir, segmentName(number))
	file, err := j.FS.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(head.encode())
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = SyncDir(j.FS, j.Dir)
	}
	if err != nil {
		_ = file.Close()
		_ = j.FS.Remove(name)
		return err
	}
	if usage, err := j.FS.GetDiskUsage(j.Dir); err == nil && usage.AvailBytes > preallocateFrom {
		_ = file.Preallocate(0, SegmentBytes) // a sync then has less to do
	}
	j.fileMu.Lock()
	old := j.file
	j.file = file
	j.fileMu.Unlock()
	j.synced.Store(j.written.Load()) // what came before is on the disk, or is given up
	j.fault.Store(nil)
	j.segment, j.framing, j.at, j.torn = number, head.framing(), segmentHeader, false
	if old != nil {
		_ = old.Close() // it was synced, or is given up
	}
	return nil
}

// Append writes a record. durable says that the caller will sync it before anybody is told.
// After an error nothing has been appended.
func (j *Journal) Append(payload []byte, durable bool) error {
	if err := j.Fault(); err != nil {
		return err
	}
	number := j.written.Load() + 1
	j.buf = append(append(j.buf[:0], make([]byte, maxFrame)...), payload...)
	b := j.framing.put(j.buf, number, j.synced.Load())
	if _, err := j.file.Write(b); err != nil {
		j.torn = true
		return err
	}
	j.at += int64(len(b))
	j.written.Store(number)
	if durable {
		j.durable = number
	}
	j.mark()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return nil
}

// Finish stops the background sync and syncs once more. Nothing may be appended afterwards.
func (j *Journal) Finish() error {
	close(j.stop)
	j.stopped.Wait()
	if j.file == nil {
		return nil
	}
	return j.Sync()
}

// Close closes the files, after Finish.
func (j *Journal) Close() error {
	var err error
	if j.end != nil {
		err = j.end.close()
	}
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
	}
	return err
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by crc32

// ReadFile returns the content of a file.
func ReadFile(fs vfs.FS, name string) ([]byte, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(file)
	return data, errors.Join(err, file.Close())
}
