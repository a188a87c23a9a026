package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/schemas"
)

// version is the first byte of every value.
const version = 1

// errRecord says that a value is not what was written.
var errRecord = errors.New("disk: damaged record")

// kinds are the kinds of messages by the byte that stands for them.
func kinds() [6]schemas.Kind {
	return [...]schemas.Kind{"", schemas.KindData, schemas.KindRun, schemas.KindStreamStart, schemas.KindChunk, schemas.KindStreamEnd}
}

func kindByte(k schemas.Kind) byte {
	for i, kind := range kinds() {
		if kind == k {
			return byte(i)
		}
	}
	return 0
}

// appendMessage appends the value of a message. Its channel stands in the key, and
// in that of a message its position, too.
func appendMessage(b []byte, m *schemas.Message) []byte {
	b = append(b, version, kindByte(m.Kind))
	b = binary.AppendUvarint(b, m.ID.Seq)
	b = binary.AppendUvarint(b, uint64(m.CreatedAt))
	b = appendText(b, string(m.Topic))
	b = appendText(b, m.RunID)
	b = appendText(b, m.StreamID)
	return append(b, m.Data...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// sizeOf returns how long the value of a message is: what it counts for.
func sizeOf(m *schemas.Message) int64 {
	n := 2 + uvarintLen(m.ID.Seq) + uvarintLen(uint64(m.CreatedAt)) + len(m.Data)
	for _, s := range [...]string{string(m.Topic), m.RunID, m.StreamID} {
		n += uvarintLen(uint64(len(s))) + len(s)
	}
	return int64(n)
}

func uvarintLen(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// decodeMessage reads what appendMessage wrote. The message's data is a part of b.
func decodeMessage(b []byte, epoch uint64, name schemas.Channel) (schemas.Message, error) {
	d := decoder{rest: b}
	d.version()
	kind := d.kind()
	m := schemas.Message{
		ID:        schemas.ID{Epoch: epoch, Seq: d.number()},
		Channel:   name,
		Kind:      kind,
		CreatedAt: schemas.Time(d.number()),
		Topic:     schemas.Topic(d.text()),
		RunID:     d.text(),
		StreamID:  d.text(),
	}
	m.Data = d.rest
	return m, d.err
}

// timeOf returns when the message was published whose value b is.
func timeOf(b []byte) (int64, error) {
	d := decoder{rest: b}
	d.version()
	d.kind()
	d.number()
	at := d.number()
	return int64(at), d.err
}

// receipt is what is remembered of a durable publish.
type receipt struct {
	kind schemas.Kind
	seq  uint64
	at   schemas.Time
}

func (r *receipt) append(b []byte) []byte {
	b = append(b, version, kindByte(r.kind))
	b = binary.AppendUvarint(b, r.seq)
	return binary.AppendUvarint(b, uint64(r.at))
}

func decodeReceipt(b []byte) (receipt, error) {
	d := decoder{rest: b}
	d.version()
	r := receipt{kind: d.kind(), seq: d.number(), at: schemas.Time(d.number())}
	return r, d.end()
}

func appendLimits(b []byte, l broker.Limits) []byte {
	b = binary.AppendUvarint(b, uint64(l.Messages))
	b = binary.AppendUvarint(b, uint64(l.Bytes))
	return binary.AppendUvarint(b, uint64(l.Age.Milliseconds()))
}

func (d *decoder) limits() broker.Limits {
	l := broker.Limits{Messages: int(d.number()), Bytes: int64(d.number())}
	ms := d.number()
	if ms > math.MaxInt64/uint64(time.Millisecond) {
		d.fail("an age out of range")
		return broker.Limits{}
	}
	l.Age = time.Duration(ms) * time.Millisecond
	return l
}

func appendFact(b []byte, f facts.Fact) []byte {
	b = append(b, version)
	until := int64(0)
	if !f.Until.IsZero() {
		until = f.Until.UnixMilli()
	}
	b = binary.AppendVarint(b, until)
	return append(b, f.Value...)
}

func decodeFact(b []byte, kind facts.Kind, name string) (facts.Fact, error) {
	d := decoder{rest: b}
	d.version()
	f := facts.Fact{Kind: kind, Name: name}
	if until := d.signed(); until != 0 {
		f.Until = time.UnixMilli(until).UTC()
	}
	f.Value = d.rest
	return f, d.err
}

// decoder takes a value apart. Its first error stays, and it returns zero values
// from then on.
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
		d.fail("it is cut off")
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) version() {
	if v := d.byte(); d.err == nil && v != version {
		d.fail(fmt.Sprintf("version %d, this program knows %d", v, version))
	}
}

func (d *decoder) kind() schemas.Kind {
	all := kinds()
	k := d.byte()
	if int(k) >= len(all) {
		d.fail(fmt.Sprintf("unknown kind %d", k))
		return ""
	}
	return all[k]
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

func (d *decoder) text() string {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.fail("it is cut off")
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// end returns the error, also of bytes that are left.
func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("bytes after its end")
	}
	return d.err
}
