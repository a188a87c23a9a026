package disk

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/schemas"
)

// trim drops what a channel holds beyond its limits.
func (g *group) trim(c *meta) error {
	l := c.limits
	_, err := g.drop(c, func(at int64) bool {
		return l.Messages > 0 && c.count > l.Messages || l.Bytes > 0 && c.bytes > l.Bytes && c.count > 1 || c.expiry(at) <= g.now
	})
	return err
}

// drop deletes the oldest messages of a channel, as long as which says so of the
// next one, published at the given time. Messages of this very group stay: they are
// not in the database yet.
func (g *group) drop(c *meta, which func(at int64) bool) (dropped int64, err error) {
	iter, err := messagesFrom(g.e.db(), c.name, c.first)
	if err != nil {
		return 0, err
	}
	next := g.now // what is left is of this group
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		var at int64
		if at, err = timeOf(iter.Value()); err != nil {
			break
		}
		if !which(at) {
			next = at
			break
		}
		size := int64(len(iter.Value()))
		c.count--
		c.bytes -= size
		g.state.bytes -= size
		c.lost = max(c.lost, seqOf(iter.Key()))
		c.first = c.lost + 1
		dropped++
		err = g.batch.Delete(bytes.Clone(iter.Key()), nil)
	}
	c.oldest = next
	return dropped, firstOf(err, iter.Error(), iter.Close())
}

// messagesFrom returns the messages of a channel from a position on.
func messagesFrom(db pebble.Reader, name schemas.Channel, first uint64) (*pebble.Iterator, error) {
	return db.NewIter(&pebble.IterOptions{
		LowerBound: messageKey(nil, name, first),
		UpperBound: upTo(messagesOf(nil, name)),
	})
}

// shrink drops messages of the channels that the agenda looks at next, the oldest
// first, until all together take no more than they may.
func (g *group) shrink() error {
	most := g.e.opts.MaxBytes
	iter, err := g.e.db().NewIter(&pebble.IterOptions{
		LowerBound: agendaKey(min(g.e.tended, g.now), 0),
		UpperBound: []byte{tableAgenda + 1},
	})
	if err != nil {
		return err
	}
	n := 0
	for ok := iter.First(); ok && err == nil && n < lot && g.state.bytes > most; ok = iter.Next() {
		if key := iter.Key(); len(key) > agendaHeader && key[agendaHeader-1] == lookChannel {
			n++
			err = g.giveUp(schemas.Channel(key[agendaHeader:]), most-most/16)
		}
	}
	return firstOf(err, iter.Error(), iter.Close())
}

// giveUp drops messages of a channel until all channels take no more than target.
func (g *group) giveUp(name schemas.Channel, target int64) error {
	c, err := g.meta(name, false)
	if c == nil || err != nil || c.count == 0 {
		return err
	}
	dropped, err := g.drop(c, func(int64) bool { return g.state.bytes > target })
	g.dropped += dropped
	if err != nil {
		return err
	}
	// It goes where its oldest message belongs now, so that others have their turn.
	if c.count == 0 && c.runSeq == 0 {
		c.idle = g.now
	}
	return g.schedule(c)
}

// clear deletes all of a channel, its run status too. It reports whether there was
// anything.
func (g *group) clear(name schemas.Channel) (found bool, err error) {
	c, err := g.meta(name, false)
	if c == nil || err != nil {
		return false, err
	}
	found = c.holds(g.now, g.e.opts.RunsFor)
	if _, err := g.drop(c, func(int64) bool { return true }); err != nil {
		return false, err
	}
	c.lost = max(c.lost, c.last)
	if c.runSeq > 0 {
		c.runSeq, c.runAt = 0, 0
		if err := g.batch.Delete(runKey(name), nil); err != nil {
			return false, err
		}
	}
	if c.idle == 0 {
		c.idle = g.now
	}
	g.durable = true
	return found, g.schedule(c)
}
