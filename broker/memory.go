package broker

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/broker/internal/idempotency"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// memory keeps messages in the logs of the shard alone, and remembers durable publishes
// in bounded memory. It hands out positions under the channel's lock, so publishers to
// different channels do not wait for each other.
type memory struct {
	shard *shard // set by start
	epoch uint64
	keys  *idempotency.Receipts
	texts *idempotency.Texts
}

func newMemory(opts Options) (*memory, error) {
	remembered, err := idempotency.New(opts.RememberBytes, opts.RememberFor)
	if err != nil {
		return nil, err
	}
	return &memory{epoch: opts.Epoch, keys: remembered, texts: idempotency.NewTexts(remembered)}, nil
}

// start implements [store].
func (m *memory) start(sh *shard) (engine.Origin, error) {
	m.shard = sh
	return engine.Origin{Epoch: m.epoch}, nil
}

// append implements [store].
func (m *memory) append(ctx context.Context, e engine.Entry) (schemas.Receipt, error) {
	if e.Key != "" {
		return m.appendOnce(ctx, e)
	}
	now := time.Now()
	return m.put(ctx, &e, now, now)
}

// appendOnce is append for a durable publish. It is a function of its own because its
// closure makes e escape to the heap: in append, that would cost every publish an
// allocation.
func (m *memory) appendOnce(ctx context.Context, e engine.Entry) (schemas.Receipt, error) {
	since := time.Now()
	k := idempotency.KeyOf(e.Channel, e.Topic, e.Key)
	return m.keys.Do(ctx, k, func() (schemas.Receipt, error) { return m.put(ctx, &e, since, time.Now()) })
}

// recall implements [store].
func (m *memory) recall(_ context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	return m.keys.Recall(idempotency.KeyOf(channel, topic, key))
}

// text implements [store].
func (m *memory) text(_ context.Context, name engine.TextName) (engine.Text, uint64, error) {
	return m.texts.Get(name)
}

// setText implements [store]. It holds the channel's lock, so that no piece is published
// between the check of its fence and its place in the log.
func (m *memory) setText(_ context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	now := time.Now()
	c, err := m.shard.lockOrCreate(name.Channel, now)
	if err != nil {
		return 0, err
	}
	defer c.mu.Unlock()
	if _, was, err := m.texts.Get(name); err != nil || was != revision {
		return 0, cmp.Or(err, engine.ErrFenced)
	}
	next := m.shard.seq.Take()
	defer m.shard.seq.Complete(next)
	t.Since, t.At = cmp.Or(t.Since, next), schemas.TimeOf(now)
	m.texts.Set(name, t, next)
	return next, nil
}

// heldText implements [store].
func (m *memory) heldText(_ context.Context, name engine.TextName) (ring.HeldText, error) {
	c := m.shard.registry.get(name.Channel)
	if c == nil {
		return ring.HeldText{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Text(name.Topic, name.StreamID), nil
}

// prepare implements [store]: everything is in memory already.
func (*memory) prepare(context.Context, *cursor, Subscription) (map[schemas.Pattern]uint64, error) {
	return nil, nil
}

// release implements [store].
func (*memory) release(*cursor) {}

// view implements [store].
func (m *memory) view(_ context.Context, name schemas.Channel) (*channel, error) {
	if c := m.shard.registry.get(name); c != nil {
		return c, nil
	}
	c := &channel{name: name}
	c.log.Lose(m.shard.registry.lostOf(schemas.Pattern(name)), ring.Expired)
	return c, nil
}

// learnPosition implements [store]: no other node hands out positions.
func (*memory) learnPosition(context.Context, uint64) error { return nil }

// list implements [store].
func (*memory) list(context.Context, string, schemas.Channel, int) ([]engine.Summary, error) {
	return nil, nil
}

// delete implements [store].
func (m *memory) delete(_ context.Context, name schemas.Channel) (bool, error) {
	return m.shard.dropDeleted(name), nil
}

// dropReason implements [store].
func (*memory) dropReason(why ring.GapReason) ring.GapReason { return why }

// current implements [store].
func (*memory) current() error { return nil }

// ready implements [store].
func (*memory) ready() error { return nil }

// tick implements [store].
func (*memory) tick(time.Time) {}

// stats implements [store].
func (m *memory) stats() engine.Stats {
	return m.keys.Stats()
}

// close implements [store].
func (m *memory) close() error { return m.keys.Close() }

// put gives e the next position and appends it to its channel, which is created if
// necessary. since is when the publish began to wait, now the time of the message.
func (m *memory) put(ctx context.Context, e *engine.Entry, since, now time.Time) (schemas.Receipt, error) {
	sh := m.shard
	c, err := sh.lockOrCreate(e.Channel, now)
	if err == nil && sh.backlogFull(c, now) {
		c, err = sh.waitForReaders(ctx, c, since, sh.lockOrCreate)
	}
	if err != nil {
		return schemas.Receipt{}, err
	}
	if e.Run != nil && c.run != nil {
		if same, err := e.CheckRunAfter(&c.run.change); same || err != nil {
			first := c.run.receipt(e.Channel)
			c.mu.Unlock()
			return first, err
		}
	}
	if e.Fence != 0 && m.texts.Revision(e.TextName()) != e.Fence {
		c.mu.Unlock()
		return schemas.Receipt{}, engine.ErrFenced
	}
	e.ID, e.CreatedAt = sh.idOf(sh.seq.Take()), schemas.TimeOf(now)
	waits, followed := sh.append(c, &e.Message, e.Limits, e.Run)
	if e.Run != nil && sh.opts.Outbox != nil {
		m.tell(e)
	}
	c.mu.Unlock()
	followed.Entered()

	sh.seq.Complete(e.ID.Seq)
	sh.notifier.appended(waits)
	if sh.logBytes.Load() > sh.opts.Memory {
		sh.shrink(now)
	}
	return schemas.ReceiptOf(&e.Message), nil
}

// tell puts the end of a run into the outbox. The caller holds the channel's lock, so the
// events of a channel are in order.
func (m *memory) tell(e *engine.Entry) {
	if event, ended := outbox.OfRun(&e.Message, e.Run); ended {
		m.shard.opts.Outbox.Put(event)
	}
}

// lockOrCreate returns the channel with its mutex held, and creates it if necessary.
func (sh *shard) lockOrCreate(name schemas.Channel, now time.Time) (*channel, error) {
	for {
		c := sh.registry.get(name)
		if c == nil {
			if sh.registry.count.Load() >= int64(sh.opts.MaxChannels) && !sh.makeRoom(now) {
				return nil, fmt.Errorf("%w: all %d have readers", ErrTooManyChannels, sh.opts.MaxChannels)
			}
			var made bool
			if c, made = sh.registry.create(name, 0, nil); made {
				sh.logBytes.Add(channelOverhead)
			}
		}
		c.mu.Lock()
		if !c.gone {
			return c, nil
		}
		c.mu.Unlock()
	}
}
