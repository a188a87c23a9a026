package broker

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// refills are the channels that are being loaded from the engine: each by one of
// those who need it.
type refills struct {
	broker *Broker

	mu      sync.Mutex
	running map[schemas.Channel]chan struct{} // guarded by mu; closed when it is over
}

func (r *refills) init(b *Broker) {
	r.broker = b
	r.running = make(map[schemas.Channel]chan struct{})
}

// refill makes sure that the log of a channel that is followed, and that somebody
// reads, has everything that the engine has. A channel of which there is nothing
// does not come into being.
func (b *Broker) refill(ctx context.Context, name schemas.Channel) error {
	for !b.registry.full(name) {
		turn, running := b.refills.enter(name)
		if running {
			if err := wait(ctx, turn); err != nil {
				return err
			}
			continue
		}
		kept, err := b.load(ctx, name)
		if err == nil {
			b.settle(name, kept)
		}
		b.refills.leave(name, turn)
		return err
	}
	return nil
}

func (r *refills) enter(name schemas.Channel) (turn chan struct{}, running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if turn, running = r.running[name]; !running {
		turn = make(chan struct{})
		r.running[name] = turn
	}
	return turn, running
}

func (r *refills) leave(name schemas.Channel, turn chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, name)
	close(turn)
}

// content is what is kept of a channel, as a log takes it.
type content struct {
	frames []frame
	run    *run
	lost   uint64
	limits Limits
}

func (c *content) empty() bool { return len(c.frames) == 0 && c.run == nil }

// load reads what the engine keeps of a channel. The marks of the frames only name
// their topics, until they are in a log.
func (b *Broker) load(ctx context.Context, name schemas.Channel) (*content, error) {
	kept, err := b.engine.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &content{lost: max(kept.Lost, b.origin.Lost), limits: b.limitsOf(name, Limits{}), frames: make([]frame, len(kept.Messages))}
	marks := make(map[schemas.Topic]*topicMark)
	for i := range kept.Messages {
		m := kept.Messages[i] // a copy: the engine may keep its own
		m.ID.Shard = b.shard
		mark := marks[m.Topic]
		if mark == nil {
			mark = &topicMark{name: m.Topic}
			marks[m.Topic] = mark
		}
		c.frames[i] = frameOf(&m, mark)
	}
	if kept.Run != nil {
		m := *kept.Run
		m.ID.Shard = b.shard
		change, err := runChangeOf(&m)
		if err != nil {
			return nil, err
		}
		c.run = &run{frame: frameOf(&m, &topicMark{name: m.Topic}), change: change, id: m.ID}
	}
	return c, nil
}

// settle makes the content part of the channel's log.
func (b *Broker) settle(name schemas.Channel, kept *content) {
	if len(kept.frames) > 0 {
		b.seq.hear(kept.frames[len(kept.frames)-1].seq)
	}
	for {
		c := b.registry.get(name)
		if c == nil {
			switch {
			case kept.empty() && b.registry.ask(name, kept.lost), kept.empty() && b.registry.get(name) == nil, !b.registry.wanted(name):
				return
			}
			_, made := b.registry.create(name, 0, func(c *channel) { b.refillLog(c, kept) })
			if made {
				b.held.Add(channelOverhead)
				return
			}
			continue // it has come into being meanwhile
		}
		c.mu.Lock()
		gone := c.gone
		if !gone {
			b.refillLog(c, kept)
		}
		c.mu.Unlock()
		if !gone {
			return
		}
	}
}

// refillLog merges the content into the log of c, whose mutex the caller holds.
func (b *Broker) refillLog(c *channel, kept *content) {
	c.log.limits = kept.limits
	c.cold.Store(0)
	grown := c.log.refill(kept.frames, kept.lost, b.lossOf(kept))
	if kept.run != nil && (c.run == nil || c.run.frame.seq < kept.run.frame.seq) {
		grown += c.setRun(kept.run)
	}
	if n := len(kept.frames); n > 0 {
		c.touched = max(c.touched, kept.frames[n-1].at)
	}
	b.held.Add(grown)
	if c.log.count > 0 {
		b.keep(c)
	}
}

// lossOf returns why what the engine has lost of a channel is lost.
func (b *Broker) lossOf(kept *content) gapReason {
	switch {
	case kept.lost <= b.origin.Lost:
		return gapRestarted
	case len(kept.frames) >= kept.limits.Messages:
		return gapOverrun
	}
	return gapExpired
}

// refill puts older frames before those of the ring, which has everything that is
// newer than its oldest frame. It returns how many bytes the log grew by.
func (l *log) refill(older []frame, lost uint64, reason gapReason) (grown int64) {
	before := l.bytes
	first := uint64(math.MaxUint64)
	if l.count > 0 {
		first = l.at(0).seq
	}
	own := make([]frame, l.count)
	for i := range own {
		own[i] = *l.at(i)
	}
	kept := make([]frame, 0, len(older)+len(own))
	for _, f := range older {
		if f.seq >= first || f.seq <= l.lost {
			continue
		}
		f.mark = l.mark(f.mark.name)
		f.mark.held++
		l.bytes += f.cost()
		l.last = max(l.last, f.seq)
		kept = append(kept, f)
	}
	kept = append(kept, own...)
	l.first, l.count = 0, len(kept)
	l.ring = make([]frame, ringSize(len(kept)))
	copy(l.ring, kept)
	l.cold = 0
	l.lose(lost, reason)
	l.trim(time.Now().UnixMilli())
	return l.bytes - before
}

// ringSize returns how long a ring for n frames is: a power of two, 0 for none.
func ringSize(n int) int {
	if n == 0 {
		return 0
	}
	size := 4
	for size < n {
		size *= 2
	}
	return size
}

// full reports whether what there is of a channel is in memory.
func (r *registry) full(name schemas.Channel) bool {
	st := r.stripe(name)
	st.mu.RLock()
	defer st.mu.RUnlock()
	if c := st.channels[name]; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.log.cold == 0
	}
	waiting := st.waiting[name]
	return waiting != nil && waiting.asked
}

// ask notes that the engine has nothing of a channel. It reports false if the
// channel has come into being meanwhile, or if nobody waits for it.
func (r *registry) ask(name schemas.Channel, lost uint64) bool {
	st := r.stripe(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	waiting := st.waiting[name]
	if waiting == nil || st.channels[name] != nil {
		return false
	}
	waiting.asked, waiting.lost = true, max(waiting.lost, lost)
	return true
}

// frameOf returns the frame of a message that has its position.
func frameOf(m *schemas.Message, mark *topicMark) frame {
	var id [32]byte
	return encodeFrame(m, mark, eventBytes(m, len(m.ID.Append(id[:0]))))
}
