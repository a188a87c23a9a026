// Package deploy_test tests what stands beside it: alert rules, a dashboard, units of
// systemd and a Helm chart. Each is checked by the library or program that reads it, and
// against the real server.
package deploy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that should come.
const patience = 2 * time.Minute

// program is the path of the server's binary.
var program string //nolint:gochecknoglobals // set once, by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-deploy-")
	if err == nil {
		err = provide(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// provide finds the program that SLUICE_BIN names, or else builds one.
func provide(dir string) (err error) {
	if given := os.Getenv("SLUICE_BIN"); given != "" {
		program, err = filepath.Abs(given)
		return err
	}
	program = filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", program, "./cmd/sluice")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return nil
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer  // guarded by mu
	more chan struct{} // capacity 1
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// server is a running Sluice.
type server struct {
	cmd   *exec.Cmd
	url   string
	out   *output
	ended chan error
}

const testKey = "sk_test_0123456789abcdef"

// run starts the program, with nothing in its environment but what is given.
func run(t *testing.T, environ []string, args ...string) *server {
	t.Helper()
	s := &server{cmd: exec.Command(program, args...), out: &output{more: make(chan struct{}, 1)}, ended: make(chan error, 1)}
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = environ, s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { // ends with the process
		defer close(over)
		s.ended <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-over
	})
	return s
}

// wait waits until the server ends, and returns how.
func (s *server) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(patience):
		t.Fatalf("the server does not end:\n%s", s.out)
		return nil
	}
}

// start runs a server and waits until it listens.
func start(t *testing.T, environ []string, args ...string) *server {
	t.Helper()
	s := run(t, environ, args...)
	listens := regexp.MustCompile(`listens on (http://\S+)\n`)
	late := time.After(patience)
	for {
		if found := listens.FindStringSubmatch(s.out.String()); found != nil {
			s.url = found[1]
			return s
		}
		select {
		case <-s.out.more:
		case err := <-s.ended:
			t.Fatalf("the server ended with %v:\n%s", err, s.out)
		case <-late:
			t.Fatalf("the server does not listen:\n%s", s.out)
		}
	}
}

// drain ends the server in order.
func (s *server) drain(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(t); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, s.out)
	}
}

// call sends a request with the API key and returns the body of the answer.
func (s *server) call(t *testing.T, status int, method, path, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: %s, %v, %s", method, path, resp.Status, err, answer)
	}
	return string(answer)
}

// file returns the content of a file in this folder.
func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
