package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/schemas"
)

// The first byte of every value is a version.
const (
	version        = 1 // of every other value
	metaVersion    = 2 // metadata of version 1 knows nothing of texts
	stateVersion   = 2 // the state of version 1 has no time
	messageVersion = 2 // a message of version 1 has neither offset nor sub
	endVersion     = 3 // a message that ends a text and says where that is
	tracedVersion  = 4 // a message with a traceparent
	openVersion    = 2 // a text that goes on; version 1 is not messages that are merged
)

// errRecord is the error for a value that cannot be decoded.
var errRecord = errors.New("disk: damaged record")

// appendMessage appends the value of a message. Its channel is in the key.
func appendMessage(b []byte, m *schemas.Message) []byte {
	written := byte(messageVersion)
	if m.Traceparent != "" {
		written = tracedVersion
	}
	b = append(b, written, engine.KindCode(m.Kind))
	b = binary.AppendUvarint(b, m.ID.Seq)
	b = binary.AppendUvarint(b, uint64(m.CreatedAt))
	b = binary.AppendVarint(b, m.Offset)
	b = appendText(b, string(m.Topic))
	b = appendText(b, m.RunID)
	b = appendText(b, m.StreamID)
	b = appendText(b, m.Sub)
	if written == tracedVersion {
		b = appendText(b, m.Traceparent)
	}
	return append(b, m.Data...)
}

// appendEnd appends the value of a message that ends a text.
func appendEnd(b []byte, m *schemas.Message, text *textRef) []byte {
	begins := len(b)
	data := m.Data
	end := *m
	end.Data, end.Traceparent = nil, "" // that of the text is in its start
	b = appendMessage(b, &end)
	b[begins] = endVersion
	for _, n := range [...]uint64{text.id, uint64(text.first), uint64(text.last), uint64(text.size)} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, data...)
}

func (d *decoder) textRef() textRef {
	return textRef{id: d.number(), first: uint32(d.number()), last: uint32(d.number()), size: int64(d.number())}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// sizeOf returns the length of a message's value, which counts towards the limits.
func sizeOf(m *schemas.Message) int64 {
	n := 2 + uvarintLen(m.ID.Seq) + uvarintLen(uint64(m.CreatedAt)) + varintLen(m.Offset) + len(m.Data)
	for _, s := range [...]string{string(m.Topic), m.RunID, m.StreamID, m.Sub} {
		n += uvarintLen(uint64(len(s))) + len(s)
	}
	if s := m.Traceparent; s != "" {
		n += uvarintLen(uint64(len(s))) + len(s)
	}
	return int64(n)
}

func uvarintLen(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

func varintLen(n int64) int { return uvarintLen(uint64(n)<<1 ^ uint64(n>>63)) }

// decodeMessage decodes what appendMessage wrote in this or an older version, or appendEnd.
// The message's data shares memory with b.
func decodeMessage(b []byte, epoch uint64, name schemas.Channel) (schemas.Message, error) {
	d := decoder{rest: b}
	written := d.version(tracedVersion)
	m := schemas.Message{Channel: name, Kind: d.kind()}
	m.ID = schemas.ID{Epoch: epoch, Seq: d.number()}
	m.CreatedAt = schemas.Time(d.number())
	switch {
	case written > 1:
		m.Offset = d.signed()
	case m.Kind == schemas.KindChunk:
		m.Offset = -1 // not known
	}
	m.Topic, m.RunID, m.StreamID = schemas.Topic(d.text()), d.text(), d.text()
	if written > 1 {
		m.Sub = d.text()
	}
	switch written {
	case endVersion:
		d.textRef()
	case tracedVersion:
		m.Traceparent = d.text()
	}
	m.Data = d.rest
	return m, d.err
}

// receipt is the part of a receipt that is stored for a durable publish.
type receipt struct {
	kind schemas.Kind
	seq  uint64
	at   schemas.Time
}

func (r *receipt) append(b []byte) []byte {
	b = append(b, version, engine.KindCode(r.kind))
	b = binary.AppendUvarint(b, r.seq)
	return binary.AppendUvarint(b, uint64(r.at))
}

func decodeReceipt(b []byte) (receipt, error) {
	d := decoder{rest: b}
	d.version(version)
	r := receipt{kind: d.kind(), seq: d.number(), at: schemas.Time(d.number())}
	return r, d.end()
}

func appendLimits(b []byte, l engine.Limits) []byte {
	b = binary.AppendUvarint(b, uint64(l.Messages))
	b = binary.AppendUvarint(b, uint64(l.Bytes))
	return binary.AppendUvarint(b, uint64(l.Age.Milliseconds()))
}

func (d *decoder) limits() engine.Limits {
	l := engine.Limits{Messages: int(d.number()), Bytes: int64(d.number())}
	ms := d.number()
	if ms > math.MaxInt64/uint64(time.Millisecond) {
		d.fail("an age out of range")
		return engine.Limits{}
	}
	l.Age = time.Duration(ms) * time.Millisecond
	return l
}

func appendItem(b []byte, f clusterstate.Item) []byte {
	b = append(b, version)
	until := int64(0)
	if !f.ExpiresAt.IsZero() {
		until = f.ExpiresAt.UnixMilli()
	}
	b = binary.AppendVarint(b, until)
	return append(b, f.Value...)
}

func decodeItem(b []byte, kind clusterstate.Kind, name string) (clusterstate.Item, error) {
	d := decoder{rest: b}
	d.version(version)
	f := clusterstate.Item{Kind: kind, Name: name}
	if until := d.signed(); until != 0 {
		f.ExpiresAt = time.UnixMilli(until).UTC()
	}
	f.Value = d.rest
	return f, d.err
}

// decoder decodes a value part by part. After its first error, which it keeps, it returns
// zero values.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errRecord, what)
	}
	d.rest = nil
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail("too short")
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// version reads the version of a value, which is from 1 to newest.
func (d *decoder) version(newest byte) byte {
	v := d.byte()
	if d.err == nil && (v < 1 || v > newest) {
		d.fail(fmt.Sprintf("version %d, this program knows 1 to %d", v, newest))
	}
	return v
}

func (d *decoder) kind() schemas.Kind {
	code := d.byte()
	kind, known := engine.KindOf(int(code))
	if !known {
		d.fail(fmt.Sprintf("unknown kind %d", code))
	}
	return kind
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("a bad number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("a bad number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string { return string(d.bytes()) }

func (d *decoder) bytes() []byte {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.fail("too short")
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// end returns the first error. Bytes that are left over are an error, too.
func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("bytes after the end")
	}
	return d.err
}
