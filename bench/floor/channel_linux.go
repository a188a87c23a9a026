package floor

import "time"

// state says where a channel stands between two passes.
type state uint8

const (
	idle    state = iota // no news, or being passed over
	queued               // in server.ready
	resting              // Paced: in server.resting
)

// gone stands in the place of a reader that has left until the next pass.
const gone = -1

// channel is a log and those who read it.
type channel struct {
	history
	readers []int32 // descriptors, or gone
	left    int     // how many of readers are gone
	passed  int64   // every reader that takes bytes has been sent the log up to here
	due     time.Duration
	state   state
}

// hasNews says whether a reader may be behind the log.
func (ch *channel) hasNews() bool { return ch.passed < ch.end() }

// publish adds body to the log and sees to it that the readers get it.
func (s *server) publish(ch *channel, body []byte) {
	hadNews := ch.hasNews()
	ch.append(body)
	if len(ch.readers) == 0 {
		ch.passed = ch.end()
		ch.trim(ch.passed)
		return
	}
	switch ch.state {
	case idle:
		s.enqueue(ch)
	case resting:
		if !hadNews {
			s.overdue++
		}
	case queued:
	}
}

func (s *server) enqueue(ch *channel) {
	ch.state = queued
	s.ready = append(s.ready, ch)
}

// pass brings the readers of a channel up to date, but for those whose sockets are
// full. Paced serves other sockets in between, so the log may grow and readers come
// and go while it runs; in the other modes all of them wait for the end of the pass.
func (s *server) pass(ch *channel) error {
	began := time.Since(s.start)
	ch.compact(s)
	if s.mode == Write {
		for ch.hasNews() {
			s.passEvent(ch)
		}
	} else if err := s.passAll(ch); err != nil {
		return err
	}
	if s.mode == Paced {
		ch.state, ch.due = resting, began+Pace
		s.resting = append(s.resting, ch)
		if ch.hasNews() {
			s.overdue++
		}
		return nil
	}
	ch.state = idle
	if ch.hasNews() {
		s.enqueue(ch)
	}
	return nil
}

// passEvent sends every reader the oldest event that has not been passed on.
func (s *server) passEvent(ch *channel) {
	to := ch.frameEnd(ch.passed)
	lowest := to
	for _, fd := range ch.readers {
		if fd == gone {
			continue
		}
		c := &s.conns[fd]
		if c.kind == reader && c.cursor < to && s.advance(fd, c, to) == lost {
			continue
		}
		lowest = min(lowest, c.cursor)
	}
	ch.passed = to
	ch.trim(lowest)
}

// passAll sends every reader all that there is when its turn comes.
func (s *server) passAll(ch *channel) error {
	to := ch.end()
	lowest := to
	for i := 0; i < len(ch.readers); i++ { //nolint:intrange // a poll can bring readers
		fd := ch.readers[i]
		if fd == gone {
			continue
		}
		c := &s.conns[fd]
		if c.kind == reader && c.cursor < ch.end() {
			if s.advance(fd, c, ch.end()) == lost {
				continue
			}
			s.unpolled++
		}
		lowest = min(lowest, c.cursor) // now: a poll can end the connection
		if s.mode == Paced && s.unpolled >= pollEvery {
			if err := s.poll(0); err != nil {
				return err
			}
		}
	}
	ch.passed = to
	ch.trim(lowest)
	return nil
}

// compact closes the ranks of the readers.
func (ch *channel) compact(s *server) {
	if ch.left == 0 {
		return
	}
	stay := ch.readers[:0]
	for _, fd := range ch.readers {
		if fd != gone {
			s.conns[fd].place = int32(len(stay))
			stay = append(stay, fd)
		}
	}
	ch.readers, ch.left = stay, 0
}
