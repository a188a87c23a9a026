package broker

import (
	"cmp"

	"github.com/sluicehq/sluice/schemas"
)

// intro is what a stream says before its first message: $open with the position
// at which it starts, the run status of its channels, and what is lost.
type intro struct {
	open openData
	said bool       // open is handed out
	runs []*channel // whose run status is to be told; taken from the front
	gaps []loss
}

// loss is what a stream is told at its start that it has missed.
type loss struct {
	channel schemas.Pattern
	asked   string // after what the client asked for, if that is not of this log; "": after the start
	resumes uint64 // 0: there is nothing more
	reason  gapReason
}

// introduce puts the next part of the introduction into b. The position must
// stand where the stream starts.
func (s *Stream) introduce(b *Batch) {
	in, at := s.intro, s.here()
	if !in.said {
		in.said, in.open.ID = true, at
		b.add(control{event: eventOpen, id: at, retry: reconnectMillis, data: in.open}.encode(s.format))
	}
	if c := s.joint(); c != nil && !c.introduce(b) {
		return
	}
	for bytes := 0; len(in.runs) > 0; in.runs = in.runs[1:] {
		if b.Messages >= maxBatchMessages || bytes >= maxBatchBytes {
			return
		}
		bytes += s.tellRun(b, in.runs[0], at)
	}
	for _, l := range in.gaps {
		b.add(s.gapEvent(l.channel, cmp.Or(l.asked, at), l.resumes, l.reason))
	}
	s.intro = nil
}

// tellRun tells the latest run status of c under the stream's position. In its
// turn that message is left out, and so are older ones: after it they would
// pass for the newest. It returns how many bytes that were.
func (s *Stream) tellRun(b *Batch, c *channel, at string) int {
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r == nil {
		return 0
	}
	if r.frame.seq > s.position.Load() {
		if s.known == nil {
			s.known = make(map[*channel]uint64)
		}
		s.known[c] = r.frame.seq
	}
	event := r.frame.reframed(at, s.format)
	b.add(event)
	b.Messages++
	return len(event)
}
