package broker

import (
	"runtime"
	"sync/atomic"
)

// inFlight is how many positions may be handed out and not yet be settled. It
// only has to exceed the number of publishers that run at one moment.
const inFlight = 1 << 12

// sequence hands out the positions of all logs and knows up to which of them
// every message is in its log. That watermark is what lets one stream merge
// several channels: below it nothing can turn up late.
//
// With the memory engine, positions are taken and settled; other engines hand
// them out themselves, and tell.
//
// All methods are safe for concurrent use and take no lock.
type sequence struct {
	taken   atomic.Uint64           // newest position handed out
	settled atomic.Uint64           // all positions up to this one are in their logs
	slots   [inFlight]atomic.Uint64 // slot p%inFlight holds p once p is in its log
}

// take hands out the next position. Every position taken must be settled soon:
// until then the watermark stands still.
func (s *sequence) take() uint64 {
	p := s.taken.Add(1)
	for p-s.settled.Load() >= inFlight {
		runtime.Gosched() // a publisher was suspended between take and settle: let it run
	}
	return p
}

// settle reports that the message at position p is in its log.
func (s *sequence) settle(p uint64) {
	s.slots[p%inFlight].Store(p)
	for {
		w := s.settled.Load()
		if s.slots[(w+1)%inFlight].Load() != w+1 {
			return
		}
		s.settled.CompareAndSwap(w, w+1)
	}
}

// last returns the newest position handed out.
func (s *sequence) last() uint64 { return s.taken.Load() }

// watermark returns the position up to which every message is in its log.
func (s *sequence) watermark() uint64 { return s.settled.Load() }

// start sets where the sequence begins.
func (s *sequence) start(head uint64) {
	s.taken.Store(head)
	s.settled.Store(head)
}

// hear notes a position that an engine has handed out, and that may not have been
// delivered yet.
func (s *sequence) hear(p uint64) { raise(&s.taken, p) }

// reach notes that everything up to the position p, which an engine has handed out,
// is in its log.
func (s *sequence) reach(p uint64) {
	raise(&s.taken, p)
	raise(&s.settled, p)
}
