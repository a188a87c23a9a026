package broker

import (
	"cmp"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// preamble is what a stream sends before its first message: $open with the position at
// which it starts, and then the part of each cursor.
type preamble struct {
	open   openData
	opened bool // $open has been handed out
}

// cursorPreamble is a cursor's part: the run status of its channels, and what is lost.
type cursorPreamble struct {
	resumed bool       // it continues from the client's position
	runs    []*channel // whose run status is still to be sent
	gaps    []loss
}

// loss is something that the client has missed before the stream starts.
type loss struct {
	channel schemas.Pattern
	asked   string // the id that the client sent, if that is not from this log; "" for the position at the start
	resumes uint64 // oldest position that is still there; 0: none
	reason  ring.GapReason
	upTo    uint64 // newest position lost, if it is from this log
}

// initPreamble makes the preamble. Each cursor has prepared its part.
func (s *Stream) initPreamble(sub Subscription) {
	resumed := true
	for _, c := range s.cursors {
		resumed = resumed && c.arrival.preamble.resumed
	}
	s.preamble = &preamble{open: openData{
		Resumed:   resumed,
		Channels:  s.filter.patterns(),
		ExpiresAt: timePtr(sub.Owner.ExpiresAt),
		Heartbeat: max(1, s.broker.opts.Heartbeat.Milliseconds()),
	}}
}

// writePreamble puts the next part of the preamble into b. The cursors must be where
// the stream starts.
func (s *Stream) writePreamble(b *Batch) {
	if p := s.preamble; !p.opened {
		p.opened, p.open.ID = true, s.here()
		b.add(control{event: eventOpen, id: p.open.ID, retry: reconnectMillis, data: p.open}.encode(s.format))
	}
	for _, c := range s.cursors {
		if !c.writePreamble(b) {
			return
		}
	}
	s.preamble = nil
}

// writePreamble puts the next part of the cursor's preamble into b, and reports whether
// that was all of it.
func (c *cursor) writePreamble(b *Batch) bool {
	p, at := &c.arrival.preamble, c.stream.here()
	for bytes := 0; len(p.runs) > 0; p.runs = p.runs[1:] {
		if b.Messages >= maxBatchMessages || bytes >= maxBatchBytes {
			return false
		}
		bytes += c.tellRun(b, p.runs[0], at)
	}
	for _, l := range p.gaps {
		c.lossMark = max(c.lossMark, l.upTo)
		if c.single && l.upTo > 0 { // its channel does not exist
			c.position.Store(max(c.position.Load(), c.arrival.joinedAt))
		}
		b.add(c.gapEvent(l.channel, cmp.Or(l.asked, at), l.resumes, l.reason))
	}
	*p = cursorPreamble{}
	return true
}

// tellRun sends the latest run status of ch under the stream's position and returns how
// many bytes that were. When the walk reaches that message, it is left out, and so are
// older run messages: sent later, they would look newer.
func (c *cursor) tellRun(b *Batch, ch *channel, at string) int {
	ch.mu.Lock()
	r := ch.run
	ch.mu.Unlock()
	if r == nil {
		return 0
	}
	if r.frame.Seq > c.position.Load() {
		if c.arrival.toldRuns == nil {
			c.arrival.toldRuns = make(map[*channel]uint64)
		}
		c.arrival.toldRuns[ch] = r.frame.Seq
	}
	event := r.frame.WithID(at, c.stream.format)
	b.addMessage(event)
	return len(event)
}
