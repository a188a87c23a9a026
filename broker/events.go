package broker

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// Control events are Sluice's own. Their names begin with a dollar sign.
const (
	eventOpen     = "$open"
	eventGap      = "$gap"
	eventClose    = "$close"
	eventPosition = "$position"
	eventLive     = "$live"
)

// reconnectMillis is the reconnection time that a stream sends its client.
const reconnectMillis = 1000

type openData struct {
	ID        string            `json:"id"`
	Resumed   bool              `json:"resumed"`
	Channels  []schemas.Pattern `json:"channels"`
	ExpiresAt *schemas.Time     `json:"expires_at,omitempty"`
	Heartbeat int64             `json:"heartbeat_ms"` // the longest silence: after more than that, the connection is dead
}

type gapData struct {
	Channel   schemas.Pattern `json:"channel"`
	After     string          `json:"after"`
	ResumesAt *string         `json:"resumes_at"`
	Reason    ring.GapReason  `json:"reason"`
}

type closeData struct {
	Code       int             `json:"code"`
	Reason     string          `json:"reason"`
	Reconnect  bool            `json:"reconnect"`
	RetryAfter int64           `json:"retry_after_ms,omitempty"`
	Channel    schemas.Channel `json:"channel,omitempty"`
}

// control is a control event for one stream.
type control struct {
	event string
	id    string // "" for none
	retry int64  // milliseconds; 0 for none. Never without data, which some clients report as an event
	data  any
}

// encode returns the event in the given format. In [ring.NDJSON] a control event is one
// object with the members event and data.
func (c control) encode(format ring.Format) []byte {
	data, err := json.Marshal(c.data)
	if err != nil {
		panic("broker: control event does not marshal: " + err.Error()) // only our own structs get here
	}
	var b []byte
	if format.Lines() {
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

// timePtr returns t for the wire, nil for the zero time.
func timePtr(t time.Time) *schemas.Time {
	if t.IsZero() {
		return nil
	}
	w := schemas.TimeOf(t)
	return &w
}

// Batch is what a stream has to write next. Other streams share the slices: they must
// not be modified.
type Batch struct {
	Events   [][]byte
	Messages int // how many of Events are messages

	sample
	measured bool // it will be measured, so the cursors fill in the sample
	lagged   bool // its reader was not there at its turn
}

func (b *Batch) add(event []byte) { b.Events = append(b.Events, event) }

func (b *Batch) addMessage(event []byte) {
	b.add(event)
	b.Messages++
}

func (b *Batch) reset() {
	clear(b.Events)
	b.Events, b.Messages = b.Events[:0], 0
	b.sample = sample{}
}

// A batch is bounded, so that a burst on one stream delays neither its own heartbeat
// and end nor other streams.
const (
	maxBatchBytes    = 256 << 10
	maxBatchMessages = 1024
)

// heartbeat returns what keeps a quiet connection alive. In [ring.SSE] that is one line
// feed and no blank line, which some clients would report as an empty event.
func heartbeat(format ring.Format) []byte {
	if format.Lines() {
		return []byte("\n")
	}
	return []byte(":\n")
}
