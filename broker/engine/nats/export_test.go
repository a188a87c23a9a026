package nats

import (
	"context"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/schemas"
)

// Sink is what tests put in the place of a broker.
type Sink = sink

// StartFor is Start with any sink.
func (e *Engine) StartFor(to Sink) (engine.Origin, error) { return e.start(to) }

// SubjectOf and ChannelOf translate the name of a channel and back.
func SubjectOf(prefix string, name schemas.Channel) string { return subjectOf(prefix, name) }

// ChannelOf undoes SubjectOf.
func ChannelOf(prefix, subject string) (schemas.Channel, bool) { return channelOf(prefix, subject) }

// FilterOf returns the subject of a pattern.
func FilterOf(prefix string, pattern schemas.Pattern) string { return filterOf(prefix, pattern) }

// Seal and Unseal are the stored form of a message, without its channel and position.
func Seal(m *schemas.Message) *natsio.Msg { v := envelopeOf(m, 7); return v.seal("", 0) }

// Unseal undoes Seal.
func Unseal(m *natsio.Msg) (schemas.Message, error) {
	v, err := openEnvelope(m.Header, m.Data)
	return v.message(schemas.ID{}, ""), err
}

// WithCanaryKept returns options with which the stream forgets a node after that long.
func (o Options) WithCanaryKept(d time.Duration) Options {
	o.canaryKept = d
	return o
}

// WithDialWait returns options for an engine that waits that long for a server's welcome.
func (o Options) WithDialWait(d time.Duration) Options {
	o.dialWait = d
	return o
}

// Server returns the URL of the server that the engine is connected to.
func (e *Engine) Server() string { return e.conn.ConnectedUrl() }

// SilenceOf returns how long the canary may stay away from the n-th server in a row.
func SilenceOf(n, servers int) time.Duration { return silenceOf(n, servers) }

// ArchiveNow makes blocks of everything that is in none.
func (e *Engine) ArchiveNow(ctx context.Context) { e.archive.sweep(ctx, true) }

// Unarchived returns how many channels the engine watches for pieces that are in no block.
func (e *Engine) Unarchived() int {
	e.archive.mu.Lock()
	defer e.archive.mu.Unlock()
	return len(e.archive.channels)
}

// Blocks returns how many blocks a channel has.
func (e *Engine) Blocks(t testing.TB, name schemas.Channel) (n int) {
	t.Helper()
	err := e.stream.Walk(t.Context(), e.names.archive(name), 1, func(jetstream.Message) bool { n++; return true })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Latest returns what the record of a channel's quiet topics has.
func (e *Engine) Latest(t testing.TB, name schemas.Channel) []schemas.Message {
	t.Helper()
	r, err := e.latestOf(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return r.messages
}

// Doubts returns how often the engine had reason to read its channels again.
func (e *Engine) Doubts() uint64 {
	e.latest.mu.Lock()
	defer e.latest.mu.Unlock()
	return e.latest.doubts
}

// SetLatest stores a record with messages of a channel, as a node does that is slow.
func (e *Engine) SetLatest(t testing.TB, name schemas.Channel, messages []schemas.Message) {
	t.Helper()
	b := block{messages: messages}
	record := jetstream.NewMsg(e.names.latest(name), b.encode(), time.Minute)
	jetstream.Replace(record)
	if _, err := e.stream.Publish(t.Context(), record); err != nil {
		t.Fatal(err)
	}
}

// Steady reports whether every canary was stored for that long.
func (e *Engine) Steady(d time.Duration) bool { return e.health.steady(d) }
