package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sluicehq/sluice/server/program/signals"
)

// started runs a command until a line of its standard error has text.
func started(t *testing.T, text, command string, args ...string) *process {
	t.Helper()
	p, err := start(os.Environ(), command, args...)
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := lineWith(p.stderr, text); err != nil {
		t.Fatalf("%s: %v", lines, err)
	}
	return p
}

func TestMain_interrupted(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			p := started(t, "trying again", "sluice", "subscribe", "c", "--url=http://127.0.0.1:9")
			if err := p.end(signal); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// stubborn is a program that does not end when it is told to.
func stubborn() {
	ctx, stop := signals.Context(context.Background(), exitFault)
	defer stop()
	fmt.Fprintln(os.Stderr, "started")
	<-ctx.Done()
	hangups := make(chan os.Signal, 1) // a test sends another one when it has read the answer
	signal.Notify(hangups, syscall.SIGHUP)
	fmt.Fprintln(os.Stderr, "told")
	for range hangups {
		fmt.Fprintln(os.Stderr, "told")
	}
}

func TestMain_interruptedTwice(t *testing.T) {
	p := started(t, "started", "stubborn")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := lineWith(p.stderr, "told"); err != nil {
		t.Fatal(err)
	}
	exit := (*exec.ExitError)(nil)
	if err := p.end(syscall.SIGINT); !errors.As(err, &exit) || exit.ExitCode() != exitFault {
		t.Errorf("it ended with %v", err)
	}
}

// A subscriber gets what is published while it listens; a server that is told
// to end says so to it and exits with 0.
func TestServe_drain(t *testing.T) {
	const key = "0123456789abcdef"
	server := started(t, "listening", "sluice", "--dev", "--listen=127.0.0.1:0", "--log-format=text", "--api-keys", key)
	banner, err := lineWith(server.stdout, "http://")
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://\S+`).FindString(banner)
	subscriber := started(t, "subscribed to c", "sluice", "subscribe", "c", "--url", url, "--api-key", key)

	var stdout bytes.Buffer
	if err := run(t.Context(), []string{"publish", "c", "t", `"hello"`, "--url", url, "--api-key", key}, nil, nil, &stdout, &stdout); err != nil {
		t.Fatal(err)
	}
	if line, err := lineWith(subscriber.stdout, "\n"); err != nil || !strings.Contains(line, `"data":"hello"`) {
		t.Errorf("the subscriber printed %q, %v", line, err)
	}
	if err := server.end(syscall.SIGTERM); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if lines, err := lineWith(subscriber.stderr, "4002 server_draining"); err != nil {
		t.Errorf("the subscriber was told %s, %v", lines, err)
	}
	if err := subscriber.end(syscall.SIGINT); err != nil {
		t.Errorf("the subscriber ended with %v", err)
	}
}
