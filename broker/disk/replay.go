package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errCorrupt says that the directory is not what was written there.
var errCorrupt = errors.New("disk: damaged")

// replay reads the journal of a directory back.
type replay struct {
	fs      vfs.FS
	dir     string
	boot    string // in which the machine is
	applied uint64 // records up to here are in the tables

	last    uint64 // newest record that was read
	records int    // that were given to apply
	lost    uint64 // as the segments say
	clean   bool   // the last one to write here said that everything is in the tables
	killed  bool   // otherwise: whether it wrote in this boot, so that all is there
}

// run calls apply with the records that are not in the tables, in order.
func (r *replay) run(numbers []uint64, apply func(payload []byte) error) error {
	r.last = r.applied
	for i, number := range numbers {
		name := r.fs.PathJoin(r.dir, segmentName(number))
		data, err := readAll(r.fs, name)
		if err != nil {
			return err
		}
		if err := r.segment(data, number, i == 0, i == len(numbers)-1, apply); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func readAll(fs vfs.FS, name string) ([]byte, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(file)
	return data, firstOf(err, file.Close())
}

// segment reads one segment; oldest and newest say which one.
func (r *replay) segment(data []byte, number uint64, oldest, newest bool, apply func([]byte) error) error {
	head, ok := decodeSegmentHead(data)
	if !ok || head.number != number {
		// The one before it stays until the header is on the disk.
		if newest && !oldest && (len(data) < segmentHeader || isZero(data)) {
			return nil
		}
		return fmt.Errorf("%w: the segment's header", errCorrupt)
	}
	next, salt := head.first, head.salt
	if next > r.last+1 {
		return fmt.Errorf("%w: it begins with record %d, but what is there ends with %d", errCorrupt, next, r.last)
	}
	r.lost = max(r.lost, head.lost)
	r.clean, r.killed = head.clean, head.boot != "" && head.boot == r.boot
	for at := segmentHeader; ; next++ {
		payload, _, ok := readRecord(data[at:], salt, next)
		if !ok {
			if next <= r.last {
				return nil // what is missing here came in another segment, or is in the tables
			}
			return r.tail(data[at:], salt, next, at, newest)
		}
		if next > r.last {
			if err := apply(payload); err != nil {
				return err
			}
			r.last = next
			r.records++
		}
		at += recordHeader + len(payload)
	}
}

// tail decides whether a segment may end with what is no record.
func (r *replay) tail(rest []byte, salt, next uint64, at int, newest bool) error {
	fault := fmt.Errorf("%w: record %d at offset %d", errCorrupt, next, at)
	number, synced, found := findRecord(rest, salt, next)
	switch {
	case found && (synced >= next || r.killed):
		return fmt.Errorf("%w, which is followed by record %d", fault, number)
	case !newest:
		return nil // the next segment tells whether a record is missing
	case !r.killed:
		return nil // what had not reached the disk
	case len(rest) < recordHeader:
		return nil // cut short by the end of the process
	case checksum(salt, rest[4:24]) != binary.LittleEndian.Uint32(rest[24:]):
		return fault
	case uint64(len(rest)-recordHeader) >= uint64(binary.LittleEndian.Uint32(rest[4:])):
		return fault
	}
	return nil // cut short as well: its length is what was written
}

func isZero(b []byte) bool { return strings.Trim(string(b), "\x00") == "" }

// readRecord returns the record of the given number if b begins with it, and up to
// which record all were on the disk when it was written.
func readRecord(b []byte, salt, number uint64) (payload []byte, synced uint64, ok bool) {
	if len(b) < recordHeader || binary.LittleEndian.Uint64(b[8:]) != number {
		return nil, 0, false
	}
	size := uint64(binary.LittleEndian.Uint32(b[4:]))
	if size > uint64(len(b)-recordHeader) {
		return nil, 0, false
	}
	b = b[:recordHeader+int(size)]
	if checksum(salt, b[4:]) != binary.LittleEndian.Uint32(b) {
		return nil, 0, false
	}
	return b[recordHeader:], binary.LittleEndian.Uint64(b[16:]), true
}

// findRecord looks for a record with a number above the given one anywhere in b, and
// returns the one that tells the most of what was on the disk.
func findRecord(b []byte, salt, above uint64) (number, synced uint64, found bool) {
	most := above + uint64(len(b))/recordHeader + 1
	if most < above {
		most = math.MaxUint64
	}
	for i := 1; i+recordHeader <= len(b); i++ {
		n := binary.LittleEndian.Uint64(b[i+8:])
		if n <= above || n > most {
			continue
		}
		payload, upTo, ok := readRecord(b[i:], salt, n)
		if !ok {
			continue
		}
		if !found || upTo > synced {
			number, synced = n, upTo
		}
		found = true
		i += recordHeader + len(payload) - 1
	}
	return number, synced, found
}
