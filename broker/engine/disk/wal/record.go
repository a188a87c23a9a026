package wal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
)

// A record is often only a word of a text, so it is framed by some 12 bytes:
//
//	checksum, 4 | check, 1 | number, 3 | pending, uvarint | length, uvarint | payload
//
// Number is the low part of the record's number, and pending says how many records up to
// this one were not on the disk when it was written. Both and the length have a check of
// their own. The checksum is also over the salt of the segment and the whole number, which
// the reader knows, or finds out when it looks for what follows a damaged record.
//
// Segments of version 1 frame a record by 28 bytes:
//
//	checksum, 4 | length, 4 | number, 8 | synced, 8 | check, 4 | payload
//
// Synced says up to which number all records were on the disk. Fixed numbers are
// little-endian.
const (
	minFrame = 4 + 1 + 3 + 1 + 1
	maxFrame = oldFrame
	oldFrame = 4 + 4 + 8 + 8 + 4

	numberBits = 24 // a segment has no room for as many records
)

// framing is how the records of a segment are framed.
type framing struct {
	salt uint32 // checksum of the salt: only a record of this segment has a matching checksum
	old  bool   // as in version 1
}

func (h *segmentHead) framing() framing {
	var salt [8]byte
	binary.LittleEndian.PutUint64(salt[:], h.salt)
	return framing{salt: crc32.Checksum(salt[:], castagnoli()), old: h.old}
}

// frame is what stands before the payload of a record.
type frame struct {
	sum     uint32
	number  uint64 // its low part, in version 2
	pending uint64
	size    uint64 // of the payload
	bytes   int    // of the frame
}

// put frames a record, and returns it. The payload stands at the end of b, after maxFrame
// bytes, of which the frame takes the last ones.
func (f framing) put(b []byte, number, synced uint64) []byte {
	payload := len(b) - maxFrame
	var room [maxFrame]byte
	head := append(room[:0], 0, 0, 0, 0, 0, byte(number), byte(number>>8), byte(number>>16))
	head = binary.AppendUvarint(head, number-synced)
	head = binary.AppendUvarint(head, uint64(payload))
	b = b[maxFrame-len(head):]
	copy(b, head)
	b[4] = f.check(b[5:len(head)])
	binary.LittleEndian.PutUint32(b, f.sum(b[4:], number))
	return b
}

// check is the check of a frame in version 2.
func (f framing) check(b []byte) byte { return byte(crc32.Update(f.salt, castagnoli(), b)) }

// sum is the checksum of a record.
func (f framing) sum(b []byte, number uint64) uint32 {
	seed := f.salt
	if !f.old {
		seed ^= uint32(number ^ number>>32)
	}
	return crc32.Update(seed, castagnoli(), b)
}

// frame returns the frame that b begins with.
func (f framing) frame(b []byte) (h frame, ok bool) {
	if f.old {
		if len(b) < oldFrame || crc32.Update(f.salt, castagnoli(), b[4:24]) != binary.LittleEndian.Uint32(b[24:]) {
			return h, false
		}
		h.number = binary.LittleEndian.Uint64(b[8:])
		h.pending = h.number - binary.LittleEndian.Uint64(b[16:])
		h.size, h.bytes = uint64(binary.LittleEndian.Uint32(b[4:])), oldFrame
	} else {
		if len(b) < minFrame {
			return h, false
		}
		h.number = uint64(b[5]) | uint64(b[6])<<8 | uint64(b[7])<<16
		pending, n := binary.Uvarint(b[8:])
		size, k := binary.Uvarint(b[8+max(n, 0):])
		if h.bytes = 8 + n + k; n <= 0 || k <= 0 || f.check(b[5:h.bytes]) != b[4] {
			return h, false
		}
		h.pending, h.size = pending, size
	}
	h.sum = binary.LittleEndian.Uint32(b)
	return h, true
}

// read returns the payload of the record of the given number if b begins with it, its length
// with the frame, and the number up to which all records were on the disk when it was
// written.
func (f framing) read(b []byte, number uint64) (payload []byte, length int, synced uint64, ok bool) {
	h, ok := f.frame(b)
	if !ok || h.number != number && (f.old || h.number != number%(1<<numberBits)) || h.size > uint64(len(b)-h.bytes) {
		return nil, 0, 0, false
	}
	length = h.bytes + int(h.size)
	if f.sum(b[4:length], number) != h.sum {
		return nil, 0, 0, false
	}
	return b[h.bytes:length], length, number - h.pending, true
}

// next finds the first record whose number is above the given one. It looks anywhere in b
// except at its beginning.
func (f framing) next(b []byte, above uint64) (offset int, number uint64, found bool) {
	most := above + uint64(len(b))/minFrame + 1
	if most < above {
		most = math.MaxUint64
	}
	for i := 1; i+minFrame <= len(b); i++ {
		h, ok := f.frame(b[i:])
		if !ok {
			continue
		}
		n := h.number
		if !f.old {
			n = above + 1 + (h.number-above-1)%(1<<numberBits)
		}
		if n <= above || n > most {
			continue
		}
		if _, _, _, ok := f.read(b[i:], n); ok {
			return i, n, true
		}
	}
	return 0, 0, false
}

// syncedUpTo returns the highest number up to which all records were on the disk, as the
// records in b say. b begins with the record of the given number.
func (f framing) syncedUpTo(b []byte, number uint64) (most uint64) {
	for {
		_, _, synced, ok := f.read(b, number)
		if ok {
			most = max(most, synced)
		}
		offset, next, found := f.next(b, number)
		if !found {
			return most
		}
		b, number = b[offset:], next
	}
}

// isShort reports whether b is the beginning of a record whose rest is missing or zero.
func (f framing) isShort(b []byte) bool {
	zeros := len(b) - len(bytes.TrimRight(b, "\x00"))
	if len(b)-zeros < maxFrame {
		return true
	}
	h, ok := f.frame(b)
	if !ok {
		return false
	}
	// A record may end with a few zeros of its own.
	return zeros >= maxFrame || uint64(len(b)-h.bytes) < h.size
}
