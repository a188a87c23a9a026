package disk

import (
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
	texts map[uint64]growing // that go on, by their ids; nil until they are needed
	grew  map[schemas.Channel]*growth
	has   map[string]bool // keys of metadata and of the state that the record has
	repr  []byte
}

// growing is where the pieces of a text go.
type growing struct {
	name schemas.Channel
	last uint32 // number of the newest segment
}

func newUnpacker(db *pebble.DB) *unpacker {
	return &unpacker{db: db, given: db.NewBatch(), made: db.NewBatch(), grew: make(map[schemas.Channel]*growth), has: make(map[string]bool)}
}

// apply applies a record.
func (u *unpacker) apply(payload []byte) error {
	u.given.Reset() // before its memory is used again: this clears a part of it
	u.made.Reset()
	batch, err := u.given, error(nil)
	if len(payload) > 0 && (payload[0] == terseAlone || payload[0] == terseAmong) {
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
	alone := d.byte() == terseAlone
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
	seq, bytes, id := s.head, int64(0), uint64(0)
	for first := true; d.err == nil && len(d.rest) > 0; first = false {
		if first {
			id = s.head - d.number()
		} else {
			id += uint64(d.signed())
		}
		if seq++; !alone {
			seq += d.number()
		}
		text, known := u.texts[id]
		value := d.piece()
		if d.err == nil && !known {
			d.fail(fmt.Sprintf("no text %d goes on", id))
		}
		if d.err != nil {
			break
		}
		if err := u.made.Merge(segmentKey(id, text.last), value, nil); err != nil {
			return err
		}
		if u.grew[text.name] == nil {
			u.grew[text.name] = &growth{}
		}
		u.grew[text.name].add(seq, len(value))
		bytes += int64(len(value))
	}
	if d.err != nil {
		return fmt.Errorf("%w: %w", wal.ErrDamaged, d.err)
	}
	s.grow(seq, now, bytes)
	return u.finish(&s, now)
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
	u.texts = make(map[uint64]growing)
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		err = u.followText(iter.Key(), iter.Value())
	}
	return firstOf(err, iter.Error(), iter.Close())
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
		case u.texts == nil || key[0] != tableTexts:
		case kind == pebble.InternalKeyKindDelete:
			delete(u.texts, seqOf(key))
		case kind == pebble.InternalKeyKindSet:
			if err := u.followText(key, value); err != nil {
				return err
			}
		}
	}
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
	u.texts[id] = growing{schemas.Channel(key[1 : len(key)-9]), t.last}
	return nil
}

// piece returns what appendPiece wrote.
func (d *decoder) piece() []byte {
	all := d.rest
	d.number()
	d.signed()
	d.bytes()
	return all[:len(all)-len(d.rest)]
}
