package e2e_test

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program that runs beside a test and ends with it at the latest.
type process struct {
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	ended  chan struct{} // closed when it has exited
}

// launch starts a program. Of the environment it has the PATH alone, and what
// is given: settings of whoever runs the tests do not reach it.
func launch(t testing.TB, stdin io.Reader, environ []string, name string, args ...string) *process {
	t.Helper()
	p := &process{
		cmd:    exec.CommandContext(t.Context(), name, args...),
		stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{}),
	}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environ...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, p.stdout, p.stderr
	p.cmd.SysProcAttr = endsWithTest()
	p.cmd.WaitDelay = 5 * time.Second // for a child of its own that holds the pipes
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%v; make setup installs what the tests need", err)
	}
	go func() { // ends with the process
		defer close(p.ended)
		p.cmd.Wait() // exitCode tells how it ended
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote to standard error:\n%s", name, tail(p.stderr.String(), 4000))
		}
	})
	return p
}

// signal sends a signal.
func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process without giving it a chance to do anything about it.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// exitCode waits until the process has exited by itself and returns its status;
// -1 means that a signal ended it.
func (p *process) exitCode(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-within(t, patience).Done():
		t.Fatalf("%v is still running", p.cmd.Args)
		return 0
	}
}

// succeeds waits until the process has exited with 0 and returns its output.
func (p *process) succeeds(t testing.TB) string {
	t.Helper()
	if code := p.exitCode(t); code != 0 {
		t.Fatalf("%v exited with %d: %s%s", p.cmd.Args, code, p.stdout, p.stderr)
	}
	return p.stdout.String()
}

// command runs a program to its end, which must be a good one, and returns its
// output.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	return launch(t, strings.NewReader(""), nil, name, args...).succeeds(t)
}
