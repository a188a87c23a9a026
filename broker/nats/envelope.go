package nats

import (
	"encoding/binary"
	"errors"

	"github.com/sluicehq/sluice/schemas"
)

// A stored message begins with what it is, in front of its data: a header of NATS
// would be parsed into a map at each delivery, whoever reads it.
//
//	version 1 | kind | nonce, 8 bytes | created_at, varint | topic | run_id | stream_id | data
//
// Texts are preceded by their length, one uvarint. The record of a key is an
// envelope without texts and data.
const envelopeVersion = 1

var errBadEnvelope = errors.New("nats: not a message of this service")

// kinds gives each kind its byte. What is stored stays: append only.
func kinds() [5]schemas.Kind {
	return [...]schemas.Kind{schemas.KindData, schemas.KindRun, schemas.KindStreamStart, schemas.KindChunk, schemas.KindStreamEnd}
}

// envelope is a stored message without its channel and position. The nonce tells a
// publisher its own try from another's.
type envelope struct {
	kind     schemas.Kind
	nonce    uint64
	at       schemas.Time
	topic    schemas.Topic
	runID    string
	streamID string
	data     []byte
}

func envelopeOf(m *schemas.Message, nonce uint64) envelope {
	return envelope{m.Kind, nonce, m.CreatedAt, m.Topic, m.RunID, m.StreamID, m.Data}
}

// message returns the message. It shares its data with v.
func (v *envelope) message(id schemas.ID, channel schemas.Channel) schemas.Message {
	return schemas.Message{
		ID: id, Channel: channel, Topic: v.topic, Kind: v.kind, Data: v.data,
		RunID: v.runID, StreamID: v.streamID, CreatedAt: v.at,
	}
}

func (v *envelope) append(b []byte) []byte {
	kind := byte(0)
	for i, k := range kinds() {
		if k == v.kind {
			kind = byte(i)
		}
	}
	b = append(b, envelopeVersion, kind)
	b = binary.LittleEndian.AppendUint64(b, v.nonce)
	b = binary.AppendVarint(b, int64(v.at))
	for _, text := range [...]string{string(v.topic), v.runID, v.streamID} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return append(b, v.data...)
}

// encode returns the bytes that are stored.
func (v *envelope) encode() []byte {
	return v.append(make([]byte, 0, 32+len(v.topic)+len(v.runID)+len(v.streamID)+len(v.data)))
}

// openEnvelope reads what append has written. The data is part of b.
func openEnvelope(b []byte) (v envelope, err error) {
	kinds := kinds()
	if len(b) < 10 || b[0] != envelopeVersion || int(b[1]) >= len(kinds) {
		return v, errBadEnvelope
	}
	v.kind = kinds[b[1]]
	v.nonce = binary.LittleEndian.Uint64(b[2:])
	at, n := binary.Varint(b[10:])
	if n <= 0 {
		return v, errBadEnvelope
	}
	v.at, b = schemas.Time(at), b[10+n:]
	var topic string
	for _, text := range [...]*string{&topic, &v.runID, &v.streamID} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return v, errBadEnvelope
		}
		*text, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	v.topic, v.data = schemas.Topic(topic), b
	return v, nil
}
