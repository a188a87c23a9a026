package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a segment begins with: now, and in version 1.
const (
	segmentMagic = "sluicej2"
	oldMagic     = "sluicej1"
)

// maxBootBytes is how much of a boot's name is stored.
const maxBootBytes = 64

// segmentHead is the header of a segment.
type segmentHead struct {
	number uint64
	first  uint64 // number of its first record
	salt   uint64
	lost   uint64 // positions up to here may be lost
	clean  bool   // the database has every older record, and the segment is empty
	marked bool   // the end file says how far it goes
	boot   string // the boot in which it was begun; "": unknown
	old    bool   // its version is 1
}

// Kinds of segments. Older versions know the first two and treat any other as plain.
const (
	segmentPlain = iota
	segmentClean
	segmentMarked
)

func (h *segmentHead) encode() []byte {
	b := append(make([]byte, 0, segmentHeader), segmentMagic...)
	for _, n := range [...]uint64{h.number, h.first, h.salt, h.lost} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	kind := byte(segmentPlain)
	if h.clean {
		kind = segmentClean
	} else if h.marked {
		kind = segmentMarked
	}
	boot := h.boot[:min(len(h.boot), maxBootBytes)]
	b = append(append(b, kind, byte(len(boot))), boot...)
	b = append(b, make([]byte, segmentHeader-4-len(b))...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

// decodeSegmentHead returns the header that b begins with, and whether there is one.
func decodeSegmentHead(b []byte) (h segmentHead, ok bool) {
	if len(b) < segmentHeader {
		return h, false
	}
	if h.old = string(b[:len(oldMagic)]) == oldMagic; !h.old && string(b[:len(segmentMagic)]) != segmentMagic {
		return h, false
	}
	if crc32.Checksum(b[:segmentHeader-4], castagnoli()) != binary.LittleEndian.Uint32(b[segmentHeader-4:]) {
		return h, false
	}
	b = b[len(segmentMagic):]
	for _, n := range [...]*uint64{&h.number, &h.first, &h.salt, &h.lost} {
		*n, b = binary.LittleEndian.Uint64(b), b[8:]
	}
	h.clean, h.marked = b[0] == segmentClean, b[0] == segmentMarked
	h.boot = string(b[2 : 2+min(int(b[1]), maxBootBytes)])
	return h, true
}

func segmentName(number uint64) string { return fmt.Sprintf("%016d.journal", number) }

// segments returns the numbers of the segments of a directory, in order.
func segments(fs vfs.FS, dir string) ([]uint64, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		var number uint64
		if _, err := fmt.Sscanf(name, "%016d.journal", &number); err == nil && name == segmentName(number) {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
