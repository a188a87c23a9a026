package auth_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// denyLinksAndModes makes the kernel refuse this process what FAT and SMB refuse it.
func denyLinksAndModes() {
	const number = 0 // of the system call, in what the filter looks at
	refused := []uint32{unix.SYS_LINKAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT}
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number}}
	for i, call := range refused {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(refused) - i), K: call})
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		panic(errno)
	}
}

// Key files are made, rotated and read again where there are no links and no modes.
func TestKeyFiles_withoutLinks(t *testing.T) {
	if os.Getenv(bareFiles) != "" {
		dir := t.TempDir()
		if err := os.Link(os.Args[0], filepath.Join(dir, "x")); err == nil {
			t.Error("there are links")
		}
		if err := os.Chmod(dir, 0o700); err == nil {
			t.Error("there are modes")
		}
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=KeyFile|RotateFile", "-test.v")
	child.Env = append(os.Environ(), bareFiles+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
