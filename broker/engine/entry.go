package engine

import (
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// Entry is a message on its way into an engine.
type Entry struct {
	// Message has no ID and CreatedAt yet. Its data belongs to the caller of
	// [Engine.Append].
	schemas.Message
	Key    string             // of a durable publish; "" for an ordinary one
	Limits Limits             // of the channel; all set
	Run    *schemas.RunChange // the change that a run message carries; nil for other messages
	// Placed, if set, may be called once while Append runs, when the entry has its place: what is
	// appended afterwards gets a later position. An engine that commits
	// entries in groups calls it, so that its caller can append the next one to the same group.
	Placed func()
	Fence  uint64 // of a piece: the revision that the record of its text must have, see [Text]; 0: any

	EventBytes    int // length of the message's event
	MaxEventBytes int // greatest length that its event may have
}

// CheckRun checks whether the run message e may come after the latest one of its
// channel, which may be nil. If e names no run, CheckRun fills in the latest one. It
// does nothing for other messages.
//
// If e repeats a final status, CheckRun returns the first receipt, and nothing must be
// published. Errors: [ErrRunFinished], [ErrTooLarge].
func (e *Entry) CheckRun(latest *schemas.Message) (first *schemas.Receipt, err error) {
	if e.Run == nil || latest == nil {
		return nil, nil
	}
	was, err := schemas.ParseRunChange(latest)
	if err != nil {
		return nil, err
	}
	same, err := e.CheckRunAfter(&was)
	if !same || err != nil {
		return nil, err
	}
	r := schemas.ReceiptOf(latest)
	r.Duplicate = true
	return &r, nil
}

// CheckRunAfter is [Entry.CheckRun] given the latest run change. It reports whether e
// repeats a final status.
func (e *Entry) CheckRunAfter(was *schemas.RunChange) (same bool, err error) {
	if e.Run.RunID == "" && was.RunID != "" {
		e.Run.RunID = was.RunID
		before := e.Message.EventBytes(0)
		e.RunID, e.Data = was.RunID, e.Run.Encode()
		e.EventBytes += e.Message.EventBytes(0) - before
	}
	switch {
	case e.Run.RunID != was.RunID || !was.Status.Final():
		return false, e.CheckSize()
	case e.Run.Status == was.Status:
		return true, nil
	default:
		return false, fmt.Errorf("%w: %s cannot become %s", ErrRunFinished, was.Status, e.Run.Status)
	}
}

// TextName returns the name of the text that the piece e belongs to.
func (e *Entry) TextName() TextName { return TextName{e.Channel, e.Topic, e.StreamID} }

// CheckSize returns [ErrTooLarge] if the event is too long.
func (e *Entry) CheckSize() error {
	if e.EventBytes > e.MaxEventBytes {
		return fmt.Errorf("%w: event of %d bytes, at most %d are allowed", ErrTooLarge, e.EventBytes, e.MaxEventBytes)
	}
	return nil
}
