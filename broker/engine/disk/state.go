package disk

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// state is the state of the whole directory. It is written with every group.
type state struct {
	record     uint64 // number of the group's record in the journal
	head       uint64 // newest position
	reserved   uint64 // no position above this one was handed out
	lost       uint64 // any channel may have lost messages up to this position
	bytes      int64  // size of the values of all messages
	remembered int64  // remembered durable publishes
	at         int64  // time of the group, in ms
}

// reserveAhead is how many positions are set aside at a time. A power failure may skip that
// many.
const reserveAhead = 1 << 20

func (s *state) append(b []byte) []byte {
	b = append(b, stateVersion)
	for _, n := range [...]uint64{s.record, s.head, s.reserved, s.lost, uint64(s.bytes), uint64(s.remembered), uint64(s.at)} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeState(b []byte) (state, error) {
	d := decoder{rest: b}
	written := d.version(stateVersion)
	s := state{
		record: d.number(), head: d.number(), reserved: d.number(), lost: d.number(),
		bytes: int64(d.number()), remembered: int64(d.number()),
	}
	if written > 1 {
		s.at = int64(d.number())
	}
	return s, d.end()
}

// Names in the system table.
const (
	systemState = "state"
	systemEpoch = "epoch"
)

func readState(db pebble.Reader) (state, error) {
	var s state
	_, err := get(db, systemKey(systemState), func(b []byte) (err error) {
		s, err = decodeState(b)
		return err
	})
	return s, err
}
