package client

import (
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// Message is a message from [Client.Subscribe].
type Message struct {
	schemas.Message

	// Position is the position of the subscription after this message, from which
	// [Subscription.LastEventID] resumes. It is opaque.
	Position string `json:"-"`
}

// MessageOf is a message with decoded data.
type MessageOf[T any] struct {
	Message // its Data is the JSON from the wire

	// Data is the decoded data of a message of kind data, else the zero value.
	Data T
}

// Run returns the run status in m, and false if m is of another kind. Result and Error are
// of type [json.RawMessage].
func (m *Message) Run() (RunState, bool) {
	if m.Kind != schemas.KindRun {
		return RunState{}, false
	}
	change, err := schemas.ParseRunChange(&m.Message)
	if err != nil {
		return RunState{}, false
	}
	state := RunState{Status: change.Status, RunID: change.RunID}
	if change.Result != nil { // a nil RawMessage in an interface would be encoded as null
		state.Result = change.Result
	}
	if change.Error != nil {
		state.Error = change.Error
	}
	return state, true
}

// GapError says that messages are lost for good. The loop goes on.
type GapError struct{ Gap }

// Error names the channel, the last id before the gap and the reason.
func (e *GapError) Error() string {
	return fmt.Sprintf("messages of %s after %s are lost: %s", e.Channel, e.After, e.Reason)
}

// DecodeError says that the data of a message does not fit the topic's Go type. The loop
// goes on.
type DecodeError struct {
	Message Message // as it arrived
	Err     error   // of encoding/json
}

// Error names the message by its id, and the cause.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("message %s of topic %s does not decode: %v", e.Message.ID, e.Message.Topic, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }
