package schemas

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// Kind is the kind of a message.
type Kind string

// The kinds of a message.
const (
	KindData        Kind = "data"             // one published value
	KindRun         Kind = "run"              // a change of the run's status, on [TopicRun]
	KindStreamStart Kind = "datastream-start" // a stream of text begins
	KindChunk       Kind = "chunk"            // a piece of the text, as a JSON string
	KindStreamEnd   Kind = "datastream-end"   // the stream has ended, complete or aborted
)

// Message is one JSON value published to a topic of a channel.
type Message struct {
	ID       ID              `json:"id"`
	Channel  Channel         `json:"channel"`
	Topic    Topic           `json:"topic"`
	Kind     Kind            `json:"kind"`
	Data     json.RawMessage `json:"data"`
	RunID    string          `json:"run_id,omitempty"`
	StreamID string          `json:"stream_id,omitempty"`
	// FirstID is the id of the first of the messages that this one stands for, if a merge
	// rule holds several as one; the zero value otherwise.
	FirstID ID `json:"first_id,omitzero"`
	// Offset is how many bytes of UTF-8 of the text come before a chunk. It is negative in
	// the memory of a server if it is not known, since an older version stored the chunk.
	Offset int64 `json:"offset,omitempty"`
	// Sub is the subject of the token that published the message, at most 255 bytes of any
	// characters; "" for an API key and for a token without one.
	Sub string `json:"sub,omitempty"`
	// Traceparent is the trace in which the message was published (W3C Trace Context), ""
	// for none. Chunks have none: that of their text is in its start.
	Traceparent string `json:"traceparent,omitempty"`
	CreatedAt   Time   `json:"created_at"`
}

// Piece reports whether m is a piece of a text: its start, a chunk, or its end.
func (m *Message) Piece() bool {
	switch m.Kind {
	case KindStreamStart, KindChunk, KindStreamEnd:
		return m.StreamID != ""
	}
	return false
}

// Text returns the text that a chunk carries, nil if its data is not a string. It may share
// memory with the data.
func (m *Message) Text() []byte {
	if n := len(m.Data); n >= 2 && m.Data[0] == '"' && bytes.IndexByte(m.Data, '\\') < 0 {
		return m.Data[1 : n-1]
	}
	var s string
	if json.Unmarshal(m.Data, &s) != nil {
		return nil
	}
	return []byte(s)
}

// AppendJSON appends m as one line of JSON, without a line feed. Every chunk has its
// offset, even if that is 0, unless it is not known. The names and Traceparent must have
// been parsed, StreamID must be printable ASCII, and Data must be compact JSON: all are
// written as they are.
func (m *Message) AppendJSON(b []byte) []byte {
	var id [idSpace]byte
	return m.appendJSON(b, m.ID.Append(id[:0]))
}

// appendJSON is AppendJSON given the text of the id, which takes longer to make than the
// rest.
func (m *Message) appendJSON(b, id []byte) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, id...)
	b = append(b, `","channel":"`...)
	b = append(b, m.Channel...)
	b = append(b, `","topic":"`...)
	b = append(b, m.Topic...)
	b = append(b, `","kind":"`...)
	b = append(b, m.Kind...)
	b = append(b, `","data":`...)
	b = append(b, m.Data...)
	if m.RunID != "" {
		b = append(b, `,"run_id":"`...)
		b = appendEscaped(b, m.RunID)
		b = append(b, '"')
	}
	if m.StreamID != "" {
		b = append(b, `,"stream_id":"`...)
		b = append(b, m.StreamID...)
		b = append(b, '"')
	}
	if m.FirstID != (ID{}) {
		b = append(b, `,"first_id":"`...)
		b = m.FirstID.Append(b)
		b = append(b, '"')
	}
	if m.hasOffset() {
		b = append(b, `,"offset":`...)
		b = strconv.AppendInt(b, m.Offset, 10)
	}
	if m.Sub != "" {
		b = append(b, `,"sub":"`...)
		b = appendEscaped(b, m.Sub)
		b = append(b, '"')
	}
	if m.Traceparent != "" {
		b = append(b, `,"traceparent":"`...)
		b = append(b, m.Traceparent...)
		b = append(b, '"')
	}
	b = append(b, `,"created_at":"`...)
	b = m.CreatedAt.Append(b)
	return append(b, `"}`...)
}

// hasOffset reports whether the wire shows the offset.
func (m *Message) hasOffset() bool { return m.Kind == KindChunk && m.Offset >= 0 }

// Receipt is the answer to a publish.
type Receipt struct {
	ID        ID      `json:"id"`
	Channel   Channel `json:"channel"`
	Topic     Topic   `json:"topic"`
	Kind      Kind    `json:"kind"`
	CreatedAt Time    `json:"created_at"`
	Durable   bool    `json:"durable"`   // published with an idempotency key
	Duplicate bool    `json:"duplicate"` // nothing was published now: this is the receipt of the first call
}

// AppendJSON appends r as JSON.
func (r *Receipt) AppendJSON(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b = r.ID.Append(b)
	b = append(b, `","channel":"`...)
	b = append(b, r.Channel...)
	b = append(b, `","topic":"`...)
	b = append(b, r.Topic...)
	b = append(b, `","kind":"`...)
	b = append(b, r.Kind...)
	b = append(b, `","created_at":"`...)
	b = r.CreatedAt.Append(b)
	b = append(b, `","durable":`...)
	b = strconv.AppendBool(b, r.Durable)
	b = append(b, `,"duplicate":`...)
	b = strconv.AppendBool(b, r.Duplicate)
	return append(b, '}')
}

// StreamReceipt is the answer to a publish whose body is a stream of text.
type StreamReceipt struct {
	StreamID string `json:"stream_id"`
	Chunks   int64  `json:"chunks"`
	Bytes    int64  `json:"bytes"`    // of the body; of the whole text if its publisher chose the stream id
	FirstID  ID     `json:"first_id"` // of the message that begins the stream
	LastID   ID     `json:"last_id"`  // of the message that ends it
	// Duplicate says that nothing was published now: the attempt was complete already.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Time is a time on the wire: milliseconds since the Unix epoch, written as in RFC 3339, in
// UTC and with three decimal digits of a second.
type Time int64

// TimeOf returns t truncated to the millisecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Std returns t as a [time.Time] in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Append appends the text form to b, which has 24 bytes up to the year 9999. Every message
// contains a time, so this is faster than [time.Time.AppendFormat]: it takes less than half
// the time, and no more room than the text.
func (t Time) Append(b []byte) []byte {
	std := t.Std()
	year, month, day := std.Date()
	hour, minute, second := std.Clock()
	b = append(appendDigits(b, year, 4), '-')
	b = append(appendDigits(b, int(month), 2), '-')
	b = append(appendDigits(b, day, 2), 'T')
	b = append(appendDigits(b, hour, 2), ':')
	b = append(appendDigits(b, minute, 2), ':')
	b = append(appendDigits(b, second, 2), '.')
	return append(appendDigits(b, std.Nanosecond()/int(time.Millisecond), 3), 'Z')
}

// appendDigits appends the last width digits of n, which is not negative.
func appendDigits(b []byte, n, width int) []byte {
	for range width {
		b = append(b, '0')
	}
	for i := len(b) - 1; n > 0 && i >= len(b)-width; i-- {
		b[i] += byte(n % 10)
		n /= 10
	}
	return b
}

// String returns the text form.
func (t Time) String() string { return string(t.Append(nil)) }

// MarshalText implements [encoding.TextMarshaler].
func (t Time) MarshalText() ([]byte, error) { return t.Append(nil), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it accepts any RFC 3339
// time.
func (t *Time) UnmarshalText(text []byte) error {
	std, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return err
	}
	*t = TimeOf(std)
	return nil
}
