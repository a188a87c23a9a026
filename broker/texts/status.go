package texts

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
)

// Status is how far a text has come whose publisher chose its stream id.
type Status struct {
	Attempt int64 // the latest one
	State   engine.TextState
	Bytes   int64 // of text so far
}

// StatusOf returns how far a text has come, and whether it is known. If its publisher's
// node has ended for longer than the grace time, the text is aborted first. Errors: those
// of the store.
func StatusOf(ctx context.Context, store Store, name engine.TextName) (Status, bool, error) {
	if err := EndOrphan(ctx, store, name); err != nil {
		return Status{}, false, err
	}
	t, revision, err := store.Text(ctx, name)
	s := Status{t.Attempt, t.State, t.Bytes}
	if err != nil || t.State != engine.TextOpen {
		return s, revision > 0, err
	}
	held, err := store.HeldText(ctx, name)
	if held.First > t.Since {
		s.Bytes = held.End
	}
	return s, true, err
}

// EndOrphan aborts an open text whose node has ended, if nobody has gone on with it for
// the grace time. Errors: those of the store.
func EndOrphan(ctx context.Context, store Store, name engine.TextName) error {
	t, revision, err := store.Text(ctx, name)
	if err != nil || t.State != engine.TextOpen || !t.Orphaned {
		return err
	}
	held, err := store.HeldText(ctx, name)
	if err != nil || time.Since(time.UnixMilli(max(int64(t.At), held.At))) <= store.Grace() {
		return err
	}
	w := &Writer{store: store, record: t, fence: revision, text: Text{
		Channel: name.Channel, Topic: name.Topic, StreamID: name.StreamID, Attempt: t.Attempt, Limits: store.Limits(name.Channel),
	}}
	if err = w.abortOpen(ctx); errors.Is(err, engine.ErrFenced) {
		return nil // somebody else was faster
	}
	return err
}

// Abort ends an attempt at a text that is open, as its publisher wants, and reports whether
// the text is known. An attempt that has ended stays as it is. Errors: [ErrSuperseded] and
// those of the store.
func Abort(ctx context.Context, store Store, t Text) (known bool, err error) {
	for {
		record, revision, err := store.Text(ctx, t.name())
		switch {
		case err != nil || record.Attempt < t.Attempt:
			return false, err
		case record.Attempt > t.Attempt:
			return true, ErrSuperseded
		case record.State != engine.TextOpen:
			return true, nil
		}
		w := &Writer{store: store, text: t, record: record, fence: revision}
		if err := w.abortOpen(ctx); !errors.Is(err, engine.ErrFenced) || ctx.Err() != nil {
			return true, err
		}
	}
}
