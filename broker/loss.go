package broker

import (
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// A loss is reported once. A resuming client says with its position what it already
// knows: once that is past the loss, it is not told again. So a cursor reports a loss
// as late as it can, after everything older that it sends. If nothing newer takes the
// client's position past the loss at once, the stream sends its position ($position).
//
// There are two kinds of loss. A log knows which of its own messages it has dropped,
// and a [ring.Gap] says so. A hole concerns a whole shard: after a power failure the
// engine cannot say what any channel has lost. A cursor that starts before the hole
// first hands out everything up to it, then reports it for everything that the stream
// asked for, and goes on behind it.

// hole is a range of positions in which any channel may have lost messages without a
// trace, see [engine.Origin.Lost]. Nothing older than the hole is missing, and no
// message has a position inside.
type hole struct {
	upTo   uint64
	silent bool // the client need not be told: it starts afresh
}

// setHole gives the cursor the shard's hole if it starts before that. A client that
// does not resume need not be told of it.
func (c *cursor) setHole(position uint64, resumed bool) {
	if upTo := c.shard.origin.Lost; position < upTo {
		c.arrival.hole = &hole{upTo: upTo, silent: !resumed}
	}
}

// passHole moves the cursor past the hole. It has handed out everything older.
func (c *cursor) passHole(b *Batch) {
	h := c.arrival.hole
	c.arrival.hole, c.lossMark = nil, max(c.lossMark, h.upTo)
	c.position.Store(max(c.position.Load(), h.upTo))
	if h.silent {
		return
	}
	asked := c.at(c.start.Load())
	for _, sel := range c.filter.selectors {
		b.add(c.gapEvent(sel.Channel, asked, c.firstAfter(sel, h.upTo), ring.Restarted))
	}
}

// firstAfter returns the oldest position above the given one that the sources hold for
// sel, 0 if there is none.
func (c *cursor) firstAfter(sel Selector, position uint64) (first uint64) {
	for ch, src := range c.sources {
		if !sel.Channel.Matches(ch.name) {
			continue
		}
		ch.mu.Lock()
		seq, ok := ch.log.FirstOf(sel.Topics, max(position, src.SelectedFrom()))
		ch.mu.Unlock()
		if ok && (first == 0 || seq < first) {
			first = seq
		}
	}
	return first
}

// confirmLosses sends the stream's position if nothing else has taken it past the
// losses that the client was told of.
func (c *cursor) confirmLosses(b *Batch) {
	if c.lossMark == 0 || c.position.Load() < c.lossMark {
		return
	}
	if c.reported < c.lossMark {
		b.add(c.stream.positionEvent(eventPosition))
	}
	c.lossMark = 0
}

// knownLoss returns the position up to which the client knows the losses of a channel
// that comes back. A cursor of one channel may drop its source before it has passed
// them.
func (c *cursor) knownLoss() uint64 {
	if c.single {
		return c.lossMark
	}
	return 0
}

// gapEvent tells the client of a loss, at the stream's current position.
func (c *cursor) gapEvent(name schemas.Pattern, after string, resumes uint64, reason ring.GapReason) []byte {
	s := c.stream
	data := gapData{Channel: name, After: after, Reason: reason}
	if resumes > 0 {
		id := c.at(resumes)
		data.ResumesAt = &id
	}
	s.broker.stats.gaps[reason].Add(1)
	if s.format == ring.SSE { // a gap in NDJSON carries no position
		s.report()
	}
	return control{event: eventGap, id: s.here(), data: data}.encode(s.format)
}
