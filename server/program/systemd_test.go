//go:build unix

package program

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemdPatience bounds every wait for a process.
const systemdPatience = 2 * time.Minute

// asService starts the server as systemd does: with sockets, and with one to which it
// reports. What it writes to standard error comes out of the buffer once it has ended.
func asService(t *testing.T, notify string, sockets ...*os.File) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), systemdPatience)
	t.Cleanup(cancel)
	server := []string{"sluice", "serve", "--log-format=text", "--api-keys", outliveKey, "--signing-secret", strings.Repeat("s", 32)}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, server...)...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS="+string(rune('0'+len(sockets))), "NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=200000", noRaceSleepVariable)
	cmd.ExtraFiles = sockets // from descriptor 3 on
	said := new(bytes.Buffer)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

const noRaceSleepVariable = "GORACE=" + noRaceSleep

// manager is the end to which a service reports.
func manager(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(shortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(systemdPatience)); err != nil {
			t.Fatal(err)
		}
		state := make([]byte, 256)
		n, err := conn.Read(state)
		if err != nil {
			t.Fatal(err)
		}
		return string(state[:n])
	}
}

// A client may connect to the socket that systemd holds before the server runs. The server
// says when it is ready, that it is alive, and when it is about to stop. Its socket
// outlives it.
func TestServe_systemd(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(shortDir(t), "sock")
			}
			listener, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			socket, err := listener.(interface{ File() (*os.File, error) }).File()
			if err != nil {
				t.Fatal(err)
			}
			early, err := net.Dial(network, listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer early.Close()
			if _, err := io.WriteString(early, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			notify, next := manager(t)
			server, said := asService(t, notify, socket)
			socket.Close()
			if got := next(); got != "READY=1" {
				t.Errorf("the server began with %q", got)
			}
			if err := early.SetDeadline(time.Now().Add(systemdPatience)); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(early), nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("who came before the server: %v, %v", resp, err)
			}
			resp.Body.Close()
			for range 2 {
				if got := next(); got != "WATCHDOG=1" {
					t.Errorf("the server went on with %q", got)
				}
			}
			if err := server.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			for got := ""; got != "STOPPING=1"; {
				if got = next(); got != "WATCHDOG=1" && got != "STOPPING=1" {
					t.Fatalf("at the end, the server says %q", got)
				}
			}
			if err := server.Wait(); err != nil {
				t.Errorf("the server ended with %v: %s", err, said)
			}
			if !strings.Contains(said.String(), "listening address="+listener.Addr().String()) {
				t.Errorf("the server says: %s", said)
			}
			if late, err := net.Dial(network, listener.Addr().String()); err != nil {
				t.Errorf("the socket is gone with the server: %v", err)
			} else {
				late.Close()
			}
		})
	}
}

func TestServe_systemdTwoSockets(t *testing.T) {
	var sockets []*os.File
	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		socket, err := listener.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		sockets = append(sockets, socket)
	}
	notify, _ := manager(t)
	server, said := asService(t, notify, sockets...)
	if err := server.Wait(); err == nil || !strings.Contains(said.String(), "2 sockets were passed, want one") {
		t.Errorf("the server ended with %v: %s", err, said)
	}
}
