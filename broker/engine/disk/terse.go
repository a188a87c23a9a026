package disk

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// A record of the journal is the batch of its group, as Pebble represents it. But a piece of
// a text is often only a word, and its batch has more than a hundred bytes, most of which
// follow from the database as it was before the group: the metadata of the channel, the
// state, the key of the segment. So a group that adds pieces to segments is written as a
// terse record, which lacks what follows.
//
// A replay applies each record to the database that all records before it made, and so it
// can work out what is missing. That the result is what the group wrote is not left to chance:
// pack leaves a value out only if it has worked it out in the same way as unpack will, and
// found it equal. Everything else is in the record, as it is in the batch.
//
// A terse record is stored as
//
//	1 | time | pieces
//	2 | time | number of other operations | their length | the operations | pieces
//	3 | time | piece
//
// and each piece as
//
//	skipped | back | length | what is stored of its data, see appendPiece
//
// Time is how far that of the group is above that of the one before (state.at). Pieces have
// the positions that follow the newest one, but for those skipped, which only a record of
// version 2 has. Back is how far the piece before it of the same text is below: it names the
// text. A record of version 3 has one piece, without its length. Numbers are uvarints; time
// is a varint.
const (
	terseAlone = 1
	terseAmong = 2
	terseOne   = 3
)

// grown is a piece that a group merges into a segment.
type grown struct {
	meta   *meta
	text   *openText
	seq    uint64
	after  uint64 // position of the piece before it
	at     int64  // when that was published
	value  []byte // in the batch
	stored []byte // of value: what is stored of its data
}

// packer makes the records of groups. The committer owns it.
type packer struct {
	was    state           // what the database has, but for the group
	known  bool            // that is so: the state of the engine may be ahead after a start or a repair
	apart  map[uint64]bool // ids of texts that the group also changes in other ways
	pieces []grown         // whose operations are left out
	bytes  int64           // that they add
	others []byte          // the operations that are not
	count  uint64
	buf    []byte
}

// pack returns the record of the group g. It is valid until the next call.
func (p *packer) pack(g *group) ([]byte, error) {
	repr, was := g.batch.Repr(), &p.was
	if len(g.grown) == 0 || !p.known {
		return repr, nil
	}
	if err := p.divide(g, was, repr); err != nil {
		return nil, err
	}
	if len(p.pieces) == 0 {
		return repr, nil
	}
	alone := p.count == 0 && p.pieces[len(p.pieces)-1].seq-was.head == uint64(len(p.pieces))
	b := append(p.buf[:0], terseAmong)
	switch {
	case alone && len(p.pieces) == 1:
		b[0] = terseOne
	case alone:
		b[0] = terseAlone
	}
	b = binary.AppendVarint(b, g.now-was.at)
	if !alone {
		b = binary.AppendUvarint(b, p.count)
		b = binary.AppendUvarint(b, uint64(len(p.others)))
		b = append(b, p.others...)
	}
	seq := was.head
	for i := range p.pieces {
		piece := &p.pieces[i]
		if !alone {
			b = binary.AppendUvarint(b, piece.seq-seq-1)
		}
		b = binary.AppendUvarint(b, piece.seq-piece.after)
		if b[0] != terseOne {
			b = binary.AppendUvarint(b, uint64(len(piece.stored)))
		}
		b = append(b, piece.stored...)
		seq = piece.seq
	}
	p.buf = b
	return b, nil
}

// divide divides the operations of a batch into what is left out and what is not.
func (p *packer) divide(g *group, was *state, repr []byte) error {
	clear(p.apart)
	if int(g.batch.Count()) > len(g.grown)+len(g.touched)+1 { // more than pieces, metadata and the state
		if err := p.setApart(repr); err != nil {
			return err
		}
	}
	p.pieces, p.bytes, p.others, p.count = p.pieces[:0], 0, p.others[:0], 0
	for i := range g.grown {
		g.grown[i].meta.grew = growth{}
	}
	grown, touched := g.grown, g.touched
	reader := batchrepr.Read(repr)
	for {
		rest := reader
		kind, key, value, more, err := reader.Next()
		if err != nil || !more {
			return err
		}
		left := false
		switch {
		case kind == pebble.InternalKeyKindMerge: // one for each of grown, in this order
			grown[0].value = value
			left = p.leavePiece(&grown[0], g.now)
			grown = grown[1:]
		case kind == pebble.InternalKeyKindSet && key[0] == tableChannels: // after all pieces, in the order of touched
			for string(touched[0].name) != string(key[1:]) {
				touched = touched[1:]
			}
			left = touched[0].follows(g.now, value)
		case kind == pebble.InternalKeyKindSet && key[0] == tableSystem: // after all others
			left = p.followsState(was, g.now, value)
		}
		if !left {
			p.others = append(p.others, rest[:len(rest)-len(reader)]...)
			p.count++
		}
	}
}

// setApart finds the texts of which the batch changes more than their newest segments: a
// replay does the other operations first.
func (p *packer) setApart(repr []byte) error {
	reader := batchrepr.Read(repr)
	for {
		kind, key, _, more, err := reader.Next()
		switch {
		case err != nil || !more:
			return err
		case kind == pebble.InternalKeyKindMerge:
		case key[0] == tableTexts:
			p.set(seqOf(key))
		case key[0] == tableSegments:
			p.set(binary.BigEndian.Uint64(key[1:]))
		}
	}
}

func (p *packer) set(id uint64) {
	if p.apart == nil {
		p.apart = make(map[uint64]bool)
	}
	p.apart[id] = true
}

// leavePiece leaves a piece out, if its text is not set apart.
func (p *packer) leavePiece(piece *grown, now int64) bool {
	if p.apart[piece.text.id] || !piece.follows(now) {
		return false
	}
	p.pieces = append(p.pieces, *piece)
	p.bytes += int64(len(piece.value))
	piece.meta.grew.add(piece.seq, len(piece.value))
	return true
}

// follows reports whether what is merged into the segment follows from what is stored of the
// data, and finds that.
func (p *grown) follows(now int64) bool {
	seq, at, stored, err := splitPiece(p.value)
	p.stored = stored
	return err == nil && seq == p.seq-p.after && at == now-p.at
}

// followsState reports whether the state of the group follows from the pieces that are left
// out.
func (p *packer) followsState(was *state, now int64, value []byte) bool {
	if len(p.pieces) == 0 {
		return false
	}
	s := *was
	s.grow(p.pieces[len(p.pieces)-1].seq, now, p.bytes)
	var buf [64]byte
	return bytes.Equal(s.append(buf[:0]), value)
}

// grow is the effect of pieces on the state.
func (s *state) grow(head uint64, now, bytes int64) {
	s.record++
	s.head, s.at = head, now
	s.bytes += bytes
}

// growth is what pieces that are left out add to a channel.
type growth struct {
	last  uint64 // position of the newest one; 0: there is none
	bytes int64
}

func (g *growth) add(seq uint64, bytes int) {
	g.last = seq
	g.bytes += int64(bytes)
}

// grow is the effect of pieces on the metadata of their channel.
func (c *meta) grow(by growth, now int64) {
	c.last, c.newest, c.idle = by.last, now, 0
	c.bytes += by.bytes
}

// follows reports whether the metadata of a channel follows from the pieces that are left out.
func (c *meta) follows(now int64, value []byte) bool {
	if c.grew.last == 0 || len(c.was) == 0 {
		return false
	}
	m, err := decodeMeta(c.was, c.name)
	if err != nil {
		return false
	}
	m.grow(c.grew, now)
	var buf [128]byte
	return bytes.Equal(m.append(buf[:0]), value)
}
