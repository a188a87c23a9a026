package load

// Check is what was found about the deliveries of a run, each counted over all readers.
type Check struct {
	Delivered uint64 // messages that came when they were due, or later ones after lost ones
	Lost      uint64 // messages that a later one of the same publisher came before or instead of
	Doubled   uint64 // messages that came again, or after a later one
	Missing   uint64 // messages that had not come when the wait at the end was over
	Stray     uint64 // separators where no mark begins: data that was damaged
	Closed    uint64 // streams that the server ended
}

// Good tells whether every reader got every message once and in order.
func (c Check) Good() bool {
	return c.Lost == 0 && c.Doubled == 0 && c.Missing == 0 && c.Stray == 0 && c.Closed == 0
}

// sequences knows for each reader and publisher which message is due.
type sequences struct {
	publishers int
	due        []uint32 // reader*publishers + publisher
	check      Check
}

// newSequences is for readers and publishers that have exchanged nothing.
func newSequences(publishers int) *sequences {
	return &sequences{publishers: publishers}
}

// grow makes room for readers.
func (s *sequences) grow(readers int) {
	if n := readers*s.publishers - len(s.due); n > 0 {
		s.due = append(s.due, make([]uint32, n)...)
	}
}

// take notes that a reader got a message, and tells whether it is one it had not yet.
func (s *sequences) take(reader int, m Mark) bool {
	if int(m.Publisher) >= s.publishers {
		s.check.Stray++
		return false
	}
	due := &s.due[reader*s.publishers+int(m.Publisher)]
	if m.Seq != *due {
		if m.Seq < *due {
			s.check.Doubled++
			return false
		}
		s.check.Lost += uint64(m.Seq - *due)
	}
	*due = m.Seq + 1
	s.check.Delivered++
	return true
}
