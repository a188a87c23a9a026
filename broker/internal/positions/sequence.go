package positions

import (
	"runtime"
	"sync/atomic"

	"github.com/sluicehq/sluice/internal/highwater"
)

// inFlight is how many positions may be taken and not yet completed. It only has to
// exceed the number of publishers that run at one moment.
const inFlight = 1 << 12

// Sequence hands out the positions of a set of logs and keeps their watermark: the
// position up to which every message is in its log.
//
// Publishers append to different logs at the same time, so position 8 may be in its
// log before position 7 is in another one. A reader that merges both logs must not
// pass 8 yet, because 7 could not be sent after it. Up to the watermark nothing can
// appear any more, so that is how far such a reader may go.
//
// Positions either are taken and completed here, or come from elsewhere: then
// [Sequence.Observe] and [Sequence.Reach] follow them. The zero value starts at 0. All
// methods are safe for concurrent use, and none takes a lock.
type Sequence struct {
	taken     atomic.Uint64           // newest position handed out
	completed atomic.Uint64           // the watermark
	slots     [inFlight]atomic.Uint64 // slot p%inFlight holds p once p is in its log
}

// Take hands out the next position. The caller must complete it soon: until then the
// watermark stands still, and after inFlight further positions Take waits for it.
func (s *Sequence) Take() uint64 {
	p := s.taken.Add(1)
	for p-s.completed.Load() >= inFlight {
		runtime.Gosched() // a publisher was suspended between Take and Complete: let it run
	}
	return p
}

// Complete reports that the message at position p is in its log.
func (s *Sequence) Complete(p uint64) {
	s.slots[p%inFlight].Store(p)
	for {
		w := s.completed.Load()
		if s.slots[(w+1)%inFlight].Load() != w+1 {
			return
		}
		s.completed.CompareAndSwap(w, w+1)
	}
}

// Last returns the newest position that was handed out or observed.
func (s *Sequence) Last() uint64 { return s.taken.Load() }

// Watermark returns the position up to which every message is in its log.
func (s *Sequence) Watermark() uint64 { return s.completed.Load() }

// Start makes the sequence begin after head. It must be called before all others.
func (s *Sequence) Start(head uint64) {
	s.taken.Store(head)
	s.completed.Store(head)
}

// Observe notes that position p was handed out elsewhere. Its message may not be in
// its log yet.
func (s *Sequence) Observe(p uint64) { highwater.Raise(&s.taken, p) }

// Reach notes that every message up to position p, which was handed out elsewhere, is
// in its log.
func (s *Sequence) Reach(p uint64) {
	highwater.Raise(&s.taken, p)
	highwater.Raise(&s.completed, p)
}
