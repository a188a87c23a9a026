package client

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/schemas"
)

// RunStatus is the status of a run.
type RunStatus = schemas.RunStatus

// The statuses of a run. All but running are final.
const (
	RunRunning   = schemas.RunRunning
	RunCompleted = schemas.RunCompleted
	RunFailed    = schemas.RunFailed
	RunCancelled = schemas.RunCancelled
)

// RunState is the state of the job that a channel reports on.
type RunState struct {
	Status RunStatus `json:"status"`
	RunID  string    `json:"run_id,omitempty"` // "" for the current run
	Result any       `json:"result,omitempty"` // encoded as JSON
	Error  any       `json:"error,omitempty"`  // encoded as JSON
}

// SetRun publishes a change of the run's status to all subscribers of the channel,
// including later ones. A final status cannot change: the same status again returns the
// first receipt with Duplicate set, another status is a [*Problem] with status 409.
// Transient failures are retried, see [WithRetries].
func (c *Client) SetRun(ctx context.Context, channel string, state RunState) (schemas.Receipt, error) {
	r := request{method: http.MethodPut, path: runPath, query: url.Values{"channel": {channel}}, repeat: ifTransient}
	var receipt schemas.Receipt
	err := c.callJSON(ctx, r, state, &receipt)
	return receipt, err
}

// Run is a job that reports on a channel and may be run again from the beginning after a
// crash: what it publishes under the id of a step is published once. Make one with
// [Client.Run]. It holds only names.
type Run struct {
	client  *Client
	channel string
	id      string
	attempt int64 // 0: one more than the latest that the server knows
}

// Run returns the run with the given id on a channel. It makes no request. The id is that of
// the job in your system, and stays the same when the job is run again.
func (c *Client) Run(channel, runID string) Run { return Run{client: c, channel: channel, id: runID} }

// Channel returns the name of the channel that the run reports on.
func (r Run) Channel() string { return r.channel }

// ID returns the id of the run.
func (r Run) ID() string { return r.id }

// WithAttempt returns the same run with the number of the attempt at it, from 1, which counts
// for its texts ([Run.PublishStream]). It must be higher than those before.
func (r Run) WithAttempt(n int64) Run {
	r.attempt = n
	return r
}

// Start sets the status to running. If the run has already ended, it returns a [*Problem]
// with status 409.
func (r Run) Start(ctx context.Context) (schemas.Receipt, error) {
	return r.set(ctx, RunState{Status: RunRunning})
}

// Complete sets the status to completed. The result is encoded as JSON; nil is left out.
// Like every final status, it cannot change, see [Client.SetRun].
func (r Run) Complete(ctx context.Context, result any) (schemas.Receipt, error) {
	return r.set(ctx, RunState{Status: RunCompleted, Result: result})
}

// Fail sets the status to failed. Subscribers get the text of cause, or its JSON if it is a
// [json.Marshaler]; nil is left out.
func (r Run) Fail(ctx context.Context, cause error) (schemas.Receipt, error) {
	state := RunState{Status: RunFailed}
	if marshaler, ok := any(cause).(json.Marshaler); ok {
		state.Error = marshaler
	} else if cause != nil {
		state.Error = cause.Error()
	}
	return r.set(ctx, state)
}

// Cancel sets the status to cancelled.
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

// Publish publishes data durably, as a step of the run. The first call with this run and
// step on the topic publishes. Every later one, from any process and with any data,
// returns the first receipt with Duplicate set. The server remembers the step for 24
// hours by default, but with the memory engine not beyond a restart.
//
// Transient failures are retried, see [WithRetries]. After any error you can simply call
// it again. It returns [ErrNoID], a [*Problem], and the errors of [Client.Publish].
func (r Run) Publish(ctx context.Context, stepID, topic string, data any) (schemas.Receipt, error) {
	if r.id == "" || stepID == "" {
		return schemas.Receipt{}, ErrNoID
	}
	return r.client.Publish(ctx, r.channel, topic, data, IdempotencyKey(stepKey(r.id, stepID)), RunID(r.id))
}

// PublishStream publishes text as a step of the run, as [Client.PublishStream] does. Once the
// text of this run and step is complete on the topic, later calls, from any process, read
// nothing and return its receipt with Duplicate set, for as long as the server remembers it.
// Before that, a later call replaces what an earlier one has published: readers see the text
// begin again, and the earlier call gets [ErrSuperseded].
//
// The attempt is that of [Run.WithAttempt], by default one more than the latest that the
// server knows. It returns [ErrNoID] and the errors of Client.PublishStream.
func (r Run) PublishStream(ctx context.Context, stepID, topic string, text io.Reader) (StreamReceipt, error) {
	if r.id == "" || stepID == "" {
		return StreamReceipt{}, ErrNoID
	}
	u, err := r.client.upload(r.channel, topic, []PublishOption{RunID(r.id), StreamID(stepStreamID(r.id, stepID))})
	if err != nil {
		return StreamReceipt{}, err
	}
	var known textStatus
	err = r.client.retry(ctx, ifTransient, func() (err error) {
		known, err = r.client.textStatus(ctx, u.request.query)
		return err
	})
	switch {
	case err != nil:
		return StreamReceipt{}, err
	case known.state == textComplete:
		return u.repeat(ctx, known)
	}
	u.text.attempt = cmp.Or(r.attempt, known.attempt+1)
	return u.run(ctx, text)
}
