package broker

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

func newCursor(s *Stream, sh *shard, filter *channelFilter) *cursor {
	_, exact := filter.selectors[0].Channel.Exact()
	c := &cursor{
		stream: s, shard: sh, filter: filter, single: exact && len(filter.selectors) == 1,
		topics: filter.selectors[0].Topics, arrival: new(arrival),
	}
	for _, sel := range filter.selectors {
		c.skips = c.skips || !sel.Topics.All()
	}
	return c
}

// enter makes the cursor a reader of its channels and finds out where it starts.
func (c *cursor) enter(ctx context.Context, sub Subscription) error {
	if err := c.shard.current(); err != nil {
		return err
	}
	c.arrival.joinedAt = c.shard.seq.Watermark()
	// The position is 0 now. Until the start is known, the logs hold everything for the
	// cursor.
	for _, sel := range c.filter.selectors {
		if name, exact := sel.Channel.Exact(); exact {
			c.shard.registry.attach(c, name)
		} else {
			c.shard.registry.attachPattern(c, sel.Channel)
		}
	}
	lost, err := c.shard.store.prepare(ctx, c, sub)
	if err != nil {
		return err
	}
	complete := c.shard.seq.Watermark() // before the channels are looked up: what comes after it may be in one that is not found
	channels, absent := c.present(lost)
	c.setStart(channels, absent, complete, sub)
	return nil
}

// leave undoes enter.
func (c *cursor) leave() {
	c.depart()
	defer c.written(true) // once nobody can find the cursor, and have it follow one more message
	c.arrival.over(c.stream.messages, false)
	sh := c.shard
	defer sh.store.release(c)
	for _, sel := range c.filter.selectors {
		if name, exact := sel.Channel.Exact(); !exact {
			sh.registry.detachPattern(c, sel.Channel)
		} else if ch := sh.registry.detach(c, name); ch != nil {
			ch.mu.Lock()
			if !ch.readers.hasIndividual() {
				ch.log.Floor = ring.NoReader // no reader is left to measure it
			}
			sh.trim(ch, time.Now()) // drops what was held for the cursor
			ch.wakePublishers()
			ch.mu.Unlock()
			sh.forget(ch)
		}
	}
}

// absence is a name or pattern that a stream asked for, of which channels may have been
// forgotten. Their messages up to lost may be lost.
type absence struct {
	pattern schemas.Pattern
	lost    uint64
}

// present returns the channels of the cursor that exist, and what may be missing. lost
// is what the engine says of patterns.
func (c *cursor) present(lost map[schemas.Pattern]uint64) (found []*channel, absent []absence) {
	registry := c.shard.registry
	seen := make(map[*channel]bool, 1)
	add := func(ch *channel) {
		if !seen[ch] {
			seen[ch] = true
			found = append(found, ch)
		}
	}
	for _, sel := range c.filter.selectors {
		name, exact := sel.Channel.Exact()
		if !exact {
			for ch := range registry.matching(sel.Channel) {
				add(ch)
			}
			absent = append(absent, absence{pattern: sel.Channel, lost: max(lost[sel.Channel], registry.lostOf(sel.Channel))})
		} else if ch := registry.get(name); ch != nil {
			add(ch)
		} else {
			absent = append(absent, absence{pattern: sel.Channel, lost: registry.lostOfAbsent(name)})
		}
	}
	return found, absent
}

// setStart finds out where the cursor starts and what its client is told first. Every
// message up to the position complete is in the log of one of the channels, and the
// cursor is notified of those above, as it is a reader already. A replay therefore starts
// there. The newest position would be too late: its message may not be in its log yet.
func (c *cursor) setStart(channels []*channel, absent []absence, complete uint64, sub Subscription) {
	now := time.Now()
	newest := c.shard.seq.Last()
	after, known := c.shard.position(sub.LastEventID)
	var start uint64
	switch {
	case sub.LastEventID == "" && sub.Replay.None():
		start = newest
		c.arrival.preamble.runs = channels
	case sub.LastEventID == "":
		start = c.selectReplay(channels, sub.Replay, now, complete)
		c.arrival.preamble.runs = channels
	case !known || after > newest:
		start = c.selectReplay(channels, ring.ReplayAll(), now, complete)
		c.arrival.preamble.runs = channels
		c.restarted(sub.LastEventID)
	default:
		start = after
		c.arrival.preamble.resumed = true
		c.resume(channels, absent, now, start)
	}
	c.start.Store(start)
	c.position.Store(start)
	c.reported = start
	c.setHole(start, c.arrival.preamble.resumed)
}

// resume makes sources of the channels that have or have lost something after the
// position.
func (c *cursor) resume(channels []*channel, absent []absence, now time.Time, position uint64) {
	for _, ch := range channels {
		ch.mu.Lock()
		c.shard.trim(ch, now)
		c.shard.notifier.notifyNewReader(ch)
		news := ch.log.Last() > position || ch.log.Lost() > position
		ch.mu.Unlock()
		if news {
			c.addSource(&source{ring.NewReader(c.filter.topics(ch.name), 0, ch.coldAtStart.Load()), ch})
		}
	}
	for _, a := range absent {
		if a.lost > position {
			c.arrival.preamble.gaps = append(c.arrival.preamble.gaps, loss{channel: a.pattern, upTo: a.lost, reason: ring.Expired})
		}
	}
}

// restarted tells the client that everything between its id and this log is lost, for
// each name and pattern that it asked for.
func (c *cursor) restarted(lastEventID string) {
	const longest = 64 // bytes of a text that is not an id
	if _, err := schemas.ParsePosition(lastEventID); err != nil && len(lastEventID) > longest {
		lastEventID = lastEventID[:longest]
	}
	for _, sel := range c.filter.selectors {
		c.arrival.preamble.gaps = append(c.arrival.preamble.gaps, loss{channel: sel.Channel, asked: lastEventID, resumes: c.firstAfter(sel, 0), reason: ring.Restarted})
	}
}

// selectReplay makes sources of what the replay asks for. It returns the position just
// before the first message, start if that is lower.
func (c *cursor) selectReplay(channels []*channel, replay ring.Replay, now time.Time, start uint64) uint64 {
	for _, ch := range channels {
		src := &source{ring.NewReader(c.filter.topics(ch.name), 0, ch.coldAtStart.Load()), ch}
		ch.mu.Lock()
		c.shard.trim(ch, now)
		first, some := src.Select(&ch.log, replay)
		if some {
			start = min(start, first-1)
		}
		c.shard.notifier.notifyNewReader(ch)
		ch.mu.Unlock()
		c.addSource(src)
	}
	return start
}
