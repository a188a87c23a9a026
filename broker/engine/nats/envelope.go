package nats

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// A stored message carries its attributes in front of its data. In NATS headers they
// would be parsed into a map at every delivery.
//
//	version 1 | kind | nonce, 8 bytes | created_at, varint | topic | run_id | stream_id | data
//
// Each text is preceded by its length as a uvarint. The record of a key is an envelope
// without texts and data.
//
// A node of an older version does not read an envelope of a newer one, and then cannot
// load the channel either. So what was added since version 1 is in headers, which older
// nodes skip, and only where it applies: they are in every message of a token with a
// subject or with a traceparent, and in every chunk.
const (
	envelopeVersion = 1
	headerOffset    = "Sluice-Offset" // decimal; of a chunk
	headerSub       = "Sluice-Sub"    // a JSON string
	headerTrace     = "traceparent"   // as in HTTP
)

var errBadEnvelope = errors.New("nats: not a message of sluice")

// kindByte returns the byte of a kind, one less than its code; 0 for the record of a key,
// which has none.
func kindByte(k schemas.Kind) byte { return max(1, engine.KindCode(k)) - 1 }

// envelope is a stored message without its channel and position. By the nonce an attempt
// recognizes what it stored itself.
type envelope struct {
	kind     schemas.Kind
	nonce    uint64
	at       schemas.Time
	topic    schemas.Topic
	runID    string
	streamID string
	offset   int64
	sub      string
	trace    string
	data     []byte
}

func envelopeOf(m *schemas.Message, nonce uint64) envelope {
	return envelope{m.Kind, nonce, m.CreatedAt, m.Topic, m.RunID, m.StreamID, m.Offset, m.Sub, m.Traceparent, m.Data}
}

// message returns the message, which shares its data with v.
func (v *envelope) message(id schemas.ID, channel schemas.Channel) schemas.Message {
	return schemas.Message{
		ID: id, Channel: channel, Topic: v.topic, Kind: v.kind, Data: v.data,
		RunID: v.runID, StreamID: v.streamID, Offset: v.offset, Sub: v.sub, Traceparent: v.trace, CreatedAt: v.at,
	}
}

func (v *envelope) append(b []byte) []byte {
	b = append(b, envelopeVersion, kindByte(v.kind))
	b = binary.LittleEndian.AppendUint64(b, v.nonce)
	b = binary.AppendVarint(b, int64(v.at))
	for _, text := range [...]string{string(v.topic), v.runID, v.streamID} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return append(b, v.data...)
}

// seal returns the message to store, which is kept as [jetstream.NewMsg] says.
func (v *envelope) seal(subject string, keep time.Duration) *natsio.Msg {
	b := v.append(make([]byte, 0, 32+len(v.topic)+len(v.runID)+len(v.streamID)+len(v.data)))
	m := jetstream.NewMsg(subject, b, keep)
	if v.kind == schemas.KindChunk {
		m.Header[headerOffset] = []string{strconv.FormatInt(v.offset, 10)}
	}
	if v.sub != "" {
		m.Header[headerSub] = []string{string(schemas.AppendString(nil, v.sub))}
	}
	if v.trace != "" {
		m.Header[headerTrace] = []string{v.trace}
	}
	return m
}

// openEnvelope reads what seal has made, now or on a node of an older version. The
// envelope's data is part of b.
func openEnvelope(header natsio.Header, b []byte) (envelope, error) {
	v, err := openBody(b)
	if err == nil {
		err = v.readHeader(header)
	}
	return v, err
}

func (v *envelope) readHeader(header natsio.Header) (err error) {
	if v.kind == schemas.KindChunk {
		v.offset = -1 // not known
	}
	if trace := header[headerTrace]; len(trace) > 0 {
		v.trace = schemas.ParseTraceparent(trace[0])
	}
	if text := header.Get(headerOffset); text != "" {
		if v.offset, err = strconv.ParseInt(text, 10, 64); err != nil {
			return errBadEnvelope
		}
	}
	if text := header.Get(headerSub); text != "" {
		if err := json.Unmarshal([]byte(text), &v.sub); err != nil {
			return errBadEnvelope
		}
	}
	return nil
}

func openBody(b []byte) (v envelope, err error) {
	if len(b) < 10 || b[0] != envelopeVersion {
		return v, errBadEnvelope
	}
	var known bool
	if v.kind, known = engine.KindOf(int(b[1]) + 1); !known {
		return v, errBadEnvelope
	}
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
