package client

import (
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// Message is what [Client.Subscribe] hands over.
type Message struct {
	schemas.Message

	// Position is where the subscription stands after this message, to go on from
	// as [Subscription.LastEventID]; opaque.
	Position string `json:"-"`
}

// MessageOf is a message whose data was decoded.
type MessageOf[T any] struct {
	Message // its Data is what stood on the wire

	// Data is the decoded data of a message of kind data; else the zero value.
	Data T
}

// Run returns the run status that m tells of; false if it is of another kind.
// Result and Error of the state are [json.RawMessage].
func (m *Message) Run() (RunState, bool) {
	if m.Kind != schemas.KindRun {
		return RunState{}, false
	}
	var data struct {
		Status RunStatus       `json:"status"`
		RunID  string          `json:"run_id"`
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &data); err != nil {
		return RunState{}, false
	}
	state := RunState{Status: data.Status, RunID: data.RunID}
	if data.Result != nil { // a nil RawMessage in an interface would be encoded as null
		state.Result = data.Result
	}
	if data.Error != nil {
		state.Error = data.Error
	}
	return state, true
}

// GapError says, in a loop that goes on, that messages are lost for good.
type GapError struct{ Gap }

// Error names the channel, the last id before the gap and the reason.
func (e *GapError) Error() string {
	return fmt.Sprintf("messages of %s after %s are lost: %s", e.Channel, e.After, e.Reason)
}

// DecodeError says, in a loop that goes on, that the data of a message is not
// what the topic's Go type can hold.
type DecodeError struct {
	Message Message // as it came
	Err     error   // of encoding/json
}

// Error names the message by its id, and the cause.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("message %s of topic %s does not decode: %v", e.Message.ID, e.Message.Topic, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }
