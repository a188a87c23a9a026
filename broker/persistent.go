package broker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/broker/texts"
	"github.com/sluicehq/sluice/schemas"
)

// persistent keeps messages with an engine. A channel is in memory only while somebody
// on this node reads it, or did a moment ago. Publishes go to the engine, which
// delivers them back through the [sink].
//
// What a new reader needs is prepared in this order:
//
//  1. The cursor becomes a reader, so what arrives from now on goes into the log
//     of its channel.
//  2. The engine is subscribed to, so what is stored from now on arrives.
//  3. What the engine keeps is loaded and merged into the log: older frames go
//     before those that arrived meanwhile, and duplicates are skipped.
//
// No other order is right. Loading before subscribing would lose what is published in
// between, and subscribing before there is a reader would drop what arrives in between.
type persistent struct {
	engine   engine.Engine // closed by the caller of [New]
	shard    *shard        // set by start
	upstream upstream
	loads    loads
	watch    texts.Watch
	severed  atomic.Bool // the engine was out of reach for too long, and has not been found ready since
}

func newPersistent(e engine.Engine) *persistent { return &persistent{engine: e} }

// start implements [store].
func (p *persistent) start(sh *shard) (engine.Origin, error) {
	p.shard = sh
	p.upstream.init(p)
	p.loads.init()
	return p.engine.Start(sink{p})
}

// append implements [store].
func (p *persistent) append(ctx context.Context, e engine.Entry) (schemas.Receipt, error) {
	times, began := p.shard.broker.stats.appends, time.Now()
	if e.Key != "" || e.Run != nil {
		times = p.shard.broker.stats.durableAppends
	}
	defer func() { times.Observe(int64(time.Since(began))) }()
	return p.engine.Append(ctx, e)
}

// recall implements [store].
func (p *persistent) recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error) {
	return p.engine.Recall(ctx, channel, topic, key)
}

// prepare implements [store].
func (p *persistent) prepare(ctx context.Context, c *cursor, sub Subscription) (lost map[schemas.Pattern]uint64, err error) {
	for _, sel := range c.filter.selectors {
		upSub, err := p.upstream.addReader(ctx, sel.Channel)
		if upSub != nil {
			c.upstream = &upstreamRead{upSub, c.upstream}
		}
		if err != nil {
			return nil, err
		}
	}
	after, past, err := p.past(ctx, sub)
	if err != nil {
		return nil, err
	}
	if !past && !c.single {
		// The stream must not begin before messages that it is not sent. On a node
		// through which nobody has read, the shard knows of no recent position.
		if err := p.observeHead(ctx); err != nil {
			return nil, err
		}
	}
	for _, sel := range c.filter.selectors {
		if name, exact := sel.Channel.Exact(); exact {
			err = p.load(ctx, name)
		} else if past {
			if lost == nil {
				lost = make(map[schemas.Pattern]uint64)
			}
			lost[sel.Channel], err = p.loadMatching(ctx, sel.Channel, after)
		}
		if err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// release implements [store].
func (p *persistent) release(c *cursor) {
	for read := c.upstream; read != nil; read = read.next {
		p.upstream.removeReader(read.sub)
	}
}

// past returns the position after which a new stream wants messages that exist already,
// and whether it wants any.
func (p *persistent) past(ctx context.Context, sub Subscription) (after uint64, wanted bool, err error) {
	if sub.LastEventID == "" {
		return 0, !sub.Replay.None(), nil
	}
	after, known := p.shard.position(sub.LastEventID)
	if !known {
		return 0, true, nil
	}
	if err := p.learnPosition(ctx, after); err != nil {
		return 0, false, err
	}
	return after, true, nil
}

// learnPosition implements [store]: a client may know a position from another node.
func (p *persistent) learnPosition(ctx context.Context, position uint64) error {
	if position <= p.shard.seq.Last() {
		return nil
	}
	return p.observeHead(ctx)
}

// observeHead asks the engine for its newest position.
func (p *persistent) observeHead(ctx context.Context) error {
	head, err := p.engine.Head(ctx)
	if err != nil {
		return err
	}
	p.shard.seq.Observe(head)
	return nil
}

// view implements [store].
func (p *persistent) view(ctx context.Context, name schemas.Channel) (*channel, error) {
	if err := p.current(); err != nil {
		return nil, err
	}
	registry := p.shard.registry
	if c := registry.get(name); c != nil && registry.complete(name) {
		return c, nil
	}
	return p.copyOf(ctx, name)
}

// copyOf returns a temporary channel with what the engine has of the channel.
func (p *persistent) copyOf(ctx context.Context, name schemas.Channel) (*channel, error) {
	kept, err := p.snapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &channel{name: name}
	c.log.Limits = kept.limits
	c.log.Merge(kept.messages, kept.lost, ring.Expired)
	c.run = kept.run
	if len(kept.messages) > 0 {
		p.shard.seq.Observe(c.log.Last())
	}
	return c, nil
}

// text implements [store].
func (p *persistent) text(ctx context.Context, name engine.TextName) (engine.Text, uint64, error) {
	return p.engine.Text(ctx, name)
}

// setText implements [store].
func (p *persistent) setText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	return p.engine.SetText(ctx, name, revision, t)
}

// heldText implements [store]. The log that readers read may lag behind the engine, so it
// is not asked.
func (p *persistent) heldText(ctx context.Context, name engine.TextName) (ring.HeldText, error) {
	c, err := p.copyOf(ctx, name.Channel)
	if err != nil {
		return ring.HeldText{}, err
	}
	return c.log.Text(name.Topic, name.StreamID), nil
}

// list implements [store].
func (p *persistent) list(ctx context.Context, prefix string, after schemas.Channel, limit int) ([]engine.Summary, error) {
	return p.engine.List(ctx, prefix, after, limit)
}

// delete implements [store].
func (p *persistent) delete(ctx context.Context, name schemas.Channel) (bool, error) {
	return p.engine.Delete(ctx, name)
}

// dropReason implements [store]: what a log drops is still with the engine, and only
// the engine knows what is lost.
func (*persistent) dropReason(ring.GapReason) ring.GapReason { return ring.Kept }

// current implements [store].
func (p *persistent) current() error {
	if !p.severed.Load() {
		return nil
	}
	if err := p.engine.Ready(); err != nil && !errors.Is(err, engine.ErrReadOnly) {
		return err
	}
	p.severed.Store(false)
	return nil
}

// ready implements [store].
func (p *persistent) ready() error { return p.engine.Ready() }

// tick implements [store].
func (p *persistent) tick(now time.Time) {
	p.upstream.unsubscribeIdle(now)
	store := textStore{p.shard}
	for _, name := range p.watch.Quiet(now, store.Grace(), p.newestOf) {
		go p.shard.broker.within(textWait, func(ctx context.Context) {
			_ = texts.EndOrphan(ctx, store, name) // is tried again after the grace time
		})
	}
}

// newestOf returns when something of a text came last, 0 if nobody reads its channel.
func (p *persistent) newestOf(name engine.TextName) time.Time {
	c := p.shard.registry.get(name.Channel)
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.log.Text(name.Topic, name.StreamID); held.Open() {
		return time.UnixMilli(held.At)
	}
	return time.Time{}
}

// stats implements [store].
func (p *persistent) stats() engine.Stats { return p.engine.Stats() }

// close implements [store]: the engine belongs to the caller.
func (*persistent) close() error { return nil }
