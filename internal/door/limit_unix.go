//go:build unix

package door

import (
	"errors"
	"math"
	"syscall"
)

// descriptorLimit returns how many descriptors the process may have, 0 if there is
// no limit to speak of. The runtime has raised the soft limit to the hard one.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur <= 0 || limit.Cur > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}

// Exhausted reports whether err is for want of a descriptor, of this process or of
// the whole system.
func Exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
