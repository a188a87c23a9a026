package floor

import (
	"fmt"
	"time"
)

// Mode says when a reader is written to.
type Mode int

const (
	// Write gives each event a write of its own to each reader, at once.
	Write Mode = iota
	// Coalesce passes over a channel's readers as long as there is news; what came
	// since a reader's last turn leaves in one write. Publishers have their turn
	// between two passes.
	Coalesce
	// Paced gathers on purpose: a pass over a channel's readers begins [Pace] after
	// the last one of that channel began, at the earliest, and publishers have their
	// turn during it, too.
	Paced
)

// Pace is the shortest time between the beginnings of two passes of Paced.
const Pace = time.Millisecond

// ParseMode reads "write", "coalesce" or "1ms".
func ParseMode(name string) (Mode, error) {
	switch name {
	case "write":
		return Write, nil
	case "coalesce":
		return Coalesce, nil
	case "1ms":
		return Paced, nil
	}
	return 0, fmt.Errorf("floor: mode %q is none of write, coalesce, 1ms", name)
}
