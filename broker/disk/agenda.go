package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/schemas"
)

// The agenda says what is to be looked at when, so that nothing is ever searched for
// what has become too old: each channel, once; the keys that a group remembered; the
// facts that end.
const (
	lookChannel = 'c' // what: the name
	lookKeys    = 'k' // what: number of the group; value: hashes
	lookFact    = 'f' // what: kind, 0, name
)

const agendaHeader = 1 + 8 + 1

func agendaKey(at int64, kind byte) []byte {
	key := make([]byte, 0, agendaHeader+schemas.MaxChannelBytes)
	key = append(key, tableAgenda)
	key = binary.BigEndian.AppendUint64(key, uint64(at))
	return append(key, kind)
}

func appendNumber(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

// schedule moves the channel's entry to where something of it will have to go.
func (g *group) schedule(c *meta) error {
	due := int64(0)
	sooner := func(at int64) {
		if due == 0 || at < due {
			due = at
		}
	}
	if c.count > 0 {
		// In lots: an eighth later there is more to drop.
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
		if err := g.batch.Delete(append(agendaKey(c.due, lookChannel), c.name...), nil); err != nil {
			return err
		}
	}
	c.due = due
	return g.batch.Set(append(agendaKey(due, lookChannel), c.name...), nil, nil)
}

// lot is how many entries of the agenda are done with in one group: publishes wait
// no longer than that takes.
const lot = 128

// tend does what is due, a lot of it, and reports whether there is more.
func (g *group) tend() (more bool, err error) {
	iter, err := g.e.db().NewIter(&pebble.IterOptions{
		LowerBound: agendaKey(min(g.e.tended, g.now), 0),
		UpperBound: agendaKey(g.now+1, 0),
	})
	if err != nil {
		return false, err
	}
	n := 0
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		if n++; n > lot {
			more = true
			break
		}
		if err = g.look(iter.Key(), iter.Value()); err == nil {
			err = g.batch.Delete(iter.Key(), nil)
		}
	}
	if err = firstOf(err, iter.Error(), iter.Close()); err != nil {
		return false, err
	}
	return more, nil
}

// look does what one entry of the agenda stands for.
func (g *group) look(key, value []byte) error {
	if len(key) <= agendaHeader {
		return fmt.Errorf("%s: %w", describe(key), errRecord)
	}
	what := key[agendaHeader:]
	switch key[agendaHeader-1] {
	case lookChannel:
		return g.lookAt(schemas.Channel(what), int64(binary.BigEndian.Uint64(key[1:])))
	case lookKeys:
		for ; len(value) >= len(keyHash{}); value = value[len(keyHash{}):] {
			g.state.remembered--
			if err := g.batch.Delete(receiptKey(nil, keyHash(value[:len(keyHash{})])), nil); err != nil {
				return err
			}
		}
		return nil
	case lookFact:
		return g.endFact(what)
	}
	return fmt.Errorf("%s: %w: unknown entry of the agenda", describe(key), errRecord)
}

// lookAt drops what is too old of a channel, and the channel itself when nothing has
// been left of it for long enough.
func (g *group) lookAt(name schemas.Channel, due int64) error {
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
	if c.runSeq > 0 && !c.running(g.now, g.e.opts.RunsFor) {
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

// remove leaves no trace of a channel but in the cells.
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

// endFact forgets a fact whose time has come. One that was told again since has
// another time.
func (g *group) endFact(what []byte) error {
	key := append([]byte{tableFacts}, what...)
	var f facts.Fact
	found, err := get(g.e.db(), key, func(b []byte) (err error) {
		f, err = decodeFact(b, "", "")
		return err
	})
	if err != nil || !found || f.Until.IsZero() || f.Until.UnixMilli() > g.now {
		return err
	}
	return g.batch.Delete(key, nil)
}
