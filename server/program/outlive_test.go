//go:build unix

package program

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// output is a pipe to a test. Unlike that of [os.Pipe] its two ends have nothing
// in common, so that the program's end blocks as it would for anybody.
type output struct {
	path   string
	reader *os.File
	lines  *bufio.Reader
	writer *os.File // for the program
}

func newOutput(t *testing.T) *output {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // to read alone would wait for a writer
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	writer := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return &output{path, reader, bufio.NewReader(reader), writer}
}

// gone makes the reader go away.
func (o *output) gone(*testing.T) { o.reader.Close() }

// stuck makes the reader read no more: the pipe is full.
func (o *output) stuck(t *testing.T) {
	t.Helper()
	fd, err := syscall.Open(o.path, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for n := 64 << 10; n > 0; { // down to single bytes
		if _, err := syscall.Write(fd, make([]byte, n)); err == syscall.EAGAIN {
			n /= 2
		} else if err != nil && err != syscall.EINTR {
			t.Fatal(err)
		}
	}
}

// limited returns a context that ends what hangs, so that the test fails and tells
// where.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

const outliveKey = "0123456789abcdef"

// serving starts a server, perhaps through another command, and returns its
// address.
func serving(t *testing.T, stdout, stderr *output, through ...string) (string, *exec.Cmd) {
	t.Helper()
	line := append(through, "sluice", "serve", "--dev", "--listen=127.0.0.1:0", "--log-format=json", "--api-keys", outliveKey)
	cmd := exec.CommandContext(limited(t), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "GORACE="+noRaceSleep)
	cmd.Stdout, cmd.Stderr = stdout.writer, stderr.writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	log, err := lineWith(stderr.lines, "listening")
	if err != nil {
		t.Fatalf("%s: %v", log, err)
	}
	return "http://" + regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(log)[1], cmd
}

// ask returns the status and the body of an answer.
func ask(t *testing.T, url, credential string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(limited(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// Whoever reads the output of a server may go away or stop reading, from the
// start (the banner) or later (the log): it serves and drains as ever.
func TestServe_outlivesItsReaders(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	for _, tt := range []struct {
		name   string
		happen func(*output, *testing.T)
	}{
		{"gone", (*output).gone},
		{"stuck", (*output).stuck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr := newOutput(t), newOutput(t)
			tt.happen(stdout, t)
			url, cmd := serving(t, stdout, stderr)
			tt.happen(stderr, t)
			for range 200 {
				if status, _ := ask(t, url+"/v1/subscribe?channel=c", "nobody"); status != http.StatusUnauthorized {
					t.Fatalf("a bad token is answered with %d", status)
				}
			}
			_, metrics := ask(t, url+"/metrics", outliveKey)
			lost := regexp.MustCompile(`(?m)^sluice_log_lines_lost_total (\d+)$`).FindStringSubmatch(metrics)
			if lost == nil || tt.name == "gone" && len(lost[1]) < 3 {
				t.Errorf("lines lost: %q", lost)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the server ended with %v", err)
			}
		})
	}
}

func TestServe_signals(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	tests := []struct {
		name    string
		through []string
		goesOn  []syscall.Signal
		ends    syscall.Signal
	}{
		{"hangup ends it in order", nil, nil, syscall.SIGHUP},
		{"hangup under nohup", []string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh"}, []syscall.Signal{syscall.SIGHUP}, syscall.SIGTERM},
		{"signals for others", nil, []syscall.Signal{syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGUSR1, syscall.SIGUSR2}, syscall.SIGINT},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr := newOutput(t), newOutput(t)
			url, cmd := serving(t, stdout, stderr, tt.through...)
			for _, s := range tt.goesOn {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				if status, _ := ask(t, url+"/healthz", outliveKey); status != http.StatusOK {
					t.Errorf("after %v health is %d", s, status)
				}
			}
			if err := cmd.Process.Signal(tt.ends); err != nil {
				t.Fatal(err)
			}
			if log, err := lineWith(stderr.lines, `"msg":"drained"`); err != nil {
				t.Errorf("logged %s, %v", log, err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the server ended with %v", err)
			}
		})
	}
}

// A terminal that goes away sends several hangups, of which none may cut the
// orderly end short.
func TestMain_hangups(t *testing.T) {
	p := started(t, "started", "stubborn")
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if _, err := lineWith(p.stderr, "told"); err != nil {
			t.Fatal(err)
		}
	}
	exit := (*exec.ExitError)(nil)
	if err := p.end(syscall.SIGTERM); !errors.As(err, &exit) || exit.ExitCode() != exitFault {
		t.Errorf("it ended with %v", err)
	}
}

// A command in a pipe ends when its reader has gone: sluice subscribe | head -1.
func TestSubscribe_readerGone(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	serverOut, serverErr := newOutput(t), newOutput(t)
	url, _ := serving(t, serverOut, serverErr)
	stdout := newOutput(t)
	cmd := exec.CommandContext(limited(t), "sluice", "subscribe", "c", "--replay=all", "--url", url, "--api-key", outliveKey)
	cmd.Env = append(os.Environ(), "GORACE="+noRaceSleep)
	cmd.Stdout = stdout.writer
	stdout.gone(t)
	var discard strings.Builder
	if err := run(t.Context(), []string{"publish", "c", "t", `"hello"`, "--url", url, "--api-key", outliveKey}, nil, nil, &discard, &discard); err != nil {
		t.Fatal(err)
	}
	err := cmd.Run()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) {
		t.Fatalf("it ended with %v", err)
	}
	if how, ok := exit.Sys().(syscall.WaitStatus); !ok || how.Signal() != syscall.SIGPIPE {
		t.Errorf("it ended with %v", err)
	}
}

// A command ends when it is told to, also while it waits for its reader.
func TestSubscribe_readerStuck(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	serverOut, serverErr := newOutput(t), newOutput(t)
	url, _ := serving(t, serverOut, serverErr)
	for range 2 {
		var discard strings.Builder
		if err := run(t.Context(), []string{"publish", "c", "t", `"hello"`, "--url", url, "--api-key", outliveKey}, nil, nil, &discard, &discard); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr := newOutput(t), newOutput(t)
	stdout.stuck(t)
	cmd := exec.CommandContext(limited(t), "sluice", "subscribe", "c", "--replay=all", "--url", url, "--api-key", outliveKey)
	cmd.Env = append(os.Environ(), "GORACE="+noRaceSleep)
	cmd.Stdout, cmd.Stderr = stdout.writer, stderr.writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if notes, err := lineWith(stderr.lines, "subscribed to c"); err != nil {
		t.Fatalf("%s: %v", notes, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
