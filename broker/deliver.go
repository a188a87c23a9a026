package broker

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/schemas"
)

// sink is where the engine of a persistent store delivers to.
type sink struct{ *persistent }

// Wait implements [engine.Sink]. Errors: [ErrBusy], [ErrClosed] and that of ctx.
func (s sink) Wait(ctx context.Context, name schemas.Channel) error {
	now := time.Now()
	c, err := s.shard.lockExisting(name, now)
	if c != nil && s.shard.backlogFull(c, now) {
		c, err = s.shard.waitForReaders(ctx, c, now, s.shard.lockExisting)
	}
	if c != nil {
		c.mu.Unlock()
	}
	return err
}

// Deliver implements [engine.Sink].
func (s sink) Deliver(m schemas.Message, limits engine.Limits) {
	s.shard.deliver(&m, limits)
	s.watch.Saw(&m)
}

// DeliverMissed implements [engine.Sink]. As the watermark stays where it is, streams that
// merge channels wait, and have the message in its turn if they are not past it.
func (s sink) DeliverMissed(m schemas.Message, limits engine.Limits) {
	s.shard.notifier.appended(s.shard.enter(&m, limits))
	s.watch.Saw(&m)
}

// Drop implements [engine.Sink].
func (s sink) Drop(name schemas.Channel) bool { return s.shard.dropDeleted(name) }

// Reached implements [engine.Sink].
func (s sink) Reached(position uint64) {
	s.shard.seq.Reach(position)
	s.shard.notifier.signal()
}

// Sever implements [engine.Sink]. Every stream that reads the shard ends, and the store
// serves no new ones until the engine is ready again.
func (s sink) Sever() {
	s.severed.Store(true)
	for _, stream := range s.shard.broker.streams.open() {
		if stream.reads(s.shard) {
			stream.End(EngineUnavailable())
		}
	}
}

// deliver enters a message that an engine has given its position, before which nothing is
// missing.
func (sh *shard) deliver(m *schemas.Message, limits engine.Limits) {
	waits := sh.enter(m, limits)
	sh.seq.Reach(m.ID.Seq)
	sh.notifier.appended(waits)
}

// enter appends a message that an engine has given its position to the log of its
// channel, if anybody reads that. It reports whether the channel waits for a round of the
// notifier.
//
// It records the position before it looks for readers, so that a reader that comes
// later starts after the message. A message below the watermark is out of order: the
// engine had missed it and has delivered later ones.
func (sh *shard) enter(m *schemas.Message, limits engine.Limits) (waits bool) {
	now := time.Now()
	m.ID.Shard = sh.number
	sh.seq.Observe(m.ID.Seq)
	if c := sh.lockIfRead(m.Channel, m.ID.Seq, now); c != nil {
		var followed *delivery.Followed
		if m.ID.Seq > c.log.Last() {
			outOfOrder := m.ID.Seq <= sh.seq.Watermark()
			waits, followed = sh.append(c, m, sh.limitsOf(m.Channel, limits), runChange(m))
			if outOfOrder && waits {
				c.queueOutOfOrder()
			}
		} else if waits = c.readers.notifyGroups(); waits {
			// It came into the log when the channel was loaded, and nobody has been
			// notified of it.
			sh.notifier.enqueue(c)
		}
		c.mu.Unlock()
		followed.Entered()
	}
	if sh.logBytes.Load() > sh.opts.Memory {
		sh.shrink(now)
	}
	return waits
}

// lockIfRead returns the channel with its mutex held, nil if nobody reads it. If the
// channel does not exist but somebody waits for it, it is created, with seq as its
// first message.
func (sh *shard) lockIfRead(name schemas.Channel, seq uint64, now time.Time) *channel {
	for {
		c := sh.registry.get(name)
		if c == nil {
			if !sh.registry.wanted(name) {
				return nil
			}
			if sh.registry.count.Load() >= int64(sh.opts.MaxChannels) {
				sh.makeRoom(now) // if no channel can go, all have readers, whose number is bounded
			}
			var made bool
			if c, made = sh.registry.create(name, seq, nil); made {
				sh.logBytes.Add(channelOverhead)
			}
		}
		c.mu.Lock()
		if !c.gone {
			return c
		}
		c.mu.Unlock()
	}
}

// runChange returns the run change that m carries, nil if it is not a run message.
func runChange(m *schemas.Message) *schemas.RunChange {
	if m.Kind != schemas.KindRun {
		return nil
	}
	change, err := schemas.ParseRunChange(m)
	if err != nil {
		return nil // was not written by a broker
	}
	return &change
}

// limitsOf fills in the limits of a channel that the engine does not know.
func (sh *shard) limitsOf(name schemas.Channel, l engine.Limits) engine.Limits {
	if sh.opts.LimitsOf != nil && l == (engine.Limits{}) {
		l = sh.opts.LimitsOf(name)
	}
	return l.Or(sh.opts.Replay)
}

// lockExisting returns a channel that existed a moment ago, with its mutex held. It
// returns nil if the channel is gone, which means that nobody reads it any more.
func (sh *shard) lockExisting(name schemas.Channel, _ time.Time) (*channel, error) {
	for {
		c := sh.registry.get(name)
		if c == nil {
			return nil, nil
		}
		c.mu.Lock()
		if !c.gone {
			return c, nil
		}
		c.mu.Unlock()
	}
}

// dropDeleted forgets a deleted channel and ends the streams that named it. It reports
// whether the channel was known here.
func (sh *shard) dropDeleted(name schemas.Channel) bool {
	reason := channelDeleted(name)
	waiting := sh.registry.waitingStreams(name)
	found := len(waiting) > 0
	if c := sh.registry.get(name); c != nil {
		found = sh.remove(c, ring.Expired, nil, &reason) || found
	}
	for _, s := range waiting {
		s.End(reason)
	}
	return found
}

// follow begins to follow m, if that is wanted, to the readers that are up to date. These are
// the members of groups whose clients accept what they are sent, and those other readers that
// have been sent everything that was there when they came. The caller holds c.mu, so none of
// them has read m yet.
func (sh *shard) follow(c *channel, m *schemas.Message) *delivery.Followed {
	followed := sh.opts.Deliveries.Follow(m.Traceparent)
	if followed == nil {
		return nil
	}
	followed.Describe(delivery.Message{Channel: string(m.Channel), Topic: string(m.Topic), ID: m.ID.String(), Position: m.ID.Seq})
	clock := sh.broker.clock(time.Now())
	c.readers.each(func(cu *cursor) {
		if cu.live.Load() && !cu.isLagging() && !cu.stream.away(clock) && wanted(cu.filter.topics(m.Channel), m.Topic) {
			cu.follow(followed)
		}
	})
	c.readers.follow(followed)
	return followed
}

// follow adds m to what is on its way to groups.
func (s *subscribers) follow(m *delivery.Followed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		g.following.Add(m)
	}
}

// follow adds m to what is on its way to c.
func (c *cursor) follow(m *delivery.Followed) {
	if c.following.Load() == nil {
		c.following.CompareAndSwap(nil, new(delivery.List))
	}
	c.following.Load().Add(m)
}

// written notes that the client has what comes up to the cursor's position, or that it did not
// take that in time.
func (c *cursor) written(late bool) {
	list := c.following.Load()
	if list == nil || list.Empty() {
		return
	}
	turn := delivery.Turn{To: c.position.Load(), Late: late}
	if late {
		turn.To = 0
	}
	list.Served(turn, nil)
	if late {
		list.Passed(ring.NoReader)
	} else {
		list.Passed(turn.To)
	}
}

// written notes what so, which kept up before, has been sent since it was at a position.
func (so *socket) written(from uint64) {
	c := so.cursor
	if so.group != nil && !so.group.following.Empty() {
		turn := delivery.Turn{From: from, To: c.position.Load(), Late: c.isLagging(), Wants: c.wants}
		if turn.Late {
			turn.To = max(from, turn.To-1) // of the last one, a part is missing
		}
		so.group.following.Served(turn, c.following.Load())
	}
	c.written(c.isLagging())
}

// wants reports whether the cursor of one channel asks for a topic.
func (c *cursor) wants(topic string) bool { return wanted(c.topics, schemas.Topic(topic)) }

// wanted reports whether readers that ask for topics are sent messages of the given one.
func wanted(topics schemas.TopicSet, topic schemas.Topic) bool {
	return topic == schemas.TopicRun || topics.Has(topic)
}
