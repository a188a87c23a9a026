package broker

import (
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// Entry is a message on its way into an engine.
type Entry struct {
	// Message has neither ID nor CreatedAt yet. Its data belongs to the caller of
	// Append.
	schemas.Message
	Key    string // of a durable publish; "": an ordinary one
	Limits Limits // of what is kept of the channel; all set

	change *RunChange // of a run message
	size   int        // of its event, bytes
	most   int        // that its event may have
}

// Follow checks whether the run message e may come after the latest one of its
// channel, nil for none, and fills in the run that is meant if e names none. It
// does nothing for other messages.
//
// If e would repeat a final status, it returns the first receipt, and nothing is
// to be published. Errors: [ErrRunFinished], [ErrTooLarge].
func (e *Entry) Follow(latest *schemas.Message) (first *schemas.Receipt, err error) {
	if e.change == nil || latest == nil {
		return nil, nil
	}
	was, err := runChangeOf(latest)
	if err != nil {
		return nil, err
	}
	same, err := e.follow(&was)
	if !same || err != nil {
		return nil, err
	}
	r := receiptOf(latest)
	r.Duplicate = true
	return &r, nil
}

// follow is Follow for what is known of the latest run message. same is whether e
// would repeat its final status.
func (e *Entry) follow(was *RunChange) (same bool, err error) {
	if e.change.RunID == "" && was.RunID != "" {
		before := len(e.Data)
		e.change.RunID = was.RunID
		e.RunID, e.Data = was.RunID, e.change.encode()
		e.size += len(e.Data) - before + eventBytes(&schemas.Message{RunID: e.RunID}, 0) - eventBytes(&schemas.Message{}, 0)
	}
	switch {
	case e.change.RunID != was.RunID || !was.Status.final():
		return false, e.fits()
	case e.change.Status == was.Status:
		return true, nil
	default:
		return false, fmt.Errorf("%w: it is %s, so it cannot become %s", ErrRunFinished, was.Status, e.change.Status)
	}
}

// fits returns [ErrTooLarge] if the event would be too long.
func (e *Entry) fits() error {
	if e.size > e.most {
		return fmt.Errorf("%w: its event has %d bytes, at most %d are allowed", ErrTooLarge, e.size, e.most)
	}
	return nil
}

// receiptOf returns the receipt of the one who published m.
func receiptOf(m *schemas.Message) schemas.Receipt {
	return schemas.Receipt{ID: m.ID, Channel: m.Channel, Topic: m.Topic, Kind: m.Kind, CreatedAt: m.CreatedAt}
}

// runChangeOf returns the change that a run message tells of.
func runChangeOf(m *schemas.Message) (RunChange, error) {
	var change RunChange
	if err := json.Unmarshal(m.Data, &change); err != nil {
		return change, fmt.Errorf("broker: the run status that is kept of %s: %w", m.Channel, err)
	}
	return change, nil
}
