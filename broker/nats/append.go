package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"

	natsio "github.com/nats-io/nats.go"
)

// Append implements [broker.Engine].
func (e *Engine) Append(ctx context.Context, entry broker.Entry) (schemas.Receipt, error) {
	if err := e.sink.Wait(ctx, entry.Channel); err != nil {
		return schemas.Receipt{}, err
	}
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return schemas.Receipt{}, err
	}
	defer cancel()
	entry.CreatedAt = schemas.TimeOf(time.Now())
	t := try{Engine: e, entry: entry, nonce: rand.Uint64()}
	var r schemas.Receipt
	switch {
	case entry.Key != "":
		r, err = t.once(limited)
	case entry.Kind == schemas.KindRun:
		r, err = t.run(limited)
	default:
		r, err = t.plain(limited)
	}
	return r, t.outcome(ctx, err)
}

// try is one Append.
type try struct {
	*Engine
	entry broker.Entry
	nonce uint64 // what this call has stored can be told from all else
	open  bool   // something was sent and not answered: it may be stored
	taken bool   // a record in its batch was not the one that was expected, perhaps its own
}

// outcome returns the error of a publish that ended with err.
func (t *try) outcome(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(verdict)):
		return errors.Unwrap(err)
	case t.open:
		return fmt.Errorf("%w: %w", broker.ErrUncertain, err)
	}
	return t.failed(ctx, err)
}

// verdict is an error that is the outcome itself.
type verdict struct{ error }

func (v verdict) Unwrap() error { return v.error }

// plain publishes a message without a key. After it was sent it is not sent again.
func (t *try) plain(ctx context.Context) (schemas.Receipt, error) {
	var pause backoff
	for {
		seq, err := t.log.publish(ctx, t.message())
		switch {
		case err == nil:
			return t.receipt(seq), nil
		case errors.Is(err, ctx.Err()) && ctx.Err() != nil:
			t.open = true
			return schemas.Receipt{}, err
		case !errors.Is(err, errNobody) || pause.wait(ctx) != nil:
			return schemas.Receipt{}, err
		}
	}
}

// once publishes a message together with the record of its key, which must be the
// first one under its subject.
func (t *try) once(ctx context.Context) (schemas.Receipt, error) {
	subject := t.names.key(t.entry.Channel, t.entry.Topic, t.entry.Key)
	record := envelope{kind: t.entry.Kind, nonce: t.nonce, at: t.entry.CreatedAt}
	return t.both(ctx, func() (*natsio.Msg, *schemas.Receipt, error) {
		if t.open || t.taken { // perhaps by this call
			r, found, err := t.recall(ctx, subject)
			if found || err != nil {
				return nil, &r, err
			}
		}
		return t.recorded(subject, record.encode(), 0, t.opts.RememberFor), nil, nil
	})
}

// run publishes a run message together with the record that it is the latest one,
// which must come right after the one that was read before.
func (t *try) run(ctx context.Context) (schemas.Receipt, error) {
	subject := subjectOf(t.names.runs, t.entry.Channel)
	asked := t.entry
	return t.both(ctx, func() (*natsio.Msg, *schemas.Receipt, error) {
		t.entry = asked
		latest, revision, err := t.latestRun(ctx)
		if err != nil {
			return nil, nil, err
		}
		if latest != nil && latest.nonce == t.nonce {
			r := t.receipt(revision - 1)
			return nil, &r, nil
		}
		first, err := t.entry.Follow(latest.messageOrNil())
		if err != nil {
			return nil, nil, verdict{err}
		}
		if first != nil {
			t.stats.replayed.Add(1)
			return nil, first, nil
		}
		record := envelopeOf(&t.entry.Message, t.nonce)
		m := t.recorded(subject, record.encode(), revision, t.opts.RunsFor)
		m.Header.Set(headerRollup, "sub")
		return m, nil, nil
	})
}

// both stores the message and a record, or neither. prepare makes the record anew
// before each attempt, or tells the outcome. An attempt whose answer does not come is
// repeated: the record can only be stored once.
func (t *try) both(ctx context.Context, prepare func() (*natsio.Msg, *schemas.Receipt, error)) (schemas.Receipt, error) {
	var pause backoff
	for {
		record, receipt, err := prepare()
		switch {
		case err == nil && receipt != nil:
			return *receipt, nil
		case err == nil:
			var seq uint64
			if seq, err = t.attempt(ctx, record); err == nil {
				return t.receipt(seq - 1), nil
			}
		}
		if errors.As(err, new(verdict)) || !passing(err) {
			return schemas.Receipt{}, err
		}
		if ended := pause.wait(ctx); ended != nil {
			return schemas.Receipt{}, err
		}
	}
}

// attempt stores the message and its record, and returns the record's position.
func (t *try) attempt(ctx context.Context, record *natsio.Msg) (uint64, error) {
	lane := &t.fresh
	if t.taken {
		lane = &t.checked
	}
	seq, err := lane.store(ctx, t.message(), record)
	switch code := codeOf(err); {
	case errors.Is(err, errUnanswered):
		t.open = true
	case code == codeWrongSequence, code == codeBusySubject:
		t.taken = true
	}
	return seq, err
}

// passing reports whether what failed can succeed when it is tried again.
func passing(err error) bool {
	switch codeOf(err) {
	case codeWrongSequence, codeBusySubject, codeTooManyBatches, codeTornBatch:
		return true
	case 0:
		return true
	}
	return false
}

// message returns the message as it is stored.
func (t *try) message() *natsio.Msg {
	v := envelopeOf(&t.entry.Message, t.nonce)
	age := max(t.opts.ageOf(t.entry.Limits), t.opts.Retain.Age) + slack
	return &natsio.Msg{
		Subject: subjectOf(t.names.messages, t.entry.Channel), Data: v.encode(),
		Header: natsio.Header{headerTTL: {ttl(age)}},
	}
}

// recorded returns a record that is stored only if the newest one under its subject
// has the given position; 0: if there is none.
func (t *try) recorded(subject string, data []byte, after uint64, keep time.Duration) *natsio.Msg {
	return &natsio.Msg{Subject: subject, Data: data, Header: natsio.Header{
		headerTTL: {ttl(keep)}, headerExpected: {strconv.FormatUint(after, 10)},
	}}
}

// ttl returns how long to keep a message, in whole seconds and not less than d.
func ttl(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) + "s"
}

func (t *try) receipt(seq uint64) schemas.Receipt {
	return schemas.Receipt{
		ID: t.idOf(seq), Channel: t.entry.Channel, Topic: t.entry.Topic, Kind: t.entry.Kind,
		CreatedAt: t.entry.CreatedAt, Durable: t.entry.Key != "",
	}
}

// recall returns the receipt that the record of the key tells of.
func (t *try) recall(ctx context.Context, subject string) (schemas.Receipt, bool, error) {
	s, found, err := t.log.last(ctx, subject)
	if !found || err != nil {
		return schemas.Receipt{}, false, err
	}
	v, err := openEnvelope(s.data)
	if err != nil {
		return schemas.Receipt{}, false, err
	}
	r := t.receipt(s.seq - 1)
	if r.Kind, r.CreatedAt = v.kind, v.at; v.nonce != t.nonce {
		r.Duplicate = true
		t.stats.replayed.Add(1)
	}
	return r, true, nil
}

// Recall implements [broker.Engine].
func (e *Engine) Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return schemas.Receipt{}, false, err
	}
	defer cancel()
	t := try{Engine: e, entry: broker.Entry{Message: schemas.Message{Channel: channel, Topic: topic}, Key: key}}
	r, found, err := t.recall(limited, e.names.key(channel, topic, key))
	return r, found, e.failed(ctx, err)
}

// latest is the run message of a channel that came last.
type latest struct {
	schemas.Message
	nonce uint64
}

func (l *latest) messageOrNil() *schemas.Message {
	if l == nil {
		return nil
	}
	return &l.Message
}

// latestRun returns the latest run message, nil if there is none, and the position of
// its record.
func (t *try) latestRun(ctx context.Context) (*latest, uint64, error) {
	s, found, err := t.log.last(ctx, subjectOf(t.names.runs, t.entry.Channel))
	if !found || err != nil {
		return nil, 0, err
	}
	l, err := t.runOf(s, t.entry.Channel)
	return l, s.seq, err
}

// runOf reads the record of a run status. The message lies right before it.
func (e *Engine) runOf(s stored, name schemas.Channel) (*latest, error) {
	v, err := openEnvelope(s.data)
	if err != nil {
		return nil, err
	}
	return &latest{v.message(e.idOf(s.seq-1), name), v.nonce}, nil
}
