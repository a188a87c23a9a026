package broker

import "github.com/sluicehq/sluice/schemas"

// intro is what a stream says before its first message: $open with the position
// at which it starts, the run status of its channels, and what is lost.
type intro struct {
	open openData
	said bool       // open is handed out
	runs []*channel // whose run status is to be told; taken from the front
	gaps []gapData
}

// introduce puts the next part of the introduction into b. The position must
// stand where the stream starts.
func (s *Stream) introduce(b *Batch) {
	in := s.intro
	if !in.said {
		in.said = true
		b.add(control{event: eventOpen, id: in.open.ID.String(), retry: reconnectMillis, data: in.open}.encode(s.format))
	}
	for bytes := 0; len(in.runs) > 0; in.runs = in.runs[1:] {
		if b.Messages >= maxBatchMessages || bytes >= maxBatchBytes {
			return
		}
		bytes += s.tellRun(b, in.runs[0], in.open.ID)
	}
	for _, g := range in.gaps {
		b.add(control{event: eventGap, id: in.open.ID.String(), data: g}.encode(s.format))
		s.broker.stats.gaps[g.Reason].Add(1)
	}
	s.intro = nil
}

// tellRun tells the latest run status of c under the stream's position. In its
// turn that message is left out, and so are older ones: after it they would
// pass for the newest. It returns how many bytes that were.
func (s *Stream) tellRun(b *Batch, c *channel, at schemas.ID) int {
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r == nil {
		return 0
	}
	if r.frame.seq > at.Seq {
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
