package schemas

import (
	"encoding/json"
	"strconv"
	"time"
)

// Kind tells what a message is part of.
type Kind string

// The kinds of a message.
const (
	KindData        Kind = "data"             // one published value
	KindRun         Kind = "run"              // a change of the run's status, on [TopicRun]
	KindStreamStart Kind = "datastream-start" // a body stream begins
	KindChunk       Kind = "chunk"            // a piece of it, a JSON string
	KindStreamEnd   Kind = "datastream-end"   // it is over, complete or aborted
)

// Message is one JSON value published to a topic of a channel.
type Message struct {
	ID        ID              `json:"id"`
	Channel   Channel         `json:"channel"`
	Topic     Topic           `json:"topic"`
	Kind      Kind            `json:"kind"`
	Data      json.RawMessage `json:"data"`
	RunID     string          `json:"run_id,omitempty"`
	StreamID  string          `json:"stream_id,omitempty"`
	CreatedAt Time            `json:"created_at"`
}

// AppendJSON appends m as one line of JSON, without a line feed. Names and
// RunID must have been parsed, StreamID be printable ASCII and Data be compact
// JSON: they are written as they are.
func (m *Message) AppendJSON(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b = m.ID.Append(b)
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
	b = append(b, `,"created_at":"`...)
	b = m.CreatedAt.Append(b)
	return append(b, `"}`...)
}

// appendEscaped appends what stands between the quotes of a JSON string. It
// relies on s having no control characters, which [ParseRunID] has seen to.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}

// Receipt is the answer to a publish.
type Receipt struct {
	ID        ID      `json:"id"`
	Channel   Channel `json:"channel"`
	Topic     Topic   `json:"topic"`
	Kind      Kind    `json:"kind"`
	CreatedAt Time    `json:"created_at"`
	Durable   bool    `json:"durable"`   // published under an idempotency key
	Duplicate bool    `json:"duplicate"` // nothing was published now: this is the first call's receipt
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

// Time is a moment on the wire: milliseconds since the Unix epoch, written as
// RFC 3339 in UTC with three digits of a second.
type Time int64

// TimeOf returns t cut to the millisecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Std returns t as a [time.Time] in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Append appends the text form to b: always 24 bytes, up to the year 9999. It is
// a part of every message, and less than half the work of [time.Time.AppendFormat],
// which also needs more room than it fills.
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
