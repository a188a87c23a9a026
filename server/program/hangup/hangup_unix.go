//go:build unix

package hangup

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Wait returns true once nobody reads any more what is written to a pipe or a socket, and
// false at once if file is something else.
func Wait(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return false
	}
	// Errors and hang-ups are always reported, so no event is asked for.
	watched := []unix.PollFd{{Fd: int32(file.Fd())}}
	for {
		_, err := unix.Poll(watched, -1)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
