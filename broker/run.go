package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// RunStatus is where the job stands that a channel reports on.
type RunStatus string

// The statuses of a run. All but running are final.
const (
	RunRunning   RunStatus = "running"
	RunCompleted RunStatus = "completed"
	RunFailed    RunStatus = "failed"
	RunCancelled RunStatus = "cancelled"
)

func (s RunStatus) valid() bool {
	return s == RunRunning || s.final()
}

func (s RunStatus) final() bool {
	return s == RunCompleted || s == RunFailed || s == RunCancelled
}

// RunChange is a change of a run's status, and the data of the message that
// tells of it.
type RunChange struct {
	Status RunStatus       `json:"status"`
	RunID  string          `json:"run_id,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// SetRun publishes a change of the channel's run status on [schemas.TopicRun].
//
// A final status stays: the same one again publishes nothing and returns the
// first receipt, marked as a duplicate; another one is [ErrRunFinished]. A new
// run id starts over; without one, the run that is known is meant.
//
// Errors: [ErrBadRunStatus], [ErrRunFinished], and those of [Broker.Publish].
func (b *Broker) SetRun(ctx context.Context, name schemas.Channel, change RunChange, limits Limits) (schemas.Receipt, error) {
	if !change.Status.valid() {
		return schemas.Receipt{}, fmt.Errorf("%w: %q is none of running, completed, failed, cancelled", ErrBadRunStatus, change.Status)
	}
	e := Entry{
		Message: schemas.Message{
			Channel: name, Topic: schemas.TopicRun, Kind: schemas.KindRun, Data: change.encode(), RunID: change.RunID,
		},
		Limits: limits, change: &change,
	}
	return b.hand(ctx, e)
}

// encode returns the change as compact JSON. Result and Error are valid and
// compact already, and stay byte for byte what they are.
func (change *RunChange) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(change); err != nil {
		panic("broker: run change does not marshal: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// run is the latest run status of a channel. Its frame outlives the ring.
type run struct {
	frame  frame
	change RunChange
	id     schemas.ID
}

// receipt returns the receipt of r for one who sets the same status again.
func (r *run) receipt(name schemas.Channel) schemas.Receipt {
	return schemas.Receipt{
		ID: r.id, Channel: name, Topic: schemas.TopicRun, Kind: schemas.KindRun,
		CreatedAt: schemas.Time(r.frame.at), Duplicate: true,
	}
}

// setRun makes r the latest status and returns how many bytes the channel grew
// by. The caller holds c.mu.
func (c *channel) setRun(r *run) (grown int64) {
	if c.run != nil {
		grown -= c.run.frame.cost()
	}
	c.run = r
	return grown + r.frame.cost()
}
