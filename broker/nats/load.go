package nats

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// Load implements [broker.Engine].
func (e *Engine) Load(ctx context.Context, name schemas.Channel) (broker.Kept, error) {
	limited, cancel, err := e.asking(ctx)
	if err != nil {
		return broker.Kept{}, err
	}
	defer cancel()
	kept, err := e.load(limited, name)
	return kept, e.failed(ctx, err)
}

// load asks the leader how far the channel goes, and any replica for what lies before.
func (e *Engine) load(ctx context.Context, name schemas.Channel) (kept broker.Kept, err error) {
	subject := subjectOf(e.names.messages, name)
	newest, found, err := e.log.last(ctx, subject)
	if err != nil {
		return kept, err
	}
	// After the messages: it must not be older than one of them.
	run, hasRun, err := e.log.last(ctx, subjectOf(e.names.runs, name))
	if err != nil {
		return kept, err
	}
	deleted := e.control.deleted(name)
	if hasRun && run.seq > deleted {
		latest, err := e.runOf(run, name)
		if err != nil {
			return kept, err
		}
		kept.Run = &latest.Message
	}
	if found && newest.seq > deleted {
		if kept.Messages, err = e.messages(ctx, name, subject, deleted+1, newest.seq); err != nil {
			return kept, err
		}
	}
	if e.opts.MaxBytes > 0 { // the stream's oldest messages go at any time
		state, err := e.log.info(ctx)
		if err != nil {
			return kept, err
		}
		e.health.first.Store(state.State.First)
	}
	e.bound(name, &kept)
	return kept, nil
}

// messages fetches what lies between two positions.
func (e *Engine) messages(ctx context.Context, name schemas.Channel, subject string, from, to uint64) ([]schemas.Message, error) {
	var list []schemas.Message
	var bad error
	err := e.log.fetch(ctx, subject, from, to, func(s stored) {
		v, err := openEnvelope(s.data)
		if err != nil {
			bad = err
			return
		}
		list = append(list, v.message(e.idOf(s.seq), name))
	})
	return list, errors.Join(err, bad)
}

// bound cuts what is kept to the channel's limits, and finds out what may be lost:
//
//   - what lies before the oldest message of the stream, or of a channel that has as
//     many as the stream keeps of one;
//   - what was older than the channel's age at a mark, see [control];
//   - what lies before the channel was deleted, or the limits of the stream were
//     narrower; and what is cut here.
func (e *Engine) bound(name schemas.Channel, kept *broker.Kept) {
	limits := e.opts.limitsOf(name)
	oldest := time.Now().Add(-limits.Age)
	messages := kept.Messages
	lost := max(e.control.lostOf(name), e.health.floor.Load(), max(e.health.first.Load(), 1)-1)
	if len(messages) >= e.opts.Retain.Messages {
		lost = max(lost, messages[0].ID.Seq-1)
	}
	past := e.control.before(oldest)
	cut := max(0, len(messages)-limits.Messages)
	for cut < len(messages) && messages[cut].CreatedAt.Std().Before(oldest) {
		cut++
	}
	cut = max(cut, overBytes(messages, limits.Bytes))
	if cut > 0 {
		lost = max(lost, messages[cut-1].ID.Seq)
	}
	lost = max(lost, past)
	if messages = messages[cut:]; len(messages) > 0 {
		lost = min(lost, messages[0].ID.Seq-1) // clocks may differ
	}
	kept.Messages, kept.Lost = messages, lost
}

// overBytes returns how many of the oldest messages must go so that the data of the
// rest is not longer than most; 0: any length.
func overBytes(messages []schemas.Message, most int64) int {
	if most <= 0 {
		return 0
	}
	for i := len(messages) - 1; i >= 0; i-- {
		if most -= int64(len(messages[i].Data)); most < 0 {
			return i + 1
		}
	}
	return 0
}
