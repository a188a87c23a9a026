package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Event is what comes over a stream, as it stands on the wire: a message, or a control event whose
// name begins with a dollar sign. At most one of Message, Open, Gap and Close is
// set; none is for $position, which only moves the position, and for control
// events that this version does not know.
type Event struct {
	Name string // the topic, or the control event's name
	ID   string // the position after this event, to resume from; opaque
	Data json.RawMessage

	Message *schemas.Message
	Open    *Open
	Gap     *Gap
	Close   *Close
}

// Open begins every connection of a subscription.
type Open struct {
	ID        string     `json:"id"`      // the position at which the stream starts
	Resumed   bool       `json:"resumed"` // it starts right after the last event id
	Channels  []string   `json:"channels"`
	ExpiresAt *time.Time `json:"expires_at"` // of the token; nil: the credential does not expire
}

// Gap says that messages after an id are lost to this subscription for good.
type Gap struct {
	Channel   string `json:"channel"`
	After     string `json:"after"`      // the id that was asked for
	ResumesAt string `json:"resumes_at"` // the id from which on nothing is missing; "": not known yet
	Reason    string `json:"reason"`     // overrun, expired or restarted
}

// Close says why the server ends the stream, and whether to come again, which
// [Client.Events] and [Client.Subscribe] then do by themselves.
type Close struct {
	Code         int    `json:"code"`
	Reason       string `json:"reason"`
	Reconnect    bool   `json:"reconnect"`
	RetryAfterMS int64  `json:"retry_after_ms"`
}

// CloseError is how a subscription ends when the server closed it for good: its
// token was revoked (4401), it was disconnected by an administrator (4403) or its
// channel was deleted (4410).
type CloseError struct{ Close }

// Error returns the close code and its reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("the server closed the stream: %d %s", e.Code, e.Reason)
}

// eventOf decodes a block with data, which is always a JSON object: an error
// means that something between here and the server spoilt it, or that there is
// no Sluice server.
func eventOf(b block) (Event, error) {
	e := Event{Name: b.event, Data: b.data}
	var target any
	switch e.Name {
	case "$open":
		e.Open = new(Open)
		target = e.Open
	case "$gap":
		e.Gap = new(Gap)
		target = e.Gap
	case "$close":
		e.Close = new(Close)
		target = e.Close
	default:
		if strings.HasPrefix(e.Name, "$") && e.Name != string(schemas.TopicRun) {
			target = new(map[string]json.RawMessage)
			break
		}
		e.Message = new(schemas.Message)
		target = e.Message
	}
	if b.data[0] != '{' {
		return Event{}, fmt.Errorf("%w: its data is not an object", errBroken)
	}
	if err := json.Unmarshal(b.data, target); err != nil {
		return Event{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	return e, nil
}
