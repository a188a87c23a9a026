package nats

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// Load implements [engine.Engine].
func (e *Engine) Load(ctx context.Context, name schemas.Channel) (engine.Snapshot, error) {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return engine.Snapshot{}, err
	}
	defer cancel()
	kept, err := e.load(limited, name)
	return kept, e.failed(ctx, err)
}

// load asks the leader where the channel ends, and any replica for what lies before. So it
// returns all that was stored before the call, whether it is acknowledged yet or not: what
// SetText relies on.
func (e *Engine) load(ctx context.Context, name schemas.Channel) (kept engine.Snapshot, err error) {
	deleted := e.control.deletedAt(name)
	// Blocks are read before what follows them, which may go into a block meanwhile.
	blocks, err := e.archived(ctx, name, deleted)
	if err != nil {
		return kept, err
	}
	newer, pushedOut, err := e.newer(ctx, name, max(deleted, blocks.to))
	if err != nil {
		return kept, err
	}
	kept.Messages, kept.Lost = append(blocks.messages, newer...), engine.AllLost(max(blocks.lost, pushedOut))
	if len(newer) >= minPerSubject || blocks.lost > 0 { // otherwise nothing was pushed out
		if err := e.addLatest(ctx, name, deleted, &kept); err != nil {
			return kept, err
		}
	}
	// Read after the messages, so that the run is not older than a run message among them.
	run, hasRun, err := e.stream.Last(ctx, subjectOf(e.names.runs, name))
	if err != nil {
		return kept, err
	}
	if hasRun && run.Sequence > deleted {
		latest, err := e.runOf(run, name)
		if err != nil {
			return kept, err
		}
		kept.Run = &latest.Message
	}
	if e.opts.MaxBytes > 0 { // the stream may drop its oldest messages at any time
		info, err := e.stream.Info(ctx)
		if err != nil {
			return kept, err
		}
		e.health.first.Store(info.State.FirstSeq)
	}
	e.bound(name, &kept)
	return kept, nil
}

// messages returns a channel's messages from a position on: at least up to the second one.
func (e *Engine) messages(ctx context.Context, name schemas.Channel, subject string, from, to uint64) ([]schemas.Message, error) {
	var list []schemas.Message
	var bad error
	err := e.stream.WalkPast(ctx, subject, from, to, func(m jetstream.Message) {
		v, err := openEnvelope(m.Header, m.Data)
		if err != nil {
			bad = err
			return
		}
		list = append(list, v.message(e.idOf(m.Sequence), name))
	})
	return list, errors.Join(err, bad)
}

// bound cuts what is kept to the channel's limits, and works out up to where messages
// may be lost. These may be:
//
//   - those before the oldest message of the stream;
//   - those that the stream has pushed out: they are in kept.Lost already;
//   - those that were too old at a mark, see [control];
//   - those before the channel was deleted;
//   - those from a time when the stream had narrower limits;
//   - those that are cut here.
//
// Where pieces are held as one message, the cut is left to the broker's log.
func (e *Engine) bound(name schemas.Channel, kept *engine.Snapshot) {
	limits := e.opts.limitsOf(name)
	oldest := time.Now().Add(-limits.Age)
	lost := max(e.control.lostByDeletion(name), e.health.floor.Load(), max(e.health.first.Load(), 1)-1, e.control.lostBefore(oldest))
	if limits.Merge == nil && !slices.ContainsFunc(kept.Messages, func(m schemas.Message) bool { return m.Piece() }) {
		kept.Messages = within(kept.Messages, limits, oldest, &kept.Lost)
	}
	if len(kept.Messages) > 0 {
		lost = min(lost, kept.Messages[0].ID.Seq-1) // what is there is not lost; clocks may differ
	}
	kept.Lost.AddAll(lost)
}

// within drops the messages that exceed limits, but for the latest one of each topic that
// is young enough, and adds those to what is lost.
func within(messages []schemas.Message, limits engine.Limits, oldest time.Time, lost *engine.Losses) (kept []schemas.Message) {
	first := max(0, len(messages)-limits.Messages, overBytes(messages, limits.Bytes))
	latest := make(map[schemas.Topic]uint64)
	for _, m := range messages {
		latest[m.Topic] = m.ID.Seq
	}
	old := true // all messages so far were
	for i, m := range messages {
		old = old && m.CreatedAt.Std().Before(oldest)
		run := m.Kind == schemas.KindRun
		switch {
		case !old && (i >= first || !run && latest[m.Topic] == m.ID.Seq):
			kept = append(kept, m)
		case run:
			lost.AddRun(m.ID.Seq)
		default:
			lost.Add(m.Topic, m.ID.Seq)
		}
	}
	return kept
}

// overBytes returns how many of the oldest messages must go so that the data of the
// rest has at most that many bytes. No limit: 0.
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
