package broker

import (
	"slices"

	"github.com/sluicehq/sluice/broker/ring"
)

// A message is out of order when an engine with many nodes notices that it was missed,
// after newer messages of other channels were delivered. A stream of one channel does
// not notice: within a channel, order always holds. A stream that merges channels may
// be past the message's position. It is then handed the message under its own current
// position, which never moves backwards.

// outOfOrder is such a message, to be handed out by a cursor that merges channels.
type outOfOrder struct {
	channel *channel
	frame   ring.Frame
}

// reordered is what a cursor that merges channels knows of such messages.
type reordered struct {
	waiting   []outOfOrder    // guarded by the cursor's mu
	handedOut map[uint64]bool // owned by the stream's carrier; positions of those that were handed out
}

const (
	// maxHandedOut is how many out-of-order messages a cursor remembers in order to hand
	// out each of them once.
	maxHandedOut = 4096
	// maxOutOfOrder is how many of them may wait for a cursor. A stream that is slower
	// than that ends, and resumes by id.
	maxOutOfOrder = 1024
)

// queueOutOfOrder gives the newest frame of c, which was just appended, to the readers
// that merge channels. The caller holds c.mu.
func (c *channel) queueOutOfOrder() {
	f := c.log.MarkOutOfOrder()
	c.readers.each(func(cu *cursor) {
		if cu.single || f.Seq <= cu.start.Load() { // whoever began after it was sent it by another node
			return
		}
		if !cu.addOutOfOrder(outOfOrder{c, f}) {
			cu.stream.End(SlowConsumer())
		}
	})
}

// addOutOfOrder queues a message, and reports whether there was room for it.
func (c *cursor) addOutOfOrder(o outOfOrder) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reordered == nil {
		c.reordered = new(reordered)
	}
	if len(c.reordered.waiting) >= maxOutOfOrder {
		c.reordered.waiting = nil
		return false
	}
	c.reordered.waiting = append(c.reordered.waiting, o)
	return true
}

// takeOutOfOrder returns the messages that are queued, and empties the queue.
func (c *cursor) takeOutOfOrder() []outOfOrder {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reordered == nil {
		return nil
	}
	waiting := c.reordered.waiting
	c.reordered.waiting = nil
	return waiting
}

// deliverOutOfOrder hands out the out-of-order messages that the cursor has passed. It
// will come to the others in their turn.
func (c *cursor) deliverOutOfOrder(b *Batch) {
	if c.single {
		return
	}
	for _, o := range c.takeOutOfOrder() {
		if o.frame.Seq > c.position.Load() {
			c.markPending(o.channel)
			continue
		}
		c.handOutPassed(b, o)
	}
}

// deliverPassed hands out the messages of ch that the cursor has passed and that came since
// deliverOutOfOrder. The cursor calls it when it has fetched newer ones of the channel,
// which must not overtake them. The others stay: they may be among those fetched.
func (c *cursor) deliverPassed(b *Batch, ch *channel) {
	if c.single {
		return
	}
	c.mu.Lock()
	var passed []outOfOrder
	if c.reordered != nil {
		c.reordered.waiting = slices.DeleteFunc(c.reordered.waiting, func(o outOfOrder) bool {
			mine := o.channel == ch && o.frame.Seq <= c.position.Load()
			if mine {
				passed = append(passed, o)
			}
			return mine
		})
	}
	c.mu.Unlock()
	for _, o := range passed {
		c.handOutPassed(b, o)
	}
}

// handOutPassed hands out a message that the cursor has passed, under its own position.
// Those from before its start were queued when that was not known yet.
func (c *cursor) handOutPassed(b *Batch, o outOfOrder) {
	if o.frame.Seq <= c.start.Load() {
		return
	}
	if c.firstTime(o.frame.Seq) && o.frame.WantedBy(c.filter.topics(o.channel.name)) {
		b.addMessage(o.frame.WithID(c.stream.here(), c.stream.format))
		c.stream.report()
	}
}

// handedOutBefore reports whether f was handed out already, out of its turn, and notes
// that what is out of order in it has been handed out now.
func (c *cursor) handedOutBefore(f *ring.Frame) (again bool) {
	for _, seq := range f.OutOfOrder() {
		again = !c.firstTime(seq) && seq == f.First() && seq == f.Seq
	}
	return again
}

// firstTime reports whether the message at the position, which is out of order, has not
// been handed out yet, and notes that it has been now.
func (c *cursor) firstTime(seq uint64) bool {
	c.mu.Lock()
	if c.reordered == nil {
		c.reordered = new(reordered)
	}
	r := c.reordered
	c.mu.Unlock()
	if r.handedOut[seq] {
		return false
	}
	if r.handedOut == nil || len(r.handedOut) >= maxHandedOut {
		r.handedOut = make(map[uint64]bool)
	}
	r.handedOut[seq] = true
	return true
}
