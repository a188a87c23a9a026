package schemas

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrBadID is returned by [ParseID] and [ParsePosition].
var ErrBadID = errors.New("schemas: bad id")

// ID is a position in a log. Clients treat its text as opaque.
//
// Epoch names one life of the log, Seq counts within it and only grows. Ids of one
// epoch are comparable across all channels of a server, if its log is not sharded;
// else across those of one shard, which are numbered from 1.
type ID struct {
	Epoch uint64
	Seq   uint64
	Shard int // 0: of a log that is not sharded; at most [MaxShards]
}

// MaxShards is how many shards a log may have: what bounds the text of a
// [Position].
const MaxShards = 64

// ParseID reads the text form <epoch>-<seq>, or <epoch>.<shard>-<seq> of a sharded
// log: lower-case base 36, decimal, decimal, all without leading zeros. It returns
// [ErrBadID].
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

// parseCanonical accepts only the text that strconv would write itself, so that
// a position has one spelling.
func parseCanonical(s string, base int) (uint64, bool) {
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil && strconv.FormatUint(n, base) == s
}

// String returns the text form.
func (id ID) String() string { return string(id.Append(nil)) }

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
