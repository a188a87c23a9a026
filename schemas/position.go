package schemas

import (
	"fmt"
	"strconv"
	"strings"
)

// Position is the position of a stream: its client has been sent everything up to there that
// it subscribed to. Its text is opaque to clients.
//
// For a stream over one shard, or over a log that is not sharded, it is an [ID]: Shard is
// the shard of the id, and Seqs has one element. A stream over several shards has a
// position in each: Shard is 0, and Seqs has an element for every shard of the log,
// including those that the stream does not read.
type Position struct {
	Epoch uint64
	Shard int
	Seqs  []uint64 // not empty; at most [MaxShards]
}

// vector takes the place of the shard in a position in several shards. No shard has that
// number, and clients that compare ids by their numbers leave such a text alone.
const vector = ".v-"

// ParsePosition parses the text form of an [ID], or <epoch>.v-<seq>.<seq>… with the positions
// in two or more shards. It returns [ErrBadID].
func ParsePosition(s string) (Position, error) {
	epoch, list, several := strings.Cut(s, vector)
	if !several {
		id, err := ParseID(s)
		if err != nil {
			return Position{}, err
		}
		return Position{Epoch: id.Epoch, Shard: id.Shard, Seqs: []uint64{id.Seq}}, nil
	}
	e, ok := parseCanonical(epoch, 36)
	if !ok {
		return Position{}, fmt.Errorf("%w: bad epoch", ErrBadID)
	}
	n := strings.Count(list, ".") + 1
	if n < 2 || n > MaxShards {
		return Position{}, fmt.Errorf("%w: %d shards", ErrBadID, n)
	}
	p := Position{Epoch: e, Seqs: make([]uint64, 0, n)}
	for text := range strings.SplitSeq(list, ".") {
		seq, ok := parseCanonical(text, 10)
		if !ok {
			return Position{}, fmt.Errorf("%w: bad sequence number", ErrBadID)
		}
		p.Seqs = append(p.Seqs, seq)
	}
	return p, nil
}

// In returns the position in the given shard of a log with the given number of shards, both
// 0 for a log that is not sharded. It reports whether p has this position.
func (p Position) In(shard, shards int) (seq uint64, ok bool) {
	switch {
	case len(p.Seqs) == 1:
		return p.Seqs[0], p.Shard == shard
	case shard > 0 && len(p.Seqs) == shards:
		return p.Seqs[shard-1], true
	}
	return 0, false
}

// String returns the text form.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends the text form to b.
func (p Position) Append(b []byte) []byte {
	if len(p.Seqs) == 1 {
		return ID{Epoch: p.Epoch, Seq: p.Seqs[0], Shard: p.Shard}.Append(b)
	}
	b = strconv.AppendUint(b, p.Epoch, 36)
	b = append(b, vector...)
	for i, seq := range p.Seqs {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, seq, 10)
	}
	return b
}

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) { return p.Append(nil), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParsePosition].
func (p *Position) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePosition(string(text))
	return err
}
