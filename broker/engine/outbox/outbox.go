// Package outbox is the contract between the engines and whoever tells others of what has
// happened: which runs have ended, and which channels have got readers or lost them.
//
// An engine stores the end of a run together with the run message, so that it is in the
// outbox if, and only if, it has happened. An event stays there until it is settled. One
// node of a service takes events out at a time: the one that leads. If it ends, another one
// leads and finds what was not settled. So an event may be taken out twice, under the same
// id, and none is lost.
//
// The package does not know to whom events are sent, and how.
package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

var errBadEvent = errors.New("outbox: not an event")

// Type says what has happened.
type Type string

// The types of events.
const (
	ChannelOccupied Type = "channel.occupied" // a channel has got its first reader
	ChannelVacated  Type = "channel.vacated"  // a channel has had no reader for a while
	RunCompleted    Type = "run.completed"
	RunFailed       Type = "run.failed"
	RunCancelled    Type = "run.cancelled"
)

// Types returns all types.
func Types() []Type {
	return []Type{ChannelOccupied, ChannelVacated, RunCompleted, RunFailed, RunCancelled}
}

// Event is something that has happened to a channel. Its JSON is how it is stored, and must
// stay readable.
type Event struct {
	// ID names the event. Its Seq is the position in the outbox: positions only grow, in
	// the order in which the events of a channel happened. The store sets it.
	ID      schemas.ID      `json:"-"`
	Type    Type            `json:"type"`
	Channel schemas.Channel `json:"channel"`
	At      schemas.Time    `json:"at"`

	// Of the end of a run.
	Message schemas.ID         `json:"message,omitzero"` // the run message
	Run     *schemas.RunChange `json:"run,omitempty"`
	Sub     string             `json:"sub,omitempty"` // subject of the publisher's token

	// Through names those who are through with the event already.
	Through []string `json:"-"`
}

// OfRun returns the event of a run message. It reports false if the run goes on.
func OfRun(m *schemas.Message, change *schemas.RunChange) (Event, bool) {
	if change == nil || !change.Status.Final() {
		return Event{}, false
	}
	own := *change // the caller's may change
	own.Result, own.Error = bytes.Clone(own.Result), bytes.Clone(own.Error)
	return Event{
		Type: Type("run." + string(own.Status)), Channel: m.Channel, At: m.CreatedAt, Message: m.ID, Run: &own, Sub: m.Sub,
	}, true
}

// Encode returns the event as it is stored, without ID and Through.
func (e *Event) Encode() []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic("outbox: event does not marshal: " + err.Error())
	}
	return text
}

// Decode undoes [Event.Encode].
func Decode(text []byte) (e Event, err error) {
	if err := json.Unmarshal(text, &e); err != nil {
		return Event{}, fmt.Errorf("%w: %w", errBadEvent, err)
	}
	if e.Type == "" || e.Channel == "" {
		return Event{}, errBadEvent
	}
	return e, nil
}

// Outcome says that somebody is through with an event.
type Outcome struct {
	Position uint64
	// By is who is through with it; "" if everybody is, and the event can be forgotten.
	By string
}

// Store is an outbox. Its methods are safe for concurrent use. Those with a context return
// its error when it ends, and that of the engine when it cannot do its work.
type Store interface {
	// Lead returns once this node is the one that takes events out, and a context that ends
	// when it is not any more. The caller calls resign once, when it takes out no more.
	Lead(ctx context.Context) (leading context.Context, resign func(), err error)

	// Occupied returns the channels that were last said to be occupied, see Add.
	Occupied(ctx context.Context) ([]schemas.Channel, error)

	// Read returns events after a position, the oldest first, and none if there are no
	// more. It may return fewer than limit though there are more. Only the node that leads
	// reads.
	Read(ctx context.Context, after uint64, limit int) ([]Event, error)
	// News receives something when there may be more to read.
	News() <-chan struct{}

	// Settle notes what became of events. It can be repeated.
	Settle(ctx context.Context, outcomes []Outcome) error

	// Add stores an event, or nothing if it returns an error. Together with
	// [ChannelOccupied] and [ChannelVacated] it stores which channels are occupied. Ends of
	// runs are added by engines themselves.
	Add(ctx context.Context, e Event) error
}
