package disk

import (
	"slices"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// What exceeds the limits of a channel goes oldest first, a text as a whole. But the latest
// message of each topic, and texts that go on, are kept over the limits: at most maxKept of
// them, and together no more bytes than the limits allow for the others. [meta.kept] says
// which those are. They do not count for the limits, and positions around them are lost.
//
// That is decided when a channel is trimmed, which happens once it exceeds its limits by
// some more, and again when it is loaded, for what has not been trimmed yet.

// maxKept is how many messages of a channel are kept over its limits.
const maxKept = 32

// retention decides what of a channel is dropped.
type retention struct {
	limits engine.Limits
	count  int
	bytes  int64
	kept   []item // over the limits so far
	over   []item // exceed them now
}

func (c *meta) retention(kept []item) retention {
	return retention{limits: c.limits, count: c.count - len(c.kept), bytes: c.bytes - c.keptBytes, kept: kept}
}

// exceeds takes the next message, oldest first, if it exceeds the limits at the time now.
func (r *retention) exceeds(it item, now int64) bool {
	l := r.limits
	over := l.Messages > 0 && r.count > l.Messages || l.Bytes > 0 && r.bytes > l.Bytes && r.count > 1
	if !over && !r.expired(&it, now) {
		return false
	}
	r.count--
	r.bytes -= it.size
	r.over = append(r.over, it)
	return true
}

func (r *retention) expired(it *item, now int64) bool { return it.at+r.limits.AgeMillis() <= now }

// topics returns the topics whose latest message may be among those that exceed the limits.
func (r *retention) topics(now int64) map[schemas.Topic]bool {
	topics := make(map[schemas.Topic]bool)
	for i := range r.over {
		if it := &r.over[i]; !it.run && !r.expired(it, now) {
			topics[it.topic] = true
		}
	}
	return topics
}

// decide divides what is kept over the limits, and what exceeds them, into what goes and what
// is kept. latest are the topics of which nothing newer is there than what exceeds the limits.
func (r *retention) decide(latest map[schemas.Topic]bool, now int64) (drop, keep []item) {
	superseded := make(map[schemas.Topic]bool)
	for i := range r.over {
		if topic := r.over[i].topic; !latest[topic] {
			superseded[topic] = true
		}
	}
	all := append(slices.Clone(r.kept), r.over...)
	slices.SortFunc(all, bySeq)
	bytes := int64(0)
	for _, it := range slices.Backward(all) {
		wanted := it.open != nil && !it.open.ended || !it.run && !superseded[it.topic]
		superseded[it.topic] = true
		fits := len(keep) < maxKept && (r.limits.Bytes <= 0 || bytes+it.size <= r.limits.Bytes)
		if !wanted || !fits || r.expired(&it, now) {
			drop = append(drop, it)
			continue
		}
		keep = append(keep, it)
		bytes += it.size
	}
	slices.Reverse(drop)
	slices.Reverse(keep)
	return drop, keep
}

// trim drops the messages of a channel that exceed its limits. It leaves those of this group,
// which are not in the database yet.
func (g *group) trim(c *meta) error {
	if err := g.loadTexts(c); err != nil {
		return err
	}
	v, err := newView(g.e.db())
	if err != nil {
		return err
	}
	r := c.retention(v.kept(c, c.texts))
	next := g.now // if all are dropped, only messages of this group are left
	first := c.first
	for it := range v.counted(c, c.texts) {
		it.value = nil
		if !r.exceeds(it, g.now) {
			next = it.at
			break
		}
		if it.open == nil {
			first = it.seq + 1
		}
	}
	latest := r.topics(g.now)
	g.newer(v, c, &r, first, latest)
	if err := v.close(); err != nil {
		return err
	}
	drop, keep := r.decide(latest, g.now)
	c.first, c.oldest = first, next
	c.keep(keep)
	return g.drop(c, drop)
}

// newer removes the topics of which there is something newer than what exceeds the limits.
func (g *group) newer(v *view, c *meta, r *retention, from uint64, topics map[schemas.Topic]bool) {
	for _, q := range g.entries {
		if q.meta == c {
			delete(topics, q.entry.Topic)
		}
	}
	for _, t := range c.texts {
		if n := len(r.over); n > 0 && t.seq > r.over[n-1].seq {
			delete(topics, t.topic)
		}
	}
	if len(topics) == 0 {
		return
	}
	for it := range v.messages(c.name, from, true) {
		if delete(topics, it.topic); len(topics) == 0 {
			return
		}
	}
}

// keep notes which messages are kept over the limits.
func (c *meta) keep(items []item) {
	c.kept, c.keptBytes = c.kept[:0], 0
	for i := range items {
		it := &items[i]
		c.kept = append(c.kept, it.ref())
		c.keptBytes += it.size
		c.oldest = min(c.oldest, it.at)
	}
	slices.Sort(c.kept)
}
