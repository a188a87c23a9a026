package broker

// A message is late when an engine of many nodes has found out that it was missed,
// after newer ones of other channels were delivered. A stream of one channel does
// not notice. One that merges channels may be past its position: then it is handed
// the message under the position where it stands, which never moves backwards.

// owed is a late message that a stream that merges channels has to be handed.
type owed struct {
	channel *channel
	frame   frame
}

// maxLate is how many late messages a stream remembers, to hand each out once.
const maxLate = 4096

// owe makes the readers of c that merge channels look at its newest frame by itself.
// The caller holds c.mu, and has just appended it.
func (c *channel) owe() {
	f := c.log.at(c.log.count - 1)
	f.late = true
	c.readers.each(func(s *Stream) {
		if s.alone || f.seq <= s.start.Load() { // who began behind it has had it, from another node
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.owed = append(s.owed, owed{c, *f})
	})
}

// settleLate hands out what is owed and lies behind the stream's position. The rest
// it will come to.
func (s *Stream) settleLate(b *Batch) {
	s.mu.Lock()
	list := s.owed
	s.owed = nil
	s.mu.Unlock()
	for _, o := range list {
		position := s.position.Load()
		switch {
		case o.frame.seq > position:
			s.pend(o.channel)
		case s.first(&o.frame) && wanted(&o.frame, s.wants.topics(o.channel.name)):
			b.add(o.frame.reframed(s.at(position), s.format))
			b.Messages++
			s.report()
		}
	}
}

// first reports whether the late frame f has not been handed out yet, and notes that
// it has.
func (s *Stream) first(f *frame) bool {
	if s.late[f.seq] {
		return false
	}
	if s.late == nil || len(s.late) >= maxLate {
		s.late = make(map[uint64]bool)
	}
	s.late[f.seq] = true
	return true
}
