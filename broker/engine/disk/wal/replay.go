package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrDamaged is returned when a journal is not what was written there.
var ErrDamaged = errors.New("disk: damaged")

// Replayed is what a replay found.
type Replayed struct {
	Last    uint64 // newest record that was read, or that the database had
	Records int    // how many were given to apply
	Segment uint64 // number of the newest segment
	Lost    uint64 // positions up to here may be lost, as the segments say
	Clean   bool   // the last writer said that the database has everything
	Killed  bool   // otherwise: the last writer wrote in this boot, so everything written is there
	Cut     bool   // everything should be there, but the end is missing
}

// Replay reads a journal and calls apply with each record that the database lacks, in
// order. applied is the newest record that the database has.
//
// Three things may be wrong with a journal, and each has its own answer:
//
//   - A damaged record that the database has costs nothing. It is logged and skipped, and
//     what follows it is read.
//   - A damaged record that the database lacks, and that must be there, is an error: the
//     start is refused, because it would lose what was acknowledged. After a power failure a
//     record need only be there if it was synced. Each record says up to which number all
//     were, see syncedUpTo.
//   - A journal without its end counts as one that a power failure cut off: readers may have
//     seen the positions that are missing. If something durable is missing, the start is
//     refused. The last record may be torn, though, because the process may have ended
//     during the write; nobody was told of it. The end file tells the two cases apart.
//
// Replay changes nothing on the disk, so a start that stops here can be repeated. What apply
// was given is in the database's memory only and is read again the next time.
//
// Errors: [ErrDamaged], or that of the file system or apply. They name the file.
func Replay(c Config, applied uint64, apply func(payload []byte) error) (Replayed, error) {
	numbers, err := segments(c.FS, c.Dir)
	if err != nil {
		return Replayed{}, err
	}
	if len(numbers) == 0 {
		return Replayed{}, fmt.Errorf("%w: %s has no segment", ErrDamaged, c.Dir)
	}
	r := &replay{Config: c, apply: apply}
	r.Last, r.Segment = applied, numbers[len(numbers)-1]
	for i, number := range numbers {
		name := c.FS.PathJoin(c.Dir, segmentName(number))
		data, err := ReadFile(c.FS, name)
		if err != nil {
			return Replayed{}, err
		}
		r.tail = tail{name: name}
		if err := r.segment(data, number, i == 0); err != nil {
			return Replayed{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := r.finish(); err != nil {
		return Replayed{}, err
	}
	return r.Replayed, nil
}

// replay is the state of one call of Replay.
type replay struct {
	Config
	Replayed
	apply  func(payload []byte) error
	marked bool // the last writer wrote the end file, too
	tail   tail // of the newest segment so far
}

// tail is what follows the last record of a segment.
type tail struct {
	name  string // of the segment's file
	fault error  // nil: nothing follows
	short bool   // it looks like the beginning of a write that was interrupted
}

// segment reads one segment; oldest says that it is the first one.
func (r *replay) segment(data []byte, number uint64, oldest bool) error {
	head, ok := decodeSegmentHead(data)
	if !ok || head.number != number {
		fault := fmt.Errorf("%w: the segment's header", ErrDamaged)
		// The segment before it stays until the header is on the disk.
		if number == r.Segment && !oldest && (len(data) < segmentHeader || isZero(data)) {
			r.tail.fault, r.tail.short = fault, true
			return nil
		}
		return fault
	}
	if head.first > r.Last+1 {
		return fmt.Errorf("%w: it begins with record %d, but the one before it ends with %d", ErrDamaged, head.first, r.Last)
	}
	r.Lost = max(r.Lost, head.lost)
	r.Clean, r.Killed, r.marked = head.clean, head.boot != "" && head.boot == r.Boot, head.marked
	return r.records(data, head.first, head.framing())
}

// records reads the records of a segment.
func (r *replay) records(data []byte, next uint64, f framing) error {
	for at := segmentHeader; at < len(data); next++ {
		payload, length, _, ok := f.read(data[at:], next)
		if !ok {
			r.tail.fault = fmt.Errorf("%w: record %d at offset %d", ErrDamaged, next, at)
			offset, found, ok := f.next(data[at:], next)
			if !ok {
				r.tail.short = f.isShort(data[at:])
				return nil // the next segment, or the end file, tells whether a record is missing
			}
			if found > r.Last+1 {
				return r.hole(data[at+offset:], f, max(next, r.Last+1), found)
			}
			r.skip(next, at)
			at, next = at+offset, found-1
			continue
		}
		if next > r.Last {
			if err := r.apply(payload); err != nil {
				return err
			}
			r.Last = next
			r.Records++
		}
		at += length
	}
	return nil
}

// skip logs a damaged record that the database has.
func (r *replay) skip(record uint64, at int) {
	r.tail.fault = nil
	r.Log.Warn("disk engine: a damaged record of the journal is skipped: the tables have it",
		slog.String("file", r.tail.name), slog.Uint64("record", record), slog.Int("offset", at))
}

// hole decides about unreadable records that the database lacks: those from missing on, up
// to the one of the given number, with which rest begins. It returns an error if they must
// be there, and nil if a power failure explains their absence.
func (r *replay) hole(rest []byte, f framing, missing, number uint64) error {
	if r.Killed || f.syncedUpTo(rest, number) >= missing {
		return fmt.Errorf("%w, which is followed by record %d", r.tail.fault, number)
	}
	return nil // they had not reached the disk
}

// finish decides whether the journal may end where it does.
func (r *replay) finish() error {
	end, there, valid, err := readEnd(r.FS, r.End)
	if err != nil {
		return err
	}
	known := valid && r.Boot != "" && end.boot == r.Boot && (r.marked || r.Clean)
	switch {
	case known && end.record <= r.Last:
		if r.tail.fault != nil && !r.tail.short {
			r.Log.Warn("disk engine: bytes at the end of the journal are skipped: no record is missing",
				slog.String("file", r.tail.name), slog.Any("error", r.tail.fault))
		}
		return nil
	case known && end.durable > r.Last:
		return r.missing(end)
	case known && r.tail.fault != nil && !r.tail.short:
		return r.missing(end)
	case known:
	case r.Clean, !r.Killed:
		return nil // anything missing had not reached the disk
	case r.marked && there && !valid:
		return fmt.Errorf("%w: %s, which says how far the journal goes", ErrDamaged, r.End)
	case r.tail.fault != nil && !r.tail.short:
		return fmt.Errorf("%s: %w", r.tail.name, r.tail.fault)
	case r.tail.fault == nil && !r.marked:
		return nil // of an older version: nothing says that a record is missing
	}
	r.Cut = true
	r.Log.Error("disk engine: the end of the journal is missing: ids and readers continue as after a power failure",
		slog.String("file", r.tail.name), slog.Uint64("last_record", r.Last), slog.Uint64("written", end.record))
	return nil
}

func (r *replay) missing(end journalEnd) error {
	fault := r.tail.fault
	if fault == nil {
		fault = ErrDamaged
	}
	return fmt.Errorf("%s: %w: records %d to %d are missing, of which %d was durable (%s says so)",
		r.tail.name, fault, r.Last+1, end.record, end.durable, r.End)
}

func isZero(b []byte) bool { return strings.Trim(string(b), "\x00") == "" }
