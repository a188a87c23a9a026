package broker

import (
	"context"
	"slices"
	"sync"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// Loading fills a log while messages keep arriving for it. The channel is a reader's
// and subscribed to upstream by then (see [persistent]), so each message is in what the
// engine returns, or is delivered, or both. The merge keeps what has arrived, which is
// newer, puts older frames before it, and skips duplicates.
//
// Meanwhile the channel may be created by a delivery, be forgotten and created again,
// or lose its last reader. [persistent.install] therefore starts over until it has
// merged into a channel that is still in the registry, or finds that nobody needs it.
// If a load fails, nothing is lost: the channel stays cold, and the next
// reader loads it again.

// loads are the channels that are being loaded from the engine, each by one of the
// streams that need it.
type loads struct {
	mu      sync.Mutex
	running map[schemas.Channel]chan struct{} // guarded by mu; closed when the load ends
}

func (l *loads) init() {
	l.running = make(map[schemas.Channel]chan struct{})
}

// load makes sure that the log of a channel has everything that the engine has. The
// channel must be subscribed to upstream and have a reader. A channel of which the
// engine has nothing is not created.
func (p *persistent) load(ctx context.Context, name schemas.Channel) error {
	for !p.shard.registry.complete(name) {
		turn, running := p.loads.begin(name)
		if running {
			if err := waitFor(ctx, turn); err != nil {
				return err
			}
			continue
		}
		kept, err := p.snapshot(ctx, name)
		if err == nil {
			p.install(name, kept)
		}
		p.loads.end(name, turn)
		return err
	}
	return nil
}

// begin makes the caller load the channel, unless somebody does already: then turn is
// closed when that ends.
func (l *loads) begin(name schemas.Channel) (turn chan struct{}, running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if turn, running = l.running[name]; !running {
		turn = make(chan struct{})
		l.running[name] = turn
	}
	return turn, running
}

func (l *loads) end(name schemas.Channel, turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, name)
	close(turn)
}

// content is what an engine keeps of a channel.
type content struct {
	messages []schemas.Message
	run      *run
	lost     engine.Losses
	limits   engine.Limits
}

func (c *content) empty() bool { return len(c.messages) == 0 && c.run == nil }

// snapshot reads what the engine keeps of a channel.
func (p *persistent) snapshot(ctx context.Context, name schemas.Channel) (*content, error) {
	kept, err := p.engine.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &content{lost: kept.Lost, limits: p.shard.limitsOf(name, engine.Limits{}), messages: p.ours(kept.Messages)}
	if kept.Run != nil {
		m := *kept.Run
		m.ID.Shard = p.shard.number
		change, err := schemas.ParseRunChange(&m)
		if err != nil {
			return nil, err
		}
		c.run = &run{frame: ring.NewFrame(&m), change: change, id: m.ID}
	}
	return c, nil
}

// ours returns copies of an engine's messages with ids of this shard.
func (p *persistent) ours(messages []schemas.Message) []schemas.Message {
	ours := slices.Clone(messages) // the engine may keep its own
	for i := range ours {
		ours[i].ID.Shard = p.shard.number
	}
	return ours
}

// install merges what was loaded into the channel's log. The channel is created if it
// does not exist, there is something to put into it and somebody still waits for it. If
// there is nothing, the waiters note that.
func (p *persistent) install(name schemas.Channel, kept *content) {
	if len(kept.messages) > 0 {
		p.shard.seq.Observe(kept.messages[len(kept.messages)-1].ID.Seq)
	}
	for {
		c := p.shard.registry.get(name)
		if c == nil {
			switch registry := p.shard.registry; {
			case kept.empty() && registry.markComplete(name, kept.lost.Last()):
				return // whoever waits knows that nothing older will come
			case kept.empty() && registry.get(name) == nil:
				return // nobody waits any more
			case !registry.wanted(name):
				return // nobody waits any more for what there is
			}
			_, made := p.shard.registry.create(name, 0, func(c *channel) { p.merge(c, kept) })
			if made {
				p.shard.logBytes.Add(channelOverhead)
				return
			}
			continue // it has been created meanwhile
		}
		c.mu.Lock()
		gone := c.gone
		if !gone {
			p.merge(c, kept)
		}
		c.mu.Unlock()
		if !gone {
			return
		}
	}
}

// merge puts the content into the log of c. The caller holds c.mu.
func (p *persistent) merge(c *channel, kept *content) {
	c.log.Limits = kept.limits
	c.coldAtStart.Store(0)
	grown := c.log.Merge(kept.messages, kept.lost, loadReason(kept))
	for i := range kept.messages {
		p.watch.Saw(&kept.messages[i])
	}
	if kept.run != nil && (c.run == nil || c.run.frame.Seq < kept.run.frame.Seq) {
		grown += c.setRun(kept.run)
	}
	if n := len(kept.messages); n > 0 {
		c.touched = max(c.touched, int64(kept.messages[n-1].CreatedAt))
	}
	p.shard.logBytes.Add(grown)
	if c.log.Len() > 0 {
		p.shard.trackFilled(c)
	}
}

// loadReason returns the reason for what the engine has lost of a channel.
func loadReason(kept *content) ring.GapReason {
	count := 0 // a text counts as one, once it has ended
	for i := range kept.messages {
		if kind := kept.messages[i].Kind; kind != schemas.KindStreamStart && kind != schemas.KindChunk {
			count++
		}
	}
	if count >= kept.limits.Messages {
		return ring.Overrun
	}
	return ring.Expired
}

// complete reports whether everything that there is of a channel is in memory.
func (r *registry) complete(name schemas.Channel) bool {
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if c := st.channels[name]; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.log.Cold == 0
	}
	waiting := st.waiting[name]
	return waiting != nil && waiting.complete
}

// markComplete notes for the channel's waiters that the engine has nothing of it. It
// reports false if the channel has been created meanwhile, or if nobody waits for it.
func (r *registry) markComplete(name schemas.Channel, lost uint64) bool {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	waiting := st.waiting[name]
	if waiting == nil || st.channels[name] != nil {
		return false
	}
	waiting.complete, waiting.lost = true, max(waiting.lost, lost)
	return true
}

// maxLoads is how many channels a stream may have loaded for one pattern. More would
// let it fill the memory with channels that nobody else reads.
const maxLoads = 4096

// loadMatching loads the channels that match pattern and have something after the
// position. If there are too many, the rest counts as lost.
func (p *persistent) loadMatching(ctx context.Context, pattern schemas.Pattern, after uint64) (lost uint64, err error) {
	found, err := p.engine.Matching(ctx, pattern, after, maxLoads)
	if err != nil {
		return 0, err
	}
	for _, name := range found.Channels {
		if err := p.load(ctx, name); err != nil {
			return 0, err
		}
	}
	lost = found.Lost
	if found.More {
		lost = max(lost, p.shard.seq.Last())
	}
	return lost, nil
}
