package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"

	"github.com/sluicehq/sluice/broker/engine/disk/wal"
	"github.com/sluicehq/sluice/schemas"
)

// unpacker applies records of the journal to the database, see pack.
type unpacker struct {
	db    *pebble.DB
	given *pebble.Batch // shares memory with a record
	made  *pebble.Batch
	grew  map[schemas.Channel]*growth
	has   map[string]bool // keys of metadata and of the state that the record has
	repr  []byte
	value []byte

	texts  map[uint64]growing // that go on, by their ids; nil until they are needed
	newest map[uint64]uint64  // their ids, by the positions of their newest pieces
}

// growing is where the pieces of a text go.
type growing struct {
	name schemas.Channel
	last uint32 // number of the newest segment
	seq  uint64 // position of the newest piece
	at   int64  // when that was published
}

func newUnpacker(db *pebble.DB) *unpacker {
	return &unpacker{db: db, given: db.NewBatch(), made: db.NewBatch(), grew: make(map[schemas.Channel]*growth), has: make(map[string]bool)}
}

// apply applies a record.
func (u *unpacker) apply(payload []byte) error {
	u.given.Reset() // before its memory is used again: this clears a part of it
	u.made.Reset()
	batch, err := u.given, error(nil)
	if len(payload) > 0 && payload[0] >= terseAlone && payload[0] <= terseOne {
		batch, err = u.made, u.unpack(payload)
	} else {
		err = u.take(payload)
	}
	if err != nil {
		return err
	}
	return u.db.Apply(batch, pebble.NoSync)
}

// take makes operations, as a batch represents them, those of the given batch.
func (u *unpacker) take(repr []byte) error {
	if err := u.given.SetRepr(repr); err != nil {
		return err
	}
	return u.follow(repr)
}

// unpack makes the batch of a terse record.
func (u *unpacker) unpack(payload []byte) error {
	if err := u.load(); err != nil {
		return err
	}
	s, err := readState(u.db)
	if err != nil {
		return err
	}
	d := decoder{rest: payload}
	version := d.byte()
	alone := version != terseAmong
	now := s.at + d.signed()
	if !alone {
		if err := u.begin(d.number(), d.bytes()); err != nil {
			return err
		}
	}
	clear(u.grew)
	if alone {
		clear(u.has)
	}
	seq, bytes := s.head, int64(0)
	for first := true; d.err == nil && (len(d.rest) > 0 || first); first = false {
		if seq++; !alone {
			seq += d.number()
		}
		grew, err := u.piece(&d, version, seq, now)
		if err != nil {
			return err
		}
		bytes += grew
	}
	if d.err != nil {
		return fmt.Errorf("%w: %w", wal.ErrDamaged, d.err)
	}
	s.grow(seq, now, bytes)
	return u.finish(&s, now)
}

// piece takes a piece at a position from a record, and returns how many bytes its segment gets.
func (u *unpacker) piece(d *decoder, version byte, seq uint64, now int64) (int64, error) {
	id, known := u.newest[seq-d.number()]
	if d.err == nil && !known {
		d.fail("a piece of no text that goes on")
	}
	stored := d.rest
	if version == terseOne {
		d.rest = nil
	} else {
		stored = d.bytes()
	}
	if d.err != nil {
		return 0, fmt.Errorf("%w: %w", wal.ErrDamaged, d.err)
	}
	text := u.texts[id]
	u.value = joinPiece(u.value[:0], seq-text.seq, now-text.at, stored)
	u.move(id, seq, now)
	if u.grew[text.name] == nil {
		u.grew[text.name] = &growth{}
	}
	u.grew[text.name].add(seq, len(u.value))
	return int64(len(u.value)), u.made.Merge(segmentKey(id, text.last), u.value, nil)
}

// begin begins the batch with operations that are in the record.
func (u *unpacker) begin(count uint64, others []byte) error {
	u.repr = append(append(u.repr[:0], make([]byte, batchrepr.HeaderLen)...), others...)
	batchrepr.SetCount(u.repr, uint32(count))
	if err := u.take(u.repr); err != nil {
		return err
	}
	return u.made.Apply(u.given, nil)
}

// finish adds to the batch what follows from the pieces, but for what the record has.
func (u *unpacker) finish(s *state, now int64) error {
	for name, by := range u.grew {
		key := channelKey(name)
		if u.has[string(key)] {
			continue
		}
		c, err := readMeta(current{u.db}, name)
		if err == nil && c == nil {
			err = fmt.Errorf("%w: channel %q has texts that go on, and no metadata", errRecord, name)
		}
		if err != nil {
			return err
		}
		c.grow(*by, now)
		if err := u.made.Set(key, c.append(nil), nil); err != nil {
			return err
		}
	}
	key := systemKey(systemState)
	if u.has[string(key)] {
		return nil
	}
	return u.made.Set(key, s.append(nil), nil)
}

// load reads which texts go on.
func (u *unpacker) load() error {
	if u.texts != nil {
		return nil
	}
	iter, err := u.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableTexts}, UpperBound: []byte{tableTexts + 1}})
	if err != nil {
		return err
	}
	u.texts, u.newest = make(map[uint64]growing), make(map[uint64]uint64)
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		err = u.followText(iter.Key(), iter.Value())
	}
	err = firstOf(err, iter.Error(), iter.Close())
	for id, text := range u.texts {
		key := segmentKey(id, text.last)
		found, failed := get(u.db, key, func(b []byte) error { return u.followSegment(key, b) })
		if !found && failed == nil {
			failed = errorAt(key, fmt.Errorf("%w: it is missing", errRecord))
		}
		err = firstOf(err, failed)
	}
	return err
}

// follow notes what operations change about the texts that go on.
func (u *unpacker) follow(repr []byte) error {
	clear(u.has)
	reader := batchrepr.Read(repr)
	for {
		kind, key, value, more, err := reader.Next()
		switch {
		case err != nil || !more:
			return err
		case len(key) == 0:
		case key[0] == tableChannels || key[0] == tableSystem:
			u.has[string(key)] = true
		case u.texts == nil:
		case key[0] == tableTexts || key[0] == tableSegments:
			if err := u.followKey(kind, key, value); err != nil {
				return err
			}
		}
	}
}

// followKey notes what an operation changes about a text that goes on.
func (u *unpacker) followKey(kind pebble.InternalKeyKind, key, value []byte) error {
	switch {
	case kind == pebble.InternalKeyKindSet && key[0] == tableTexts:
		return u.followText(key, value)
	case kind == pebble.InternalKeyKindDelete && key[0] == tableTexts:
		id := seqOf(key)
		delete(u.newest, u.texts[id].seq)
		delete(u.texts, id)
	case kind == pebble.InternalKeyKindSet:
		return u.followSegment(key, value)
	case kind == pebble.InternalKeyKindMerge:
		seq, at, _, err := splitPiece(value)
		if err != nil {
			return errorAt(key, err)
		}
		id := binary.BigEndian.Uint64(key[1:])
		u.move(id, u.texts[id].seq+seq, u.texts[id].at+at)
	}
	return nil
}

// followText notes where the pieces of a text go.
func (u *unpacker) followText(key, value []byte) error {
	if len(key) < 1+1+8 {
		return errorAt(key, errRecord)
	}
	id := seqOf(key)
	t, err := decodeOpenText(value, id)
	if err != nil {
		return errorAt(key, err)
	}
	text := u.texts[id]
	text.name, text.last = schemas.Channel(key[1:len(key)-9]), t.last
	u.texts[id] = text
	return nil
}

// followSegment notes which piece is the newest of a text, that of its newest segment.
func (u *unpacker) followSegment(key, value []byte) error {
	id := binary.BigEndian.Uint64(key[1:])
	_, _, err := decodeSegment(value, 0, "", func(m *schemas.Message) { u.move(id, m.ID.Seq, int64(m.CreatedAt)) })
	if err != nil {
		return errorAt(key, err)
	}
	return nil
}

// move notes the newest piece of a text.
func (u *unpacker) move(id, seq uint64, at int64) {
	text, known := u.texts[id]
	if !known {
		return
	}
	delete(u.newest, text.seq)
	text.seq, text.at = seq, at
	u.texts[id], u.newest[seq] = text, id
}
