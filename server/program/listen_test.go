//go:build unix

package program

import (
	"bytes"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onSocket starts a server on a socket and returns how it goes on.
func onSocket(t *testing.T, path string) *process {
	t.Helper()
	return started(t, "listening", "sluice", "--dev", "--listen", "unix:"+path, "--log-format=text", "--api-keys", outliveKey)
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // t.TempDir has the test's name in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestServe_socket(t *testing.T) {
	path := filepath.Join(shortDir(t), "it's.sock")
	server := onSocket(t, path)
	banner, err := lineWith(server.stdout, "curl --unix-socket '")
	if err != nil {
		t.Errorf("the banner is %s, %v", banner, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|socketMode {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	// A stream and a publish go over it, and the health.
	flags := []string{"--url", "unix:" + path, "--api-key", outliveKey}
	subscriber := started(t, "subscribed to c", "sluice", append([]string{"subscribe", "c"}, flags...)...)
	for _, args := range [][]string{append([]string{"publish", "c", "t", `"hello"`}, flags...), {"health", "--url", "unix:" + path}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, nil, nil, &out, &out); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	if line, err := lineWith(subscriber.stdout, "\n"); err != nil || !strings.Contains(line, `"data":"hello"`) {
		t.Errorf("the subscriber printed %q, %v", line, err)
	}
	if err := run(t.Context(), []string{"--dev", "--listen", "unix:" + path}, nil, nil, new(bytes.Buffer), new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "already listens on "+path) {
		t.Errorf("a second server there: %v", err)
	}
	if err := server.end(syscall.SIGTERM); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if _, err := lineWith(subscriber.stderr, "4002 server_draining"); err != nil {
		t.Errorf("the subscriber was told nothing: %v", err)
	}
	if err := subscriber.end(syscall.SIGINT); err != nil {
		t.Errorf("the subscriber ended with %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is there after the drain")
	}
}

// A server that was killed leaves its socket behind. The next one takes its place;
// anything else at that path is left alone.
func TestServe_socketLeftBehind(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "sock")
	killed := onSocket(t, path)
	killed.end(syscall.SIGKILL)
	if err := onSocket(t, path).end(syscall.SIGTERM); err != nil {
		t.Errorf("the server after one that was killed: %v", err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := exec.CommandContext(t.Context(), "sluice", "--dev", "--listen", "unix:"+path).Run()
	if content, _ := os.ReadFile(path); err == nil || string(content) != "mine" {
		t.Errorf("a file in its place: %v, then it is %q", err, content)
	}
}

// Limits by address, and proxies that are trusted, work for who comes over a
// socket: it has the address of this machine.
func TestServe_socketPeer(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	server := onSocket(t, path)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /v1/subscribe?channel=c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := lineWith(server.stderr, "address=127.0.0.1"); err != nil {
		t.Errorf("logged %s, %v", line, err)
	}
	if err := server.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}
