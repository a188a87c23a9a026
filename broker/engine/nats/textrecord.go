package nats

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// textRecord is the record of a text, as it is stored:
//
//	what [engine.Text.Append] makes | nonce, 8 bytes | node
//
// The stream keeps the newest one of each text, under a subject of its own, as long as a
// durable publish is remembered. Its position is its revision. A record has a condition,
// that the newest one is still that which its publisher has read; and so has each piece of
// the text. Any node may send any of them at any moment, so the stream's leader decides. It
// takes them one after the other: all pieces with the old revision lie before the new
// record, and none after it, even if they have been on their way for long.
//
// The condition also makes it safe to send a record again whose answer did not come. The
// nonce tells whether what is stored is that record.
//
// node is the name of the canary of the node that stored the record. Every life of a node
// has another one, and the stream forgets it when it is not renewed, see [Engine.ended].
type textRecord struct {
	engine.Text
	nonce uint64
	node  string
}

var errBadTextRecord = errors.New("nats: not the record of a text")

func (r *textRecord) encode() []byte {
	return append(binary.LittleEndian.AppendUint64(r.Append(nil), r.nonce), r.node...)
}

// openTextRecord undoes encode for a record with that position.
func openTextRecord(b []byte, revision uint64) (r textRecord, err error) {
	var rest []byte
	if r.Text, rest, err = engine.ParseText(b); err != nil {
		return textRecord{}, err
	}
	if len(rest) < 8 {
		return textRecord{}, errBadTextRecord
	}
	if r.Since == 0 {
		r.Since = revision
	}
	r.nonce, r.node = binary.LittleEndian.Uint64(rest), string(rest[8:])
	return r, nil
}

// textRecord asks the leader for the record under a subject, and its revision; 0: there
// is none.
func (e *Engine) textRecord(ctx context.Context, subject string) (r textRecord, revision uint64, err error) {
	m, found, err := e.stream.Last(ctx, subject)
	if err != nil || !found {
		return textRecord{}, 0, err
	}
	r, err = openTextRecord(m.Data, m.Sequence)
	return r, m.Sequence, err
}

// Text implements [engine.Engine]. A leader that does not know yet that it is none any
// more may answer with an older record. Then SetText with its revision fails.
func (e *Engine) Text(ctx context.Context, name engine.TextName) (engine.Text, uint64, error) {
	limited, cancel, err := e.reading(ctx)
	if err != nil {
		return engine.Text{}, 0, err
	}
	defer cancel()
	r, revision, err := e.textRecord(limited, e.names.text(name))
	if err == nil && r.State == engine.TextOpen {
		r.Orphaned, err = e.ended(limited, r.node)
	}
	if err != nil {
		return engine.Text{}, 0, e.failed(ctx, err)
	}
	return r.Text, revision, nil
}

// ended reports whether a node, named by its canary, has ended, or was cut off for so long
// that the stream has forgotten its canary. That proves nothing unless the stream was within
// reach all the time: after an outage no node has a canary at first.
func (e *Engine) ended(ctx context.Context, node string) (bool, error) {
	canary := e.names.canaries + node
	if canary == e.canary || !e.health.steady(e.opts.canaryKept) {
		return false, nil
	}
	_, found, err := e.stream.Last(ctx, canary)
	return !found, err
}

// SetText implements [engine.Engine].
func (e *Engine) SetText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	limited, cancel, err := e.writing(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	t.At = schemas.TimeOf(time.Now())
	s := setText{
		e: e, subject: e.names.text(name), revision: revision,
		record: textRecord{t, rand.Uint64(), strings.TrimPrefix(e.canary, e.names.canaries)},
	}
	err = jetstream.Retry(limited, e.opts.answerWait(), s.again, s.try)
	return s.next, e.outcome(ctx, err, s.unanswered)
}

// setText is one call of SetText.
type setText struct {
	e        *Engine
	subject  string
	revision uint64 // that the record must have
	record   textRecord
	next     uint64 // the new revision

	unanswered bool // the record was sent and not answered: it may be stored
}

// again reports whether to try again after an error. Once the record may be stored, a
// leader that is being elected is waited for, since it can tell.
func (s *setText) again(err error) bool {
	return !errors.As(err, new(final)) && (jetstream.IsTransient(err) || s.unanswered && jetstream.IsStartingUp(err))
}

// try stores the record if it is not stored yet.
//
// If a record was not answered, a refusal of the next one may be due to the first. Only
// a record with a later revision tells what has become of it. An older one does not,
// since it may come from a leader that is none any more.
func (s *setText) try(ctx context.Context) error {
	if s.unanswered {
		stored, at, err := s.e.textRecord(ctx, s.subject)
		if err != nil {
			return err
		}
		if at > s.revision && stored.nonce == s.record.nonce {
			s.next = at
			return nil
		}
		if at > s.revision {
			return final{engine.ErrFenced}
		}
	}
	m := jetstream.NewMsg(s.subject, s.record.encode(), s.e.opts.RememberFor)
	jetstream.ExpectLast(m, s.revision)
	jetstream.Replace(m)
	next, err := s.e.stream.PublishInTurn(ctx, m)
	switch {
	case err == nil:
		s.next = next
	case errors.Is(err, jetstream.ErrNoAnswer):
		s.unanswered = true
	case jetstream.IsFinalConflict(err) && !s.unanswered:
		return final{engine.ErrFenced}
	}
	return err
}
