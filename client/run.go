package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/schemas"
)

// ErrNoID is returned when a [Run] or a step of it has no id: it could not be
// told from another one.
var ErrNoID = errors.New("client: a run and its steps need ids")

// RunStatus is where a run stands.
type RunStatus string

// The statuses of a run. All but running are final.
const (
	RunRunning   RunStatus = "running"
	RunCompleted RunStatus = "completed"
	RunFailed    RunStatus = "failed"
	RunCancelled RunStatus = "cancelled"
)

// Final reports whether nothing comes after s.
func (s RunStatus) Final() bool {
	return s == RunCompleted || s == RunFailed || s == RunCancelled
}

// RunState is a state of the job that a channel reports on.
type RunState struct {
	Status RunStatus `json:"status"`
	RunID  string    `json:"run_id,omitempty"` // "": the run that the server knows
	Result any       `json:"result,omitempty"` // encoded as JSON
	Error  any       `json:"error,omitempty"`  // encoded as JSON
}

// SetRun publishes a change of the run's status to every subscriber of the
// channel, and to those who come later. A final status stays: the same one again
// gets the first receipt with Duplicate set, another one is a [*Problem] with
// status 409. What fails in passing is tried again, see [WithRetries].
func (c *Client) SetRun(ctx context.Context, channel string, state RunState) (schemas.Receipt, error) {
	r := request{method: http.MethodPut, path: "/v1/channels/" + url.PathEscape(channel) + "/run", repeat: ifPassing}
	var receipt schemas.Receipt
	err := c.callJSON(ctx, r, state, &receipt)
	return receipt, err
}

// Run is a job that reports on a channel and that may be run again from its
// beginning after a crash: what it says under the id of a step is published once.
// Make one with [Client.Run]. It holds nothing but the names.
type Run struct {
	client  *Client
	channel string
	id      string
}

// Run returns the run of that id on a channel. It makes no request. The id is
// that of the job in your system, the same whenever it is run again.
func (c *Client) Run(channel, runID string) Run { return Run{c, channel, runID} }

// Channel returns the name of the channel that the run reports on.
func (r Run) Channel() string { return r.channel }

// ID returns the id of the run.
func (r Run) ID() string { return r.id }

// Start says that the run is under way. For one that has come to its end it is a
// [*Problem] with status 409.
func (r Run) Start(ctx context.Context) (schemas.Receipt, error) {
	return r.set(ctx, RunState{Status: RunRunning})
}

// Complete says that the run has come to its end; result is encoded as JSON, nil
// is left out. As every final status it stays, see [Client.SetRun].
func (r Run) Complete(ctx context.Context, result any) (schemas.Receipt, error) {
	return r.set(ctx, RunState{Status: RunCompleted, Result: result})
}

// Fail says that the run has failed. Subscribers see the text of cause, or its
// JSON if it is a [json.Marshaler]; nil is left out.
func (r Run) Fail(ctx context.Context, cause error) (schemas.Receipt, error) {
	state := RunState{Status: RunFailed}
	if marshaler, ok := any(cause).(json.Marshaler); ok {
		state.Error = marshaler
	} else if cause != nil {
		state.Error = cause.Error()
	}
	return r.set(ctx, state)
}

// Cancel says that the run was given up.
func (r Run) Cancel(ctx context.Context) (schemas.Receipt, error) {
	return r.set(ctx, RunState{Status: RunCancelled})
}

func (r Run) set(ctx context.Context, state RunState) (schemas.Receipt, error) {
	if r.id == "" {
		return schemas.Receipt{}, ErrNoID
	}
	state.RunID = r.id
	return r.client.SetRun(ctx, r.channel, state)
}

// Publish publishes data durably, as a step of the run: the first call with this
// run and step on the topic publishes, every later one, also of another process,
// gets the first one's receipt with Duplicate set, whatever its data. How long
// the server remembers is its engine's promise: 24 hours unless configured
// otherwise, and not beyond a restart with the memory engine.
//
// What fails in passing is tried again, see [WithRetries]. After any error the
// call may simply be made again. It returns [ErrNoID], a [*Problem], and the
// errors of [Client.Publish].
func (r Run) Publish(ctx context.Context, stepID, topic string, data any) (schemas.Receipt, error) {
	if r.id == "" || stepID == "" {
		return schemas.Receipt{}, ErrNoID
	}
	return r.client.Publish(ctx, r.channel, topic, data, IdempotencyKey(stepKey(r.id, stepID)), RunID(r.id))
}
