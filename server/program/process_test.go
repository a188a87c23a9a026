package program

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is the program, running beside a test.
type process struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc // of the time limit
	stdout *bufio.Reader
	stderr *bufio.Reader
}

// start runs a command of [TestMain]. Both its outputs must be read, or it stops when they
// are full.
func start(environ []string, command string, args ...string) (*process, error) {
	// What hangs is killed, so that the test fails and tells where.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = append(environ, "GORACE="+noRaceSleep)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	return &process{cmd, cancel, bufio.NewReader(stdout), bufio.NewReader(stderr)}, nil
}

// lineWith reads lines of r until one contains text, and returns all of them.
func lineWith(r *bufio.Reader, text string) (string, error) {
	var read strings.Builder
	for {
		line, err := r.ReadString('\n')
		read.WriteString(line)
		if err != nil || strings.Contains(line, text) {
			return read.String(), err
		}
	}
}

// end sends a signal, reads what is left and returns how the program exits.
func (p *process) end(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return err
	}
	return p.wait()
}

func (p *process) wait() error {
	defer p.cancel()
	rest := make(chan struct{})
	go func() { io.Copy(io.Discard, p.stderr); close(rest) }()
	io.Copy(io.Discard, p.stdout)
	<-rest
	return p.cmd.Wait()
}

// serveInScript starts a server with the given arguments on a free port of this
// machine and tells the commands after it where it is:
//
//	serve --dev
func serveInScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("serve cannot be negated")
	}
	environ := []string{"PATH=" + ts.Getenv("PATH")}
	p, err := start(environ, "sluice", append([]string{"serve", "--listen=127.0.0.1:0"}, args...)...)
	ts.Check(err)
	text, err := lineWith(p.stdout, "http://")
	ts.Check(err)
	more, _ := lineWith(p.stdout, "SLUICE_API_KEY")
	url := regexp.MustCompile(`http://\S+`).FindString(text)
	ts.Setenv("SLUICE_URL", url)
	if key := regexp.MustCompile(`SLUICE_API_KEY=(\S+)`).FindStringSubmatch(more); key != nil {
		ts.Setenv("SLUICE_API_KEY", key[1])
	}
	ts.Defer(func() {
		if err := p.end(syscall.SIGTERM); err != nil {
			ts.Logf("the server ended with %v", err)
		}
	})
}

// until runs the program until its output has a line with the given text, then
// interrupts it, which it must take for the end. The lines are its output:
//
//	until TEXT subscribe c
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT ARGUMENT...")
	}
	environ := []string{"PATH=" + ts.Getenv("PATH")}
	for _, name := range []string{"SLUICE_URL", "SLUICE_API_KEY", "SLUICE_TOKEN"} {
		environ = append(environ, name+"="+ts.Getenv(name))
	}
	p, err := start(environ, "sluice", args[1:]...)
	ts.Check(err)
	lines, err := lineWith(p.stdout, args[0])
	if err != nil {
		ts.Logf("%s", lines)
	}
	ts.Check(err)
	ts.Check(p.end(syscall.SIGINT))
	io.WriteString(ts.Stdout(), lines)
}
