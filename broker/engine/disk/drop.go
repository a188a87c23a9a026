package disk

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// drop deletes messages of a channel, which are sorted and not among the kept ones any more.
// They count as lost.
func (g *group) drop(c *meta, items []item) error {
	for len(items) > 0 {
		n := 1
		if g.e.space.full != nil {
			n = c.successive(items)
		}
		if err := g.deleteItems(c, items[:n]); err != nil {
			return err
		}
		items = items[n:]
		g.drops = true
	}
	return nil
}

// successive returns how many of the first items are messages with nothing else in between.
func (c *meta) successive(items []item) int {
	n := 1
	for n < len(items) && items[n-1].open == nil && items[n].open == nil {
		i, kept := slices.BinarySearch(c.kept, items[n-1].seq)
		if kept || i < len(c.kept) && c.kept[i] < items[n].seq {
			break
		}
		n++
	}
	return n
}

// deleteItems deletes successive messages, or one text.
func (g *group) deleteItems(c *meta, items []item) error {
	losses, err := g.losses(c)
	if err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		if err := it.text.keys(func(key []byte) error { return g.batch.Delete(key, nil) }); err != nil {
			return err
		}
		c.count--
		c.bytes -= it.size
		g.state.bytes -= it.size
		c.lost = max(c.lost, it.seq)
		it.lose(losses)
	}
	first, last := &items[0], &items[len(items)-1]
	switch {
	case first.open != nil:
		return g.closeText(c, first.open)
	case first == last:
		return g.batch.Delete(messageKey(nil, c.name, first.seq), nil)
	default:
		// One range tombstone for all takes less space, but makes reads slightly slower. It is
		// only worth it on a full disk.
		return g.batch.DeleteRange(messageKey(nil, c.name, first.seq), messageKey(nil, c.name, last.seq+1), nil)
	}
}

// dropOldest drops the oldest messages of a channel as long as more returns true for the next
// one, even those that are kept over its limits.
func (g *group) dropOldest(c *meta, more func(*item) bool) (dropped int64, err error) {
	if err := g.loadTexts(c); err != nil {
		return 0, err
	}
	v, err := newView(g.e.db())
	if err != nil {
		return 0, err
	}
	kept := v.kept(c, c.texts)
	var drop []item
	for len(kept) > 0 && more(&kept[0]) {
		drop, kept = append(drop, kept[0]), kept[1:]
	}
	next := g.now
	if len(kept) == 0 {
		for it := range v.counted(c, c.texts) {
			it.value = nil
			if !more(&it) {
				next = it.at
				break
			}
			if drop = append(drop, it); it.open == nil {
				c.first = it.seq + 1
			}
		}
	}
	if err := v.close(); err != nil {
		return 0, err
	}
	c.oldest = next
	c.keep(kept)
	slices.SortFunc(drop, bySeq)
	return int64(len(drop)), g.drop(c, drop)
}

// shrink enforces MaxBytes. It drops messages of the channels that come next in the expiry
// index, where the channels with the oldest messages tend to be.
func (g *group) shrink() error {
	limit := g.e.opts.MaxBytes
	iter, err := g.e.db().NewIter(&pebble.IterOptions{
		LowerBound: expiryKey(g.e.tended, 0),
		UpperBound: []byte{tableExpiry + 1},
	})
	if err != nil {
		return err
	}
	n := 0
	for ok := iter.First(); ok && err == nil && n < maxDue && g.state.bytes > limit; ok = iter.Next() {
		if key := iter.Key(); len(key) > expiryHeader && key[expiryHeader-1] == lookChannel {
			n++
			err = g.giveUp(schemas.Channel(key[expiryHeader:]), limit-limit/16)
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
	left := g.state.bytes
	dropped, err := g.dropOldest(c, func(it *item) bool {
		more := left > target
		left -= it.size
		return more
	})
	g.dropped += dropped
	if err != nil {
		return err
	}
	// Its oldest message is newer now, so its entry moves back and others have their turn.
	if c.count == 0 && c.runSeq == 0 {
		c.idle = g.now
	}
	return g.schedule(c)
}

// clear deletes all messages of a channel and its run status. It reports whether there was
// anything to delete.
func (g *group) clear(name schemas.Channel) (found bool, err error) {
	c, err := g.meta(name, false)
	if c == nil || err != nil {
		return false, err
	}
	found = c.holds(g.now, g.e.opts.RunsFor)
	if _, err := g.dropOldest(c, func(*item) bool { return true }); err != nil {
		return false, err
	}
	c.lost = max(c.lost, c.last)
	everything := engine.AllLost(c.lost)
	c.losses = &everything
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
