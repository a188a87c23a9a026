package nats

import (
	"encoding/binary"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// block is a run of successive messages of one channel, copied into one record, see
// [archive]. It is stored as
//
//	version 2 | number | from | to | lost | messages
//
// and each message as
//
//	how far its position is above the one before, or above from | head | how far
//	created_at is above the one before | offset | data
//
// The head says what the pieces of a text have in common. It is the number of a head that
// stands in the block before, or the next number and then the head: kind, topic, run_id,
// stream_id, sub, traceparent. Numbers are uvarints, differences of times and the offset are
// varints, and texts and data are preceded by their length.
type block struct {
	number   uint64 // how many blocks lie before it
	from, to uint64 // it has all messages of the channel after from, up to to,
	lost     uint64 // but for those up to here; 0: none is missing
	messages []schemas.Message
}

// head is what the pieces of a text have in common.
type head struct {
	kind                        schemas.Kind
	topic, runID, streamID, sub string
	traceparent                 string
}

func headOf(m *schemas.Message) head {
	return head{m.Kind, string(m.Topic), m.RunID, m.StreamID, m.Sub, m.Traceparent}
}

const blockVersion = 2 // heads of version 1 have no traceparent

// encode encodes b, but for the nonces of its messages.
func (b *block) encode() []byte {
	to := []byte{blockVersion}
	for _, n := range [...]uint64{b.number, b.from, b.to, b.lost} {
		to = binary.AppendUvarint(to, n)
	}
	heads := make(map[head]uint64)
	before, at := b.from, schemas.Time(0)
	for i := range b.messages {
		m := &b.messages[i]
		to = binary.AppendUvarint(to, m.ID.Seq-before)
		h := headOf(m)
		n, known := heads[h]
		if !known {
			n = uint64(len(heads))
			heads[h] = n
		}
		to = binary.AppendUvarint(to, n)
		if !known {
			to = append(to, engine.KindCode(h.kind))
			for _, text := range [...]string{h.topic, h.runID, h.streamID, h.sub, h.traceparent} {
				to = append(binary.AppendUvarint(to, uint64(len(text))), text...)
			}
		}
		to = binary.AppendVarint(to, int64(m.CreatedAt-at))
		to = binary.AppendVarint(to, m.Offset)
		to = append(binary.AppendUvarint(to, uint64(len(m.Data))), m.Data...)
		before, at = m.ID.Seq, m.CreatedAt
	}
	return to
}

// openBlock decodes a block of a channel of which the epoch is given. The messages share
// their data with it.
func openBlock(data []byte, epoch uint64, name schemas.Channel) (b block, err error) {
	if len(data) == 0 || data[0] == 0 || data[0] > blockVersion {
		return b, errBadEnvelope
	}
	r := blockReader{rest: data[1:], version: data[0]}
	b.number, b.from, b.to, b.lost = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	var heads []head
	for seq, at := b.from, int64(0); len(r.rest) > 0; {
		seq += r.uvarint()
		n := r.uvarint()
		if n == uint64(len(heads)) {
			heads = append(heads, r.head())
		}
		if n >= uint64(len(heads)) {
			return b, errBadEnvelope
		}
		h := heads[n]
		at += r.varint()
		m := schemas.Message{
			ID: schemas.ID{Epoch: epoch, Seq: seq}, Channel: name, CreatedAt: schemas.Time(at), Offset: r.varint(), Data: r.bytes(),
			Kind: h.kind, Topic: schemas.Topic(h.topic), RunID: h.runID, StreamID: h.streamID, Sub: h.sub, Traceparent: h.traceparent,
		}
		b.messages = append(b.messages, m)
	}
	if r.bad {
		return b, errBadEnvelope
	}
	return b, nil
}

// blockReader reads the parts of a block. After the end it reads zeros.
type blockReader struct {
	version byte
	rest    []byte
	bad     bool // something could not be read
}

func (r *blockReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *blockReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

func (r *blockReader) skip(n int) {
	if n <= 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return
	}
	r.rest = r.rest[n:]
}

func (r *blockReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *blockReader) head() (h head) {
	if len(r.rest) > 0 {
		var known bool
		h.kind, known = engine.KindOf(int(r.rest[0]))
		r.bad = r.bad || !known
	}
	r.skip(1)
	texts := []*string{&h.topic, &h.runID, &h.streamID, &h.sub}
	if r.version > 1 {
		texts = append(texts, &h.traceparent)
	}
	for _, text := range texts {
		*text = string(r.bytes())
	}
	return h
}
