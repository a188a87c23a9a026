package nats

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

const (
	maxLatest = 32 // messages in the record of a channel
	// recordSpare is how much longer a record may be than the sum of [bytesIn].
	recordSpare = 4 << 10
)

// latestRecord is the record of a channel with the latest messages of its quiet topics, see
// [latest]. It is stored as a [block] whose messages are not successive. A new record
// replaces the one before it, on the condition that it is the one which was read. It has
// the messages of that, too, but for those that something newer of their topics is known
// of; so it makes no difference which node stores it.
//
// A record has at most maxLatest messages, and no more bytes than the limits of the channel
// allow or the server takes; the oldest go first. It is kept for as long as a message that
// is published at the same time.
type latestRecord struct {
	position uint64 // 0: there is none
	messages []schemas.Message
}

// latestOf reads the record of a channel.
func (e *Engine) latestOf(ctx context.Context, name schemas.Channel) (r latestRecord, err error) {
	record, found, err := e.stream.Last(ctx, e.names.latest(name))
	if err != nil || !found {
		return r, err
	}
	b, err := openBlock(record.Data, e.epoch, name)
	return latestRecord{record.Sequence, b.messages}, err
}

// store puts the latest messages of quiet topics into the record of the channel.
func (l *latest) store(ctx context.Context, w *watched, quiet []topicEnd) error {
	old, err := l.e.latestOf(ctx, w.name)
	if err != nil {
		return err
	}
	limits, newest := l.newest(w)
	deleted := l.e.control.deletedAt(w.name)
	known := make(map[schemas.Topic]schemas.Message, len(old.messages)+len(quiet))
	for _, m := range old.messages {
		if m.ID.Seq > deleted && m.ID.Seq >= newest[m.Topic] {
			known[m.Topic] = m
		}
	}
	for _, end := range quiet[max(0, len(quiet)-maxLatest):] {
		if known[end.topic].ID.Seq >= end.seq { // another node was faster
			continue
		}
		m, found, err := l.e.messageAt(ctx, w.name, end.seq)
		if err != nil {
			return err
		}
		if found {
			known[end.topic] = m
		}
	}
	messages := l.choose(slices.Collect(maps.Values(known)), limits)
	if slices.EqualFunc(messages, old.messages, func(a, b schemas.Message) bool { return a.ID == b.ID }) {
		return nil
	}
	b := block{messages: messages}
	record := jetstream.NewMsg(l.e.names.latest(w.name), b.encode(), l.e.opts.keepOf(limits))
	jetstream.ExpectLast(record, old.position)
	jetstream.Replace(record)
	_, err = l.e.stream.Publish(ctx, record)
	return err
}

// newest returns the positions of the latest messages of topics, as far as they are known.
func (l *latest) newest(w *watched) (limits engine.Limits, newest map[schemas.Topic]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest = make(map[schemas.Topic]uint64, len(w.ends))
	for _, end := range w.ends {
		newest[end.topic] = end.seq
	}
	return w.limits, newest
}

// choose returns what goes into a record, in order.
func (l *latest) choose(messages []schemas.Message, limits engine.Limits) (chosen []schemas.Message) {
	slices.SortFunc(messages, func(a, b schemas.Message) int { return cmp.Compare(b.ID.Seq, a.ID.Seq) })
	oldest := time.Now().Add(-l.e.opts.ageOf(limits) - slack)
	room := l.e.conn.MaxPayload() - recordSpare
	if limits.Bytes > 0 {
		room = min(room, limits.Bytes)
	}
	for i, m := range messages {
		size := int64(bytesIn(messages[i:i+1], 0))
		if len(chosen) == maxLatest || size > room || m.CreatedAt.Std().Before(oldest) {
			continue
		}
		chosen = append(chosen, m)
		room -= size
	}
	slices.Reverse(chosen)
	return chosen
}

// messageAt returns the message of a channel at a position, and whether the stream still
// has it.
func (e *Engine) messageAt(ctx context.Context, name schemas.Channel, seq uint64) (m schemas.Message, found bool, err error) {
	got, found, err := e.stream.At(ctx, seq)
	if err != nil || !found || got.Subject != subjectOf(e.names.messages, name) {
		return m, false, err
	}
	v, err := openEnvelope(got.Header, got.Data)
	return v.message(e.idOf(seq), name), err == nil, err
}

// addLatest adds to what is kept of a channel the latest messages of topics that the stream
// has pushed out. What lies between these and the next message that is kept may be lost.
//
// The record is read after the messages: what was pushed out before they were read is in
// it. What is newer than they are has not been read, so it is left out. What is too old is
// left to [Engine.bound].
func (e *Engine) addLatest(ctx context.Context, name schemas.Channel, deleted uint64, kept *engine.Snapshot) error {
	record, err := e.latestOf(ctx, name)
	if err != nil {
		return err
	}
	newest := make(map[schemas.Topic]uint64)
	for i := range kept.Messages {
		newest[kept.Messages[i].Topic] = kept.Messages[i].ID.Seq
	}
	for _, m := range record.messages {
		if m.ID.Seq <= max(deleted, newest[m.Topic]) {
			continue
		}
		next, _ := slices.BinarySearchFunc(kept.Messages, m.ID.Seq, func(m schemas.Message, seq uint64) int { return cmp.Compare(m.ID.Seq, seq) })
		if next == len(kept.Messages) {
			break
		}
		kept.Lost.AddAll(kept.Messages[next].ID.Seq - 1)
		kept.Messages = slices.Insert(kept.Messages, next, m)
	}
	return nil
}
