package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// attempt is one call of Append.
//
// An ordinary message is sent once. If its answer does not come, it may or may not be
// stored, and sending it again could store it twice, so the publisher gets
// ErrUncertain. A piece with a fence is an ordinary message with a condition, that the
// record of its text is still the one that the publisher has set, see [textRecord].
//
// A durable publish and a run message each need a decision that no other message may
// come between: is this the first publish with its key; may this status follow the
// latest one? Any node may publish at any moment, so only the stream's leader can
// decide. The message goes together with a record, as an atomic batch, and the record
// has a condition: it must be the first under the subject of its key, or follow the
// latest run record that was read. If the condition fails, somebody else came first;
// the attempt reads the record that won and decides again.
//
// The condition also makes it safe to send a batch again whose answer did not come:
// it can be stored only once. If the earlier one was stored after all, the record
// carries the attempt's nonce, and its receipt is not a duplicate. If Append gives up
// while a batch is unanswered, the error is ErrUncertain, and a later call with the
// same key finds out.
type attempt struct {
	e     *Engine
	entry engine.Entry
	nonce uint64 // tells what this call stored from what others did

	unanswered bool // something was sent and not answered: it may be stored
	conflicted bool // a record in its batch did not meet its condition, perhaps its own
}

// final wraps an error that is the outcome of an attempt as it is.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// Append implements [engine.Engine].
func (e *Engine) Append(ctx context.Context, entry engine.Entry) (schemas.Receipt, error) {
	if err := e.sink.Wait(ctx, entry.Channel); err != nil {
		return schemas.Receipt{}, err
	}
	limited, cancel, err := e.writing(ctx)
	if err != nil {
		return e.recallReadOnly(ctx, entry, err)
	}
	defer cancel()
	entry.CreatedAt = schemas.TimeOf(time.Now())
	a := attempt{e: e, entry: entry, nonce: rand.Uint64()}
	var r schemas.Receipt
	switch {
	case entry.Key != "":
		r, err = a.durable(limited)
	case entry.Kind == schemas.KindRun:
		r, err = a.run(limited)
	default:
		r, err = a.ordinary(limited)
	}
	if err == nil {
		if !e.archive.appended(limited, &entry) && !r.Duplicate {
			e.latest.appended(limited, &entry, r.ID.Seq)
		}
	}
	return r, e.outcome(ctx, err, a.unanswered)
}

// recallReadOnly returns the receipt of an entry that cannot be stored now, if it was
// stored before and the stream can still be read. Otherwise it returns why.
func (e *Engine) recallReadOnly(ctx context.Context, entry engine.Entry, why error) (schemas.Receipt, error) {
	if entry.Key == "" || !errors.Is(why, engine.ErrReadOnly) {
		return schemas.Receipt{}, why
	}
	r, found, err := e.Recall(ctx, entry.Channel, entry.Topic, entry.Key)
	if !found || err != nil {
		return schemas.Receipt{}, why
	}
	return r, nil
}

// outcome returns the error of a request that ended with err. If something was sent and
// not answered, it may be stored.
func (e *Engine) outcome(ctx context.Context, err error, unanswered bool) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(final)):
		return errors.Unwrap(err)
	case unanswered:
		return fmt.Errorf("%w: %w", engine.ErrUncertain, err)
	}
	return e.failed(ctx, err)
}

// ordinary publishes a message without a key. Its only condition may be its fence.
func (a *attempt) ordinary(ctx context.Context) (schemas.Receipt, error) {
	m := a.message()
	if a.entry.Fence != 0 {
		jetstream.ExpectLastOf(m, a.e.names.text(a.entry.TextName()), a.entry.Fence)
	}
	if err := a.e.fits(m); err != nil {
		return schemas.Receipt{}, final{err}
	}
	seq, err := a.send(ctx, m)
	if jetstream.IsFinalConflict(err) {
		return schemas.Receipt{}, final{engine.ErrFenced}
	}
	if err != nil {
		a.unanswered = errors.Is(err, jetstream.ErrNoAnswer)
		return schemas.Receipt{}, err
	}
	return a.receipt(seq), nil
}

// send sends an ordinary message. If nobody took it, it is sent again, unless the next one
// may be on its way by then, which would come before it.
func (a *attempt) send(ctx context.Context, m *natsio.Msg) (seq uint64, err error) {
	if placed := a.entry.Placed; placed != nil && a.entry.Fence == 0 {
		return a.e.stream.PublishAhead(ctx, m, placed)
	}
	nobodyTookIt := func(err error) bool { return errors.Is(err, jetstream.ErrNoResponders) }
	err = jetstream.Retry(ctx, 0, nobodyTookIt, func(ctx context.Context) (err error) {
		seq, err = a.e.stream.PublishInTurn(ctx, m)
		return err
	})
	return seq, err
}

// durable publishes a message together with the record of its key.
func (a *attempt) durable(ctx context.Context) (schemas.Receipt, error) {
	subject := a.e.names.key(a.entry.Channel, a.entry.Topic, a.entry.Key)
	record := envelope{kind: a.entry.Kind, nonce: a.nonce, at: a.entry.CreatedAt}
	return a.storeRecorded(ctx, func() (*natsio.Msg, *schemas.Receipt, error) {
		if a.unanswered || a.conflicted { // there may be a record, perhaps of this call
			r, found, err := a.recall(ctx, subject)
			if found || err != nil {
				return nil, &r, err
			}
		}
		m := record.seal(subject, a.e.opts.RememberFor)
		jetstream.ExpectLast(m, 0)
		return m, nil, nil
	})
}

// run publishes a run message together with the record that it is the latest one.
func (a *attempt) run(ctx context.Context) (schemas.Receipt, error) {
	subject := subjectOf(a.e.names.runs, a.entry.Channel)
	asked := a.entry
	return a.storeRecorded(ctx, func() (*natsio.Msg, *schemas.Receipt, error) {
		a.entry = asked
		latest, revision, err := a.latestRun(ctx)
		if err != nil {
			return nil, nil, err
		}
		if latest != nil && latest.nonce == a.nonce {
			r := a.receipt(revision - 1)
			return nil, &r, nil
		}
		first, err := a.entry.CheckRun(latest.messageOrNil())
		if err != nil {
			return nil, nil, final{err}
		}
		if first != nil {
			a.e.stats.replayed.Add(1)
			return nil, first, nil
		}
		record := envelopeOf(&a.entry.Message, a.nonce)
		m := record.seal(subject, a.e.opts.RunsFor)
		jetstream.ExpectLast(m, revision)
		jetstream.Replace(m)
		return m, nil, nil
	})
}

// storeRecorded stores the message together with a record. prepare makes the record
// anew before each try, or returns the receipt if the outcome is known already.
func (a *attempt) storeRecorded(ctx context.Context, prepare func() (*natsio.Msg, *schemas.Receipt, error)) (r schemas.Receipt, err error) {
	again := func(err error) bool { return !errors.As(err, new(final)) && jetstream.IsTransient(err) }
	err = jetstream.Retry(ctx, 0, again, func(ctx context.Context) error {
		record, receipt, err := prepare()
		if err != nil {
			return err
		}
		if receipt != nil {
			r = *receipt
			return nil
		}
		seq, err := a.store(ctx, record)
		if err == nil {
			r = a.receipt(seq - 1)
		}
		return err
	})
	return r, err
}

// store stores the message and its record, and returns the record's position. The
// message has the position before.
func (a *attempt) store(ctx context.Context, record *natsio.Msg) (uint64, error) {
	messages := append(a.event(), a.message(), record)
	if err := a.e.fits(messages...); err != nil {
		return 0, final{err}
	}
	b := &a.e.first
	if a.conflicted {
		b = &a.e.retries
	}
	seq, err := b.store(ctx, messages...)
	switch {
	case errors.Is(err, jetstream.ErrNoAnswer):
		a.unanswered = true
	case jetstream.IsConflict(err):
		a.conflicted = true
	}
	return seq, err
}

// event returns what goes into the outbox, right before the message: nothing, unless a run
// ends and somebody is to be told.
func (a *attempt) event() []*natsio.Msg {
	if !a.e.opts.Outbox {
		return nil
	}
	event, ended := outbox.OfRun(&a.entry.Message, a.entry.Run)
	if !ended {
		return nil
	}
	return []*natsio.Msg{a.e.events.Message(&event)}
}

// message returns the message as it is stored.
func (a *attempt) message() *natsio.Msg {
	v := envelopeOf(&a.entry.Message, a.nonce)
	return v.seal(subjectOf(a.e.names.messages, a.entry.Channel), a.e.opts.keepOf(a.entry.Limits))
}

func (a *attempt) receipt(seq uint64) schemas.Receipt {
	return schemas.Receipt{
		ID: a.e.idOf(seq), Channel: a.entry.Channel, Topic: a.entry.Topic, Kind: a.entry.Kind,
		CreatedAt: a.entry.CreatedAt, Durable: a.entry.Key != "",
	}
}
