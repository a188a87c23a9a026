package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Event is one event on the wire: a message, or a control event, whose name begins with a
// dollar sign. At most one of Message, Open, Gap, Presence and Close is set. None of them is for
// $position, which only moves the position, and for control events that this version does
// not know.
type Event struct {
	Name string // the topic, or the control event's name
	ID   string // the position after this event, to resume from; opaque
	Data json.RawMessage

	Message  *schemas.Message
	Open     *Open
	Gap      *Gap
	Presence *PresenceEvent // if [schemas.TopicPresence] is among the topics of the subscription
	Close    *Close
}

// Open begins every connection of a subscription.
type Open struct {
	ID        string     `json:"id"`      // the position at which the stream starts
	Resumed   bool       `json:"resumed"` // it starts right after the last event id
	Channels  []string   `json:"channels"`
	ExpiresAt *time.Time `json:"expires_at"` // of the token; nil: the credential does not expire

	// HeartbeatMS is the interval of the server's heartbeats, 0 if it is unknown. See
	// [WithHeartbeat].
	HeartbeatMS int64 `json:"heartbeat_ms"`
}

// Gap says that this subscription has lost the messages after an id for good.
type Gap struct {
	Channel   string `json:"channel"`
	After     string `json:"after"`      // the requested id
	ResumesAt string `json:"resumes_at"` // the id from which nothing is missing; "" if it is not known yet
	Reason    string `json:"reason"`     // overrun, expired or restarted
}

// Close says why the server ends the stream, and whether to reconnect, which
// [Client.Events] and [Client.Subscribe] do by themselves.
type Close struct {
	Code         int    `json:"code"`
	Reason       string `json:"reason"`
	Reconnect    bool   `json:"reconnect"`
	RetryAfterMS int64  `json:"retry_after_ms"`
}

// CloseError ends a subscription that the server has closed for good: its token was revoked
// (4401), an administrator disconnected it (4403) or its channel was deleted (4410).
type CloseError struct{ Close }

// Error returns the close code and its reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("the server closed the stream: %d %s", e.Code, e.Reason)
}

// EventError says that an event cannot be read: it is larger than [MaxEventBytes], its JSON
// is nested deeper than encoding/json accepts, or something between here and the server
// has damaged it. The loop goes on without the event, which would be the same on every
// later connection.
type EventError struct {
	// Event has its Name and ID (the position after it), and its Data unless it was too
	// long.
	Event Event
	Err   error // the cause, such as [ErrEventTooLong]
}

// Error names the event, its position and the cause.
func (e *EventError) Error() string {
	return fmt.Sprintf("event %q at %s cannot be read: %v", e.Event.Name, e.Event.ID, e.Err)
}

// Unwrap returns the cause.
func (e *EventError) Unwrap() error { return e.Err }

// errNoObject is the cause of an [*EventError].
var errNoObject = errors.New("client: its data is not an object")

// eventOf decodes a block with data, which is always a JSON object. If it fails, the event
// has its name, and its data unless that was too long.
func eventOf(b block) (Event, error) {
	if b.long {
		return Event{Name: b.event}, ErrEventTooLong
	}
	e := Event{Name: b.event, Data: b.data}
	var target any
	switch e.Name {
	case "$open":
		e.Open = new(Open)
		target = e.Open
	case "$gap":
		e.Gap = new(Gap)
		target = e.Gap
	case string(schemas.TopicPresence):
		e.Presence = new(PresenceEvent)
		target = e.Presence
	case "$close":
		e.Close = new(Close)
		target = e.Close
	default:
		if strings.HasPrefix(e.Name, "$") && e.Name != string(schemas.TopicRun) {
			return e, nil // of a later version
		}
		e.Message = new(schemas.Message)
		target = e.Message
	}
	err := errNoObject
	if b.data[0] == '{' {
		err = json.Unmarshal(b.data, target)
	}
	if err != nil {
		return Event{Name: b.event, Data: b.data}, err
	}
	return e, nil
}
