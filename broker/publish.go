package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/broker/texts"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/schemas"
)

// Publication is a message to be published.
type Publication struct {
	Channel  schemas.Channel
	Topic    schemas.Topic
	Kind     schemas.Kind // default data
	Data     []byte       // compact JSON; copied
	RunID    string
	StreamID string
	Offset   int64  // of a chunk: how many bytes of UTF-8 of the text come before it
	Sub      string // subject of the publisher's token; "" for an API key
	// Traceparent is as of [schemas.Message].
	Traceparent string
	// Key makes the publish durable: it happens once for the same channel, topic and
	// key. "" for an ordinary publish.
	Key string
	// Limits are those of the channel. Zero fields stand for the broker's own.
	Limits engine.Limits
	// Placed is as of [engine.Entry].
	Placed func()
}

// Publish appends a message to its channel, which is created if necessary, and notifies
// the readers. It does not wait for clients. It does wait for the server: when what has
// not been offered to readers yet exceeds [Options.BacklogBytes] or the memory of all
// logs, it waits until that has shrunk, ctx ends or [Options.PublishTimeout] has
// passed. Safe for concurrent use.
//
// Errors: [engine.ErrTooLarge], [ErrTooManyChannels], [ErrBusy],
// [engine.ErrUnavailable], [ErrDraining], [ErrClosed] and that of ctx, after which
// nothing was published. After [engine.ErrUncertain] it may have been.
func (b *Broker) Publish(ctx context.Context, p Publication) (schemas.Receipt, error) {
	e := engine.Entry{
		Message: schemas.Message{
			Channel: p.Channel, Topic: p.Topic, Kind: p.Kind, Data: p.Data, RunID: p.RunID,
			StreamID: p.StreamID, Offset: p.Offset, Sub: p.Sub, Traceparent: p.Traceparent,
		},
		Key: p.Key, Limits: p.Limits, Placed: p.Placed,
	}
	if e.Kind == "" {
		e.Kind = schemas.KindData
	}
	return b.shardFor(e.Channel).publish(ctx, &e)
}

// publish checks e and gives it to the store.
func (sh *shard) publish(ctx context.Context, e *engine.Entry) (schemas.Receipt, error) {
	if err := sh.broker.open(); err != nil {
		return schemas.Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return schemas.Receipt{}, err
	}
	e.EventBytes, e.MaxEventBytes = e.Message.EventBytes(sh.idBytes()), sh.opts.MaxEventBytes
	if err := e.CheckSize(); err != nil {
		return schemas.Receipt{}, err
	}
	e.Limits = e.Limits.Or(sh.opts.Replay)
	r, err := sh.store.append(ctx, *e)
	if err == nil && !r.Duplicate {
		sh.broker.stats.published.Add(1)
		sh.broker.meter.Count(e.Channel)
	}
	r.ID.Shard = sh.number
	return r, err
}

// Recall returns the receipt of a remembered durable publish, marked as a duplicate,
// and whether there is one. Errors: [engine.ErrUnavailable] and that of ctx.
func (b *Broker) Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	sh := b.shardFor(channel)
	r, known, err := sh.store.recall(ctx, channel, topic, key)
	r.ID.Shard = sh.number
	return r, known, err
}

// append adds m, which has its position, to the log of c. It reports whether readers
// wait for the notifier, and returns m if it is followed. The caller holds c.mu.
func (sh *shard) append(c *channel, m *schemas.Message, limits engine.Limits, change *schemas.RunChange) (waits bool, followed *delivery.Followed) {
	c.log.Limits = limits
	f, grown := c.log.Append(m)
	c.touched = max(c.touched, f.At)
	if change != nil {
		grown += c.setRun(&run{frame: f, change: *change, id: m.ID})
	}
	sh.logBytes.Add(grown)
	sh.trackFilled(c)
	if sh.opts.Deliveries != nil {
		followed = sh.follow(c, m)
	}
	if waits = c.readers.notifyGroups(); waits {
		sh.notifier.enqueue(c)
	}
	return waits, followed
}

// idBytes returns the length of the next id.
func (sh *shard) idBytes() int {
	n := sh.idPrefix + 1
	for seq := sh.seq.Last() + 1; seq >= 10; seq /= 10 {
		n++
	}
	return n
}

// RunPublication is a change of a channel's run status to be published.
type RunPublication struct {
	Channel     schemas.Channel
	Change      schemas.RunChange
	Sub         string        // subject of the publisher's token; "" for an API key
	Traceparent string        // as of [schemas.Message]
	Limits      engine.Limits // as of [Publication]
}

// SetRun publishes a change of the channel's run status on [schemas.TopicRun].
//
// A final status stays: setting it again publishes nothing and returns the first
// receipt, marked as a duplicate; setting another one fails with
// [engine.ErrRunFinished]. A new run id starts over. Without a run id, the latest run
// is meant.
//
// Errors: [ErrBadRunStatus], [engine.ErrRunFinished] and those of [Broker.Publish].
func (b *Broker) SetRun(ctx context.Context, p RunPublication) (schemas.Receipt, error) {
	if !p.Change.Status.Valid() {
		return schemas.Receipt{}, fmt.Errorf("%w: %q is not one of running, completed, failed, cancelled", ErrBadRunStatus, p.Change.Status)
	}
	e := engine.Entry{
		Message: schemas.Message{
			Channel: p.Channel, Topic: schemas.TopicRun, Kind: schemas.KindRun, Data: p.Change.Encode(), RunID: p.Change.RunID,
			Sub: p.Sub, Traceparent: p.Traceparent,
		},
		Limits: p.Limits, Run: &p.Change,
	}
	return b.shardFor(p.Channel).publish(ctx, &e)
}

// OpenText begins a text, goes on with it or takes it over, see [texts.Open]. Errors: those
// of package texts and of [Broker.Publish].
func (b *Broker) OpenText(ctx context.Context, t texts.Text) (*texts.Writer, *schemas.StreamReceipt, error) {
	if err := b.open(); err != nil {
		return nil, nil, err
	}
	return texts.Open(ctx, textStore{b.shardFor(t.Channel)}, t)
}

// TextStatus returns how far a text has come, and whether it is known, see
// [texts.StatusOf]. Errors: [ErrDraining], since its publisher cannot go on here;
// [ErrClosed]; [engine.ErrUnavailable]; and that of ctx.
func (b *Broker) TextStatus(ctx context.Context, name engine.TextName) (texts.Status, bool, error) {
	if err := b.open(); err != nil {
		return texts.Status{}, false, err
	}
	return texts.StatusOf(ctx, textStore{b.shardFor(name.Channel)}, name)
}

// AbortText ends an attempt at a text, and reports whether the text is known, see
// [texts.Abort]. Errors: [texts.ErrSuperseded]; [ErrDraining]; [ErrClosed];
// [engine.ErrUnavailable]; and that of ctx.
func (b *Broker) AbortText(ctx context.Context, t texts.Text) (known bool, err error) {
	if err := b.open(); err != nil {
		return false, err
	}
	return texts.Abort(ctx, textStore{b.shardFor(t.Channel)}, t)
}

// textStore is where a shard's texts go.
type textStore struct{ *shard }

// Publish implements [texts.Store].
func (s textStore) Publish(ctx context.Context, e *engine.Entry) (schemas.Receipt, error) {
	return s.publish(ctx, e)
}

// Text implements [texts.Store].
func (s textStore) Text(ctx context.Context, name engine.TextName) (engine.Text, uint64, error) {
	return s.store.text(ctx, name)
}

// SetText implements [texts.Store].
func (s textStore) SetText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	return s.store.setText(ctx, name, revision, t)
}

// HeldText implements [texts.Store].
func (s textStore) HeldText(ctx context.Context, name engine.TextName) (ring.HeldText, error) {
	return s.store.heldText(ctx, name)
}

// ID implements [texts.Store].
func (s textStore) ID(position uint64) schemas.ID { return s.idOf(position) }

// Limits implements [texts.Store].
func (s textStore) Limits(name schemas.Channel) engine.Limits {
	return s.limitsOf(name, engine.Limits{})
}

// Remember implements [texts.Store].
func (s textStore) Remember() time.Duration { return s.opts.RememberFor }

// Grace implements [texts.Store].
func (s textStore) Grace() time.Duration { return s.opts.TextGrace }

// Later implements [texts.Store].
func (s textStore) Later(do func(context.Context)) { s.broker.later(s.opts.TextGrace, do) }
