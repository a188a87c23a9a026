package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/schemas"
)

// The expiry index is ordered by time, so what has expired is found without a search. It has
// one entry for each channel, one for the idempotency keys of each group, one for the record of
// each text, and one for each item of cluster state that expires. The time of an entry says
// when to look at its subject: nothing expires earlier.
const (
	lookChannel = 'c' // subject: the name
	lookKeys    = 'k' // subject: number of the group, or hash of the text; value: hashes in tableKeys
	lookItem    = 'f' // subject: kind, 0, name
)

const expiryHeader = 1 + 8 + 1

func expiryKey(at int64, kind byte) []byte {
	key := make([]byte, 0, expiryHeader+schemas.MaxChannelBytes)
	key = append(key, tableExpiry)
	key = binary.BigEndian.AppendUint64(key, uint64(at))
	return append(key, kind)
}

func appendNumber(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

// schedule moves the channel's entry in the expiry index to the next time when some of the
// channel will have expired.
func (g *group) schedule(c *meta) error {
	due := int64(0)
	sooner := func(at int64) {
		if due == 0 || at < due {
			due = at
		}
	}
	if c.count > 0 {
		// An eighth of the age later, more messages can be dropped at once.
		sooner(c.expiry(c.oldest) + c.limits.Age.Milliseconds()/8)
	}
	if c.runSeq > 0 {
		sooner(c.runAt + g.e.opts.RunsFor.Milliseconds())
	}
	if c.idle > 0 && due == 0 {
		sooner(c.idle + g.e.opts.RememberFor.Milliseconds())
	}
	due = max(due, g.now+1)
	if due == c.due {
		return nil
	}
	if c.due != 0 {
		if err := g.batch.Delete(append(expiryKey(c.due, lookChannel), c.name...), nil); err != nil {
			return err
		}
	}
	c.due = due
	return g.batch.Set(append(expiryKey(due, lookChannel), c.name...), nil, nil)
}

// maxDue is how many entries of the expiry index one group handles. It bounds how long
// publishes wait for expiry.
const maxDue = 128

// tend handles entries of the expiry index that are due, and reports whether there are more.
func (g *group) tend() (more bool, err error) {
	iter, err := g.e.db().NewIter(&pebble.IterOptions{
		LowerBound: expiryKey(g.e.tended, 0),
		UpperBound: expiryKey(g.now+1, 0),
	})
	if err != nil {
		return false, err
	}
	n := 0
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		if n++; n > maxDue {
			more = true
			break
		}
		g.drops = true
		if err = g.look(iter.Key(), iter.Value()); err == nil {
			err = g.batch.Delete(iter.Key(), nil)
		}
	}
	if err = firstOf(err, iter.Error(), iter.Close()); err != nil {
		return false, err
	}
	return more, nil
}

// look handles one entry of the expiry index.
func (g *group) look(key, value []byte) error {
	if len(key) <= expiryHeader {
		return fmt.Errorf("%s: %w", describe(key), errRecord)
	}
	subject := key[expiryHeader:]
	switch key[expiryHeader-1] {
	case lookChannel:
		return g.expireChannel(schemas.Channel(subject), int64(binary.BigEndian.Uint64(key[1:])))
	case lookKeys:
		for ; len(value) >= len(keyHash{}); value = value[len(keyHash{}):] {
			hash := keyHash(value[:len(keyHash{})])
			g.state.remembered--
			g.e.fences.Drop(hash) // if the group fails, the database still has it
			if err := g.batch.Delete(receiptKey(hash), nil); err != nil {
				return err
			}
		}
		return nil
	case lookItem:
		return g.expireItem(subject)
	}
	return fmt.Errorf("%s: %w: unknown entry of the expiry index", describe(key), errRecord)
}

// expireChannel drops what has expired of a channel. Once the channel has been empty for
// RememberFor, it removes the channel itself.
func (g *group) expireChannel(name schemas.Channel, due int64) error {
	c, err := g.meta(name, false)
	if c == nil || err != nil || c.due != due {
		return err
	}
	c.due = 0
	if c.count > 0 {
		if err := g.trim(c); err != nil {
			return err
		}
	}
	if c.runSeq > 0 && !c.hasRun(g.now, g.e.opts.RunsFor) {
		c.runSeq, c.runAt = 0, 0
		if err := g.batch.Delete(runKey(name), nil); err != nil {
			return err
		}
	}
	if c.count == 0 && c.runSeq == 0 {
		if c.idle > 0 && c.idle+g.e.opts.RememberFor.Milliseconds() <= g.now {
			return g.remove(c)
		}
		if c.idle == 0 {
			c.idle = g.now
		}
	}
	return g.schedule(c)
}

// remove removes a channel and records its loss, see forget.
func (g *group) remove(c *meta) error {
	for i, t := range g.touched {
		if t == c {
			g.touched = append(g.touched[:i], g.touched[i+1:]...)
			break
		}
	}
	c.touched = false
	g.gone = append(g.gone, c.name)
	return g.forget(c.name, max(c.lost, c.last))
}

// expireItem removes an item of cluster state, unless it was stored again with a later time.
func (g *group) expireItem(subject []byte) error {
	key := append([]byte{tableItems}, subject...)
	var f clusterstate.Item
	found, err := get(g.e.db(), key, func(b []byte) (err error) {
		f, err = decodeItem(b, "", "")
		return err
	})
	if err != nil || !found || f.ExpiresAt.IsZero() || f.ExpiresAt.UnixMilli() > g.now {
		return err
	}
	return g.batch.Delete(key, nil)
}
