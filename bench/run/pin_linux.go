package run

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// cores are the processors that server and client are put on.
type cores struct {
	server, client int
	apart          bool // they are two: if not, nothing is pinned
}

// pickCores takes the first two processors that this process may use.
func pickCores() (cores, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cores{}, fmt.Errorf("run: affinity: %w", err)
	}
	var found []int
	for i := 0; i < 1024 && len(found) < 2; i++ {
		if set.IsSet(i) {
			found = append(found, i)
		}
	}
	if len(found) < 2 {
		return cores{}, nil
	}
	return cores{server: found[0], client: found[1], apart: true}, nil
}

// pin puts the thread of the calling goroutine on a core, and the goroutine on that thread,
// for good.
func pin(core int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("run: affinity: %w", err)
	}
	return nil
}

// Exec becomes the command args[1:] on the core args[0]. It returns only an error.
func Exec(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("run: want a core and a command")
	}
	core, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("run: core: %w", err)
	}
	if err := pin(core); err != nil {
		return err
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return syscall.Exec(path, args[1:], os.Environ()) //nolint:gosec // the command is what it is for
}

// onCore makes a command run on a core, through the bench binary self.
func onCore(cmd *exec.Cmd, self string, core int) {
	cmd.Args = append([]string{self, "exec", strconv.Itoa(core), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = self
}
