package broker

import (
	"strconv"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// queueSweep queues a dirty group for a sweep: at once, or when the pace allows.
func (l *loop) queueSweep(g *group) {
	if g.queued {
		g.sweepAgain = true
		return
	}
	g.queued = true
	if g.began != 0 && l.clock < g.began+l.shard.opts.Pace {
		l.paced = append(l.paced, g)
		return
	}
	l.startSweep(g)
}

func (l *loop) startSweep(g *group) {
	g.beginSweep(l.clock)
	l.sweeps = append(l.sweeps, g)
}

// serveSlice serves the next few members of a group, so that other groups and tasks
// have their turn as well.
func (l *loop) serveSlice(g *group) {
	l.built = 0
	g.next = min(g.next, len(g.members)-1)
	for n := 0; n < sliceMembers && g.next >= 0; n++ {
		so := g.members[g.next]
		g.next--
		l.serve(g, so)
	}
	if l.unmeasured && l.built > 0 && l.batches[0].messages > 0 {
		l.unmeasured = false
		l.shard.broker.stats.measure(l.batches[0].sample, false)
	}
}

// serve gives so its turn in a sweep of its group.
func (l *loop) serve(g *group, so *socket) {
	c := so.cursor
	if !c.isLagging() && !so.owes() { // else it catches up by a task of its own
		if _, ok := l.sendBatch(so); !ok {
			l.addTask(so)
		}
	}
	switch position := c.position.Load(); {
	case so.group == nil: // the stream has ended
	case c.isLagging():
		g.lowLagging = min(g.lowLagging, position)
	default:
		g.low = min(g.low, position)
	}
}

// sendBatch sends so what comes next in its group's channel and returns how many bytes
// that were. It reports false if the stream has to find out by itself what comes next.
func (l *loop) sendBatch(so *socket) (sent int, ok bool) {
	c, s := so.cursor, so.cursor.stream
	batch := l.batchFor(so.group, batchKey{from: c.position.Load(), format: s.format, coding: so.coding, topics: c.topics, until: s.until})
	if batch == nil || s.ending.Load() != nil {
		return 0, false
	}
	follows := l.shard.opts.Deliveries != nil && !c.isLagging()
	if len(batch.bytes) == 0 {
		c.position.Store(batch.to)
		return 0, true
	}
	n, all := l.write(so, batch.bytes)
	if so.state != open {
		return n, true
	}
	to, messages := cut{seq: batch.last}, batch.messages
	if !all { // the rest of the message that was cut is sent later; the messages after it are not taken yet
		to, messages = batch.cutAt(n)
		l.block(so, batch.bytes[n:to.end])
		c.position.Store(to.seq)
	} else {
		c.position.Store(batch.to)
	}
	c.reported = to.seq
	s.messages += int64(messages)
	l.uncounted.messages += int64(messages)
	if follows {
		so.written(batch.from)
	}
	s.delayBeat(l.now)
	return n, true
}

// batchFor returns the batch for k from the group's channel. Each batch is built at
// most once in a slice. It returns nil if the stream has to find out by itself what
// comes next.
func (l *loop) batchFor(g *group, k batchKey) *writeBatch {
	c := g.channel.Load()
	if c == nil {
		return nil
	}
	for i := range l.built {
		if l.batches[i].equal(&k) {
			return &l.batches[i]
		}
	}
	if l.built == len(l.batches) {
		l.built = 0
	}
	batch := &l.batches[l.built]
	if !batch.build(c, k) {
		return nil
	}
	l.built++
	return batch
}

// maxWriteBatch is how many bytes one reader is sent in one sweep, but for the last
// message. The others have their turn before it is sent more.
const maxWriteBatch = 64 << 10

// writeBatch is the next few messages of a channel for all readers at one position that
// want the same topics, in the same format. They are copied out of the log once, under
// channel.mu, and then written to socket after socket without a lock. The loop owns its
// batches and builds them anew in every slice: memory stays bounded, and a batch never
// grows stale.
//
// A socket may accept only a part of a batch. cuts says which message that part ends
// in: that message is finished later from a copy, and the reader's position is at it.
// What follows is read from the log again when the socket accepts bytes again.
type writeBatch struct {
	batchKey
	to       uint64 // position of a reader after the batch
	last     uint64 // position of the last message in it; 0: none
	messages int
	bytes    []byte
	cuts     []cut // one for each message
	sample
}

// batchKey is what readers must have in common to be sent the same bytes.
type batchKey struct {
	from   uint64
	format ring.Format
	coding coding
	topics schemas.TopicSet
	until  bool // their streams end with the run
}

func (k *batchKey) equal(o *batchKey) bool {
	return k.from == o.from && k.format == o.format && k.coding == o.coding && k.until == o.until && k.topics.Equal(o.topics)
}

// cut is the end of a message.
type cut struct {
	end int    // offset in the batch's bytes
	seq uint64 // the message's position
}

// build fills b with the next messages of c for k, at most maxWriteBatch bytes but for
// the last message. It reports false if the reader must be sent something else first,
// such as a gap, a run status from beside the log or messages from the engine. Then its
// stream has to find out by itself what comes next.
func (b *writeBatch) build(c *channel, k batchKey) bool {
	b.batchKey, b.to, b.last, b.messages = k, k.from, 0, 0
	b.bytes, b.cuts, b.sample = b.bytes[:0], b.cuts[:0], sample{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log.Cold > max(k.from, c.coldAtStart.Load()) || c.log.LostOf(k.topics) > k.from || c.log.Folded(k.from) {
		return false
	}
	if r := c.run; r != nil && r.frame.Seq > k.from && !c.log.Reaches(r.frame.Seq) {
		return false
	}
	first := c.log.After(k.from)
	b.behind = c.log.Frames() - first
	for i := first; i < c.log.Frames(); i++ {
		f := c.log.At(i)
		if len(b.bytes) >= maxWriteBatch {
			return true
		}
		if k.until && f.Kind == schemas.KindRun {
			return false
		}
		b.to = f.Seq
		if f.WantedBy(k.topics) {
			b.bytes = k.coding.append(b.bytes, f.In(k.format))
			b.cuts = append(b.cuts, cut{len(b.bytes), f.Seq})
			b.last = f.Seq
			if b.messages++; b.messages == 1 {
				b.at = f.At
			}
		}
	}
	b.to = max(b.to, c.log.Last())
	return true
}

// cutAt returns the message in which, or right before which, the first n bytes end; with
// all of them, the last one. It also returns how many messages there are up to and
// including it.
func (b *writeBatch) cutAt(n int) (cut, int) {
	for i, c := range b.cuts {
		if c.end > n {
			return c, i + 1
		}
	}
	return b.cuts[len(b.cuts)-1], len(b.cuts)
}

// coding is the transfer coding of a response body.
type coding uint8

const (
	untilClose coding = iota // HTTP/1.0: the body ends with the connection
	chunked                  // RFC 9112, section 7.1; one chunk an event, so that the body can end between two events
)

// append appends one event.
func (c coding) append(b, event []byte) []byte {
	if c == untilClose {
		return append(b, event...)
	}
	b = strconv.AppendUint(b, uint64(len(event)), 16)
	b = append(b, "\r\n"...)
	b = append(b, event...)
	return append(b, "\r\n"...)
}

// end appends the end of the body.
func (c coding) end(b []byte) []byte {
	if c == untilClose {
		return b
	}
	return append(b, "0\r\n\r\n"...)
}
