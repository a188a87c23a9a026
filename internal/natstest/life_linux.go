package natstest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// bindLife makes the process of the command end with this one, however that ends.
func bindLife(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// frozen reports whether the process has stopped.
func frozen(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // it has ended
	}
	// The state follows the name, which is in parentheses.
	i := bytes.LastIndexByte(stat, ')')
	return i >= 0 && i+2 < len(stat) && stat[i+2] == 'T'
}
