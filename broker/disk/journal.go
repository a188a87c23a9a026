package disk

import (
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A journal is what brings back, after an unclean end, what Pebble had not written
// into its tables. It is a row of segments. A segment is a header and records; a
// record is a Pebble batch with a number one higher than the one before it.
//
// A record is given to the system with one write before it takes effect, so the end
// of the process, however sudden, loses none. The disk is made to keep it at once if
// it is to be durable, otherwise within SyncEvery.
const (
	segmentHeader = 128               // see segmentHead
	recordHeader  = 4 + 4 + 8 + 8 + 4 // checksum, length, number, synced, checksum of these three
	segmentBytes  = 16 << 20          // after which a new segment begins; it bounds the work of a start
)

// journal is owned by the committer, but for what says otherwise.
type journal struct {
	fs    vfs.FS
	dir   string
	boot  string
	every time.Duration
	lost  uint64 // as in state

	segment uint64 // number of the one that is written to
	salt    uint64 // of the segment: makes a record of it, and nothing else, look like one
	at      int64  // how long it is
	torn    bool   // a part of a record that failed may stand at its end
	buf     []byte

	fileMu  sync.Mutex // held while the syncer uses file, and while it is replaced
	file    vfs.File   // written to by the committer
	written atomic.Uint64
	synced  atomic.Uint64          // records up to here are on the disk
	fault   atomic.Pointer[failed] // a sync failed: what was written since synced may never reach the disk
	syncs   atomic.Int64

	wake    chan struct{} // capacity 1: something awaits its sync
	kept    chan error    // what became of the sync in the background
	stop    chan struct{}
	stopped sync.WaitGroup
}

type failed struct{ err error }

// newJournal returns a journal whose next record has the number after last. It has
// no segment yet.
func newJournal(opts *Options, dir string, last, lost uint64) *journal {
	j := &journal{
		fs: opts.fs, dir: dir, boot: opts.boot, every: opts.SyncEvery, lost: lost,
		kept: make(chan error, 1), wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	j.written.Store(last)
	j.synced.Store(last)
	j.stopped.Go(j.keepSynced)
	return j
}

// begin opens the segment of the given number and writes there from now on. clean
// says that everything is in the tables, and that nothing will follow.
func (j *journal) begin(number uint64, clean bool) error {
	var salt [8]byte
	_, _ = rand.Read(salt[:]) // never fails
	head := segmentHead{
		number: number, first: j.written.Load() + 1, salt: binary.LittleEndian.Uint64(salt[:]),
		lost: j.lost, clean: clean, boot: j.boot,
	}
	name := j.fs.PathJoin(j.dir, segmentName(number))
	file, err := j.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(head.encode())
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = syncDir(j.fs, j.dir)
	}
	if err != nil {
		_ = file.Close()
		_ = j.fs.Remove(name)
		return err
	}
	_ = file.Preallocate(0, segmentBytes) // where it is possible, a sync has less to do then
	j.fileMu.Lock()
	old := j.file
	j.file = file
	j.fileMu.Unlock()
	j.synced.Store(j.written.Load()) // all before it is, or is given up
	j.segment, j.salt, j.at, j.torn = number, head.salt, segmentHeader, false
	if old != nil {
		_ = old.Close() // it was synced, or is given up
	}
	return nil
}

// full reports that it is time for the next segment.
// So it is when a record could not be written: what is left of that one must be the
// last in its segment.
func (j *journal) full() bool { return j.at >= segmentBytes || j.torn }

// rotate goes on in a new segment. All of the old one is on the disk then: only the
// end of the newest segment can be torn.
func (j *journal) rotate() error {
	if err := j.sync(); err != nil {
		return err
	}
	return j.begin(j.segment+1, false)
}

// append writes a record. After an error nothing has been appended.
func (j *journal) append(payload []byte) error {
	if f := j.fault.Load(); f != nil {
		return f.err
	}
	number := j.written.Load() + 1
	b := append(j.buf[:0], make([]byte, recordHeader)...)
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(b[8:], number)
	binary.LittleEndian.PutUint64(b[16:], j.synced.Load())
	binary.LittleEndian.PutUint32(b[24:], checksum(j.salt, b[4:24]))
	binary.LittleEndian.PutUint32(b, checksum(j.salt, b[4:]))
	j.buf = b
	if _, err := j.file.Write(b); err != nil {
		j.torn = true
		return err
	}
	j.at += int64(len(b))
	j.written.Store(number)
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return nil
}

// beginSync is sync in the background. The caller must call endSync before the next
// record.
func (j *journal) beginSync() { go func() { j.kept <- j.sync() }() } // ends with the sync

func (j *journal) endSync() error { return <-j.kept }

// sync makes the disk keep what has been written. It may be called by the syncer and
// the committer at once.
func (j *journal) sync() error {
	upTo := j.written.Load()
	if j.synced.Load() >= upTo {
		return nil
	}
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	if j.synced.Load() >= upTo {
		return nil // the other one has done it
	}
	j.syncs.Add(1)
	if err := j.file.SyncData(); err != nil {
		// The system may have dropped what it could not write: another try would
		// succeed and mean nothing.
		j.fault.CompareAndSwap(nil, &failed{err})
		return err
	}
	raise(&j.synced, upTo)
	return nil
}

// keepSynced syncs ordinary messages in time. It ends with the journal.
func (j *journal) keepSynced() {
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-j.wake:
		}
		wait.Reset(j.every)
		select {
		case <-j.stop:
			return
		case <-wait.C:
		}
		_ = j.sync() // the next append says it
	}
}

// end syncs; nothing is appended any more.
func (j *journal) end() error {
	close(j.stop)
	j.stopped.Wait()
	if j.file == nil {
		return nil
	}
	return j.sync()
}

// close gives the file up, after end.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by crc32

func checksum(salt uint64, b []byte) uint32 {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], salt)
	return crc32.Update(crc32.Checksum(seed[:], castagnoli()), castagnoli(), b)
}

func syncDir(fs vfs.FS, name string) error {
	dir, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return firstOf(dir.Sync(), dir.Close())
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// raise sets v to at least n.
func raise(v *atomic.Uint64, n uint64) {
	for {
		have := v.Load()
		if have >= n || v.CompareAndSwap(have, n) {
			return
		}
	}
}
