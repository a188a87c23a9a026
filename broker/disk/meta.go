package disk

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// meta is what is known of a channel without reading its messages. The committer
// alone changes it; readers decode their own from the database.
type meta struct {
	name   schemas.Channel
	first  uint64 // no message that is kept is below it
	last   uint64 // newest position
	count  int    // messages that are kept
	bytes  int64  // of their values
	lost   uint64 // messages up to here may be lost
	oldest int64  // when the first message that is kept was published, or earlier
	newest int64  // when the last one was
	runSeq uint64 // of the latest run message; 0: none
	runAt  int64
	due    int64 // when the agenda looks at the channel; 0: never
	idle   int64 // since when nothing is kept; 0: something is, or the agenda has not looked yet
	limits broker.Limits

	touched bool // by the group that is being made
}

func (c *meta) append(b []byte) []byte {
	b = append(b, version)
	for _, n := range [...]uint64{
		c.first, c.last, uint64(c.count), uint64(c.bytes), c.lost, uint64(c.oldest), uint64(c.newest),
		c.runSeq, uint64(c.runAt), uint64(c.due), uint64(c.idle),
	} {
		b = binary.AppendUvarint(b, n)
	}
	return appendLimits(b, c.limits)
}

func decodeMeta(b []byte, name schemas.Channel) (meta, error) {
	d := decoder{rest: b}
	d.version()
	c := meta{name: name}
	c.first, c.last = d.number(), d.number()
	c.count, c.bytes = int(d.number()), int64(d.number())
	c.lost = d.number()
	c.oldest, c.newest = int64(d.number()), int64(d.number())
	c.runSeq, c.runAt = d.number(), int64(d.number())
	c.due, c.idle = int64(d.number()), int64(d.number())
	c.limits = d.limits()
	return c, d.end()
}

// expiry is when a message of the given time is too old.
func (c *meta) expiry(at int64) int64 { return at + max(1, c.limits.Age.Milliseconds()) }

// holds reports whether anything is kept at the given time.
func (c *meta) holds(now int64, runsFor time.Duration) bool {
	return c.count > 0 && c.expiry(c.newest) > now || c.running(now, runsFor)
}

// running reports whether the run status is kept.
func (c *meta) running(now int64, runsFor time.Duration) bool {
	return c.runSeq > 0 && c.runAt+runsFor.Milliseconds() > now
}

// over reports whether the channel holds so much more than it may that it is worth
// while to drop the excess. At each message that would cost more than the message.
func (c *meta) over() bool {
	l := c.limits
	return l.Messages > 0 && c.count > l.Messages+max(64, l.Messages/4) ||
		l.Bytes > 0 && c.bytes > l.Bytes+l.Bytes/4 && c.count > 64
}

// metas are the channels that the committer has had to do with lately: those since
// the last turn, and those of the turn before.
type metas struct {
	young, old map[schemas.Channel]*meta
}

const metasPerTurn = 8192 // more than a group can touch

func (m *metas) get(name schemas.Channel) *meta {
	if c := m.young[name]; c != nil {
		return c
	}
	c := m.old[name]
	if c != nil {
		m.put(c)
	}
	return c
}

func (m *metas) put(c *meta) {
	if len(m.young) >= metasPerTurn || m.young == nil {
		m.young, m.old = make(map[schemas.Channel]*meta), m.young
	}
	m.young[c.name] = c
}

func (m *metas) drop(name schemas.Channel) {
	delete(m.young, name)
	delete(m.old, name)
}

// readMeta returns what is kept of a channel, nil if there is nothing.
func readMeta(db pebble.Reader, name schemas.Channel) (*meta, error) {
	var c meta
	found, err := get(db, channelKey(name), func(b []byte) (err error) {
		c, err = decodeMeta(b, name)
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	return &c, nil
}

// meta returns the channel for the group to change, made if need be. A new one
// begins with what channels of its name may have lost.
func (g *group) meta(name schemas.Channel, create bool) (*meta, error) {
	c := g.e.metas.get(name)
	if c == nil {
		var err error
		if c, err = readMeta(g.e.db(), name); err != nil {
			return nil, err
		}
		if c == nil {
			if !create {
				return nil, nil
			}
			lost, err := readLost(g.e.db(), cellOf(string(name)))
			if err != nil {
				return nil, err
			}
			c = &meta{first: 1, lost: lost}
		}
		c.name = schemas.Channel(strings.Clone(string(name))) // the caller's may be a part of something large
		g.e.metas.put(c)
	}
	if !c.touched {
		c.touched = true
		g.touched = append(g.touched, c)
	}
	return c, nil
}
