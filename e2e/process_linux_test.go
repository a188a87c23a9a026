package e2e_test

import "syscall"

// endsWithTest lets the kernel end a process with the one that started it, even
// when that is killed.
func endsWithTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
