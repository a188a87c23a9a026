package disk

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// meta is the metadata of a channel. Only the committer changes it. Readers decode their
// own copy from the database. Times are in milliseconds since the epoch.
type meta struct {
	name   schemas.Channel
	first  uint64 // every stored message but the kept ones has this position or a higher one
	last   uint64 // newest position
	count  int    // stored messages; a text is one
	bytes  int64  // size of their values and segments
	lost   uint64 // messages up to this position may be lost, see losses.go for their topics
	oldest int64  // when the first stored message was published, or earlier
	newest int64  // when the last stored message was published
	runSeq uint64 // position of the latest run message; 0: none
	runAt  int64  // its time
	due    int64  // time of the channel's entry in the expiry index; 0: it has none
	idle   int64  // since when nothing is stored; 0: something is, or it was not checked yet
	limits engine.Limits
	open   int // texts that go on

	// Messages that are kept over the limits: positions of messages, and ids of open texts.
	// They are sorted.
	kept      []uint64
	keptBytes int64

	texts   []*openText // those that go on, once they are loaded
	loaded  bool
	touched bool           // the current group changes it
	losses  *engine.Losses // with those of the current group; nil: it has none
	was     []byte         // its value in the database, before that; empty: there is none
	grew    growth         // of the group, see pack
}

func (c *meta) append(b []byte) []byte {
	b = append(b, metaVersion)
	for _, n := range [...]uint64{
		c.first, c.last, uint64(c.count), uint64(c.bytes), c.lost, uint64(c.oldest), uint64(c.newest),
		c.runSeq, uint64(c.runAt), uint64(c.due), uint64(c.idle),
	} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendLimits(b, c.limits)
	for _, n := range [...]uint64{uint64(c.open), uint64(c.keptBytes), uint64(len(c.kept))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, seq := range c.kept {
		b = binary.AppendUvarint(b, seq)
	}
	return b
}

func decodeMeta(b []byte, name schemas.Channel) (meta, error) {
	d := decoder{rest: b}
	written := d.version(metaVersion)
	c := meta{name: name}
	c.first, c.last = d.number(), d.number()
	c.count, c.bytes = int(d.number()), int64(d.number())
	c.lost = d.number()
	c.oldest, c.newest = int64(d.number()), int64(d.number())
	c.runSeq, c.runAt = d.number(), int64(d.number())
	c.due, c.idle = int64(d.number()), int64(d.number())
	c.limits = d.limits()
	if written > 1 {
		c.open, c.keptBytes = int(d.number()), int64(d.number())
		for n := d.number(); n > 0 && d.err == nil; n-- {
			c.kept = append(c.kept, d.number())
		}
	}
	return c, d.end()
}

// expiry returns when a message that was published at the given time expires.
func (c *meta) expiry(at int64) int64 { return at + max(1, c.limits.Age.Milliseconds()) }

// holds reports whether the channel has a message or a run status at the given time.
func (c *meta) holds(now int64, runsFor time.Duration) bool {
	return c.count > 0 && c.expiry(c.newest) > now || c.hasRun(now, runsFor)
}

// hasRun reports whether the channel has a run status that has not expired.
func (c *meta) hasRun(now int64, runsFor time.Duration) bool {
	return c.runSeq > 0 && c.runAt+runsFor.Milliseconds() > now
}

// overfull reports whether the channel exceeds its limits by so much that trimming it pays.
// To trim it after each message would cost more than the message itself.
func (c *meta) overfull() bool {
	l, count, bytes := c.limits, c.count-len(c.kept), c.bytes-c.keptBytes
	return l.Messages > 0 && count > l.Messages+max(64, l.Messages/4) ||
		l.Bytes > 0 && bytes > l.Bytes+l.Bytes/4 && count > 1 && (count > 64 || bytes > l.Bytes+trimAtBytes)
}

// trimAtBytes is how far few but large messages may exceed the limit of bytes until they are
// trimmed.
const trimAtBytes = 256 << 10

// readMeta reads the metadata of a channel. It returns nil if there is none.
func readMeta(db getter, name schemas.Channel) (*meta, error) {
	var c meta
	found, err := db.get(channelKey(name), func(b []byte) (err error) {
		c, err = decodeMeta(b, name)
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	return &c, nil
}

// meta returns a channel for the group to change. If there is none, it returns nil, or
// creates the channel if create is set. A new channel starts with the loss that is recorded
// for earlier channels of its name.
func (g *group) meta(name schemas.Channel, create bool) (*meta, error) {
	c, cached := g.e.metas.Get(name)
	made := false
	if !cached {
		var err error
		if c, err = readMeta(current{g.e.db()}, name); err != nil {
			return nil, err
		}
		if c == nil {
			if !create {
				return nil, nil
			}
			lost, err := readLost(current{g.e.db()}, cellOf(string(name)))
			if err != nil {
				return nil, err
			}
			c, made = &meta{first: 1, lost: lost}, true
		}
		c.name = schemas.Channel(strings.Clone(string(name))) // name may be a part of a large string
		g.e.metas.Put(c.name, c)
	}
	if !c.touched {
		c.touched = true
		if c.was = c.was[:0]; !made && c.open > 0 {
			c.was = c.append(c.was)
		}
		g.touched = append(g.touched, c)
	}
	return c, nil
}
