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
	if err := b.accepting(ctx); err != nil {
		return schemas.Receipt{}, err
	}
	if !change.Status.valid() {
		return schemas.Receipt{}, fmt.Errorf("%w: %q is none of running, completed, failed, cancelled", ErrBadRunStatus, change.Status)
	}
	p := Publication{
		Channel: name, Topic: schemas.TopicRun, Kind: schemas.KindRun,
		Data: change.encode(), RunID: change.RunID, Limits: limits, change: &change,
	}
	return b.put(ctx, &p)
}

// follow checks whether the change of p may come after the run r, which may be
// nil, and gives it the run's id when it names none. It returns r if the change
// would repeat its final status.
func (b *Broker) follow(r *run, p *Publication) (same *run, err error) {
	if r == nil {
		return nil, nil
	}
	change := p.change
	if change.RunID == "" && r.change.RunID != "" {
		change.RunID = r.change.RunID
		p.RunID, p.Data = change.RunID, change.encode()
	}
	switch {
	case change.RunID != r.change.RunID || !r.change.Status.final():
		return nil, b.fits(p) // with the run id
	case change.Status == r.change.Status:
		return r, nil
	default:
		return nil, fmt.Errorf("%w: it is %s, so it cannot become %s", ErrRunFinished, r.change.Status, change.Status)
	}
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

// receipt returns the receipt of r for one who sets the same status again; none
// if r is nil.
func (r *run) receipt(name schemas.Channel) schemas.Receipt {
	if r == nil {
		return schemas.Receipt{}
	}
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
