package nats

import (
	"context"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// Recall implements [engine.Engine].
func (e *Engine) Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return schemas.Receipt{}, false, err
	}
	defer cancel()
	a := attempt{e: e, entry: engine.Entry{Message: schemas.Message{Channel: channel, Topic: topic}, Key: key}}
	r, found, err := a.recall(limited, e.names.key(channel, topic, key))
	return r, found, e.failed(ctx, err)
}

// recall reads the record of a key and returns its receipt, and whether there is one.
// The receipt is a duplicate unless this attempt stored the record.
func (a *attempt) recall(ctx context.Context, subject string) (schemas.Receipt, bool, error) {
	record, found, err := a.e.stream.Last(ctx, subject)
	if !found || err != nil {
		return schemas.Receipt{}, false, err
	}
	v, err := openEnvelope(record.Header, record.Data)
	if err != nil {
		return schemas.Receipt{}, false, err
	}
	r := a.receipt(record.Sequence - 1)
	if r.Kind, r.CreatedAt = v.kind, v.at; v.nonce != a.nonce {
		r.Duplicate = true
		a.e.stats.replayed.Add(1)
	}
	return r, true, nil
}

// latestRun is the latest run message of a channel.
type latestRun struct {
	schemas.Message
	nonce uint64
}

func (l *latestRun) messageOrNil() *schemas.Message {
	if l == nil {
		return nil
	}
	return &l.Message
}

// latestRun returns the latest run message, nil if there is none, and the position of
// its record.
func (a *attempt) latestRun(ctx context.Context) (*latestRun, uint64, error) {
	record, found, err := a.e.stream.Last(ctx, subjectOf(a.e.names.runs, a.entry.Channel))
	if !found || err != nil {
		return nil, 0, err
	}
	l, err := a.e.runOf(record, a.entry.Channel)
	return l, record.Sequence, err
}

// runOf reads the record of a run message. The message lies right before it.
func (e *Engine) runOf(record jetstream.Message, name schemas.Channel) (*latestRun, error) {
	v, err := openEnvelope(record.Header, record.Data)
	if err != nil {
		return nil, err
	}
	return &latestRun{v.message(e.idOf(record.Sequence-1), name), v.nonce}, nil
}
