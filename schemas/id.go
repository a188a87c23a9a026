package schemas

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// ID is a position in a log. Its text is opaque to clients.
//
// Epoch identifies one generation of the log. Seq counts within it and only grows. If the
// log is not sharded, ids of one epoch are comparable across all channels of a server;
// otherwise only across those of one shard. Shards are numbered from 1.
type ID struct {
	Epoch uint64
	Seq   uint64
	Shard int // 0 if the log is not sharded; at most [MaxShards]
}

// NewEpoch returns a random epoch for a new log: at most eight digits in base 36, never 0.
func NewEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])>>24 | 1
}

// ParseID parses the text form <epoch>-<seq>, or <epoch>.<shard>-<seq> for a sharded log.
// The epoch is in lower-case base 36, the other numbers are decimal, and none has leading
// zeros. It returns [ErrBadID].
func ParseID(s string) (ID, error) {
	life, seq, found := strings.Cut(s, "-")
	if !found {
		return ID{}, fmt.Errorf("%w: no dash", ErrBadID)
	}
	epoch, shard, sharded := strings.Cut(life, ".")
	e, ok := parseCanonical(epoch, 36)
	if !ok {
		return ID{}, fmt.Errorf("%w: bad epoch", ErrBadID)
	}
	var k uint64
	if sharded {
		if k, ok = parseCanonical(shard, 10); !ok || k < 1 || k > MaxShards {
			return ID{}, fmt.Errorf("%w: bad shard", ErrBadID)
		}
	}
	n, ok := parseCanonical(seq, 10)
	if !ok {
		return ID{}, fmt.Errorf("%w: bad sequence number", ErrBadID)
	}
	return ID{Epoch: e, Seq: n, Shard: int(k)}, nil
}

// parseCanonical accepts only the text that strconv would write, so that a position has only
// one spelling.
func parseCanonical(s string, base int) (uint64, bool) {
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil && strconv.FormatUint(n, base) == s
}

// String returns the text form.
func (id ID) String() string { return string(id.Append(nil)) }

// idSpace is enough for the text of any id, in bytes.
const idSpace = 64

// Append appends the text form to b.
func (id ID) Append(b []byte) []byte {
	b = strconv.AppendUint(b, id.Epoch, 36)
	if id.Shard > 0 {
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(id.Shard), 10)
	}
	b = append(b, '-')
	return strconv.AppendUint(b, id.Seq, 10)
}

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return id.Append(nil), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseID].
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}
