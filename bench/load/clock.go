package load

import "time"

// Clock reads the monotonic clock in nanoseconds since it was made. Send times in messages
// are of one Clock, so publishers and readers must share it.
type Clock struct{ start time.Time }

// NewClock starts a clock.
func NewClock() Clock { return Clock{time.Now()} }

// Now returns the nanoseconds since the start.
func (c Clock) Now() int64 { return int64(time.Since(c.start)) }
