package broker

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// frame is one message, encoded once and shared by all readers. Static once it is
// in its log.
type frame struct {
	seq   uint64
	at    int64 // when it was published, milliseconds since the Unix epoch
	mark  *topicMark
	kind  schemas.Kind
	bytes []byte // the whole Server-Sent Event, blank line included
	json  int    // where in bytes the message's JSON begins
	late  bool   // newer ones of other channels were delivered before; set once it is in its log
}

// frameOverhead is what a frame costs beside its bytes: its place in the ring
// and the allocator's rounding.
const frameOverhead = 96

func (f *frame) cost() int64 { return int64(len(f.bytes)) + frameOverhead }

// message returns the message's JSON.
func (f *frame) message() json.RawMessage { return f.bytes[f.json : len(f.bytes)-2] }

// line returns the message as one line of JSON with its line feed: it is a part
// of the event, so both formats share the bytes.
func (f *frame) line() []byte { return f.bytes[f.json : len(f.bytes)-1] }

// in returns the frame's bytes in the given format.
func (f *frame) in(format Format) []byte {
	if format == NDJSON {
		return f.line()
	}
	return f.bytes
}

// eventBytes returns how long the event of m is if its id has idBytes.
func eventBytes(m *schemas.Message, idBytes int) int {
	n := len("id: \nevent: \ndata: \n\n") +
		len(`{"id":"","channel":"","topic":"","kind":"","data":,"created_at":"2006-01-02T15:04:05.000Z"}`) +
		2*idBytes + len(m.Channel) + 2*len(m.Topic) + len(m.Kind) + len(m.Data)
	if m.RunID != "" {
		n += len(`,"run_id":""`) + len(m.RunID) + strings.Count(m.RunID, `"`) + strings.Count(m.RunID, `\`)
	}
	if m.StreamID != "" {
		n += len(`,"stream_id":""`) + len(m.StreamID)
	}
	return n
}

// encodeFrame builds the event of m in one allocation of size bytes. The names
// in m have been parsed and its data is compact JSON, so nothing in it can hold
// a line feed: this is what keeps one message from posing as two events.
func encodeFrame(m *schemas.Message, mark *topicMark, size int) frame {
	b := make([]byte, 0, size)
	b = append(b, "id: "...)
	b = m.ID.Append(b)
	b = append(b, "\nevent: "...)
	b = append(b, m.Topic...)
	b = append(b, "\ndata: "...)
	start := len(b)
	b = m.AppendJSON(b)
	b = append(b, "\n\n"...)
	return frame{seq: m.ID.Seq, at: int64(m.CreatedAt), mark: mark, kind: m.Kind, bytes: b, json: start}
}

// Control events: Sluice's own, named with a dollar sign.
const (
	eventOpen     = "$open"
	eventGap      = "$gap"
	eventClose    = "$close"
	eventPosition = "$position"
)

// reconnectMillis is the reconnection time that a stream tells its client.
const reconnectMillis = 1000

type openData struct {
	ID        string            `json:"id"`
	Resumed   bool              `json:"resumed"`
	Channels  []schemas.Pattern `json:"channels"`
	ExpiresAt *schemas.Time     `json:"expires_at,omitempty"`
}

type gapData struct {
	Channel   schemas.Pattern `json:"channel"`
	After     string          `json:"after"`
	ResumesAt *string         `json:"resumes_at"`
	Reason    gapReason       `json:"reason"`
}

// gapReason tells why messages are lost.
type gapReason string

const (
	gapNone      gapReason = ""          // they are not lost: the engine has them
	gapOverrun   gapReason = "overrun"   // the buffer was too short
	gapExpired   gapReason = "expired"   // they grew too old, or the channel was deleted
	gapRestarted gapReason = "restarted" // the id is of another life of the log
)

type closeData struct {
	Code       int             `json:"code"`
	Reason     string          `json:"reason"`
	Reconnect  bool            `json:"reconnect"`
	RetryAfter int64           `json:"retry_after_ms,omitempty"`
	Channel    schemas.Channel `json:"channel,omitempty"`
}

// control is a control event on its way to one stream.
type control struct {
	event string
	id    string // "" for none
	retry int64  // milliseconds; 0 for none. Never without data: some clients make an event of it
	data  any
}

// encode returns the event in the given format. In NDJSON a control event is
// one object with the members event and data.
func (c control) encode(format Format) []byte {
	data, err := json.Marshal(c.data)
	if err != nil {
		panic("broker: control event does not marshal: " + err.Error()) // only our own structs come here
	}
	var b []byte
	if format == NDJSON {
		b = append(b, `{"event":"`...)
		b = append(b, c.event...)
		b = append(b, `","data":`...)
		b = append(b, data...)
		return append(b, "}\n"...)
	}
	if c.retry > 0 {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, c.retry, 10)
		b = append(b, '\n')
	}
	if c.id != "" {
		b = append(b, "id: "...)
		b = append(b, c.id...)
		b = append(b, '\n')
	}
	b = append(b, "event: "...)
	b = append(b, c.event...)
	b = append(b, "\ndata: "...)
	b = append(b, data...)
	return append(b, "\n\n"...)
}

// reframed returns the event of f under another id: the position of a stream that
// is told an older message, so that a position never moves backwards, or of one
// over several shards.
func (f *frame) reframed(id string, format Format) []byte {
	if format == NDJSON {
		return f.line()
	}
	b := make([]byte, 0, len(f.bytes)+len(id))
	b = append(b, "id: "...)
	b = append(b, id...)
	b = append(b, "\nevent: "...)
	b = append(b, f.mark.name...)
	b = append(b, "\ndata: "...)
	return append(b, f.bytes[f.json:]...)
}

// heartbeat is what keeps a quiet connection alive. One line feed and no blank
// line: with one, some clients report an empty event.
func heartbeat(format Format) []byte {
	if format == NDJSON {
		return []byte("\n")
	}
	return []byte(":\n")
}

// Format is how a stream's events are written.
type Format uint8

// The formats of a stream.
const (
	SSE    Format = iota // Server-Sent Events, the default
	NDJSON               // one JSON object a line
)

// String returns "sse" or "ndjson".
func (f Format) String() string {
	if f == NDJSON {
		return "ndjson"
	}
	return "sse"
}

// timePtr returns t on the wire, nil for the zero time.
func timePtr(t time.Time) *schemas.Time {
	if t.IsZero() {
		return nil
	}
	w := schemas.TimeOf(t)
	return &w
}
