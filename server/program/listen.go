package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sluicehq/sluice/server/program/systemd"
)

const (
	// socketPrefix begins an address that is the path of a Unix socket.
	socketPrefix = "unix:"
	// socketMode lets the user and the group of the server connect. A proxy in front of
	// it joins the group.
	socketMode = 0o660
	// maxSocketPath is the longest path that every system accepts, in bytes.
	maxSocketPath = 103
	// socketPeer is the address of every client that connects over the socket. Whoever
	// is not on this machine comes through a proxy that is.
	socketPeer = "127.0.0.1:0"
)

// socketPath returns the path of the socket that address names, and false if address is
// a host and port.
func socketPath(address string) (string, bool) {
	return strings.CutPrefix(address, socketPrefix)
}

// checkSocket returns what is wrong with the path of a socket, "" if nothing is.
func checkSocket(path string) string {
	switch {
	case !filepath.IsAbs(path):
		return "want an absolute path after unix:, such as unix:/run/sluice/sluice.sock"
	case len(path) > maxSocketPath:
		return fmt.Sprintf("the path of a socket has at most %d bytes", maxSocketPath)
	}
	return ""
}

// listen listens on the socket that systemd passes, if it does, else on cfg.Listen. In
// development nothing is passed: the address must be loopback.
func listen(ctx context.Context, cfg *Config) (net.Listener, error) {
	if !cfg.Dev {
		if passed, err := systemd.Socket(); passed != nil || err != nil {
			return passed, err
		}
	}
	l, err := listenOn(ctx, cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: another process listens there; choose another address with --listen, port 0 for any that is free", cfg.Listen)
	}
	return l, err
}

// listenOn listens on host:port or on a Unix socket, which is removed when the listener is
// closed. A socket that a killed server left behind is replaced; a socket on which
// another process listens is not.
func listenOn(ctx context.Context, address string) (net.Listener, error) {
	path, ok := socketPath(address)
	if !ok {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		listener.Close() //nolint:errcheck // the other error is the cause
		return nil, err
	}
	return listener, nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("another process already listens on %s", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

// isSocket reports whether addr is that of a Unix socket.
func isSocket(addr net.Addr) bool {
	_, ok := addr.(*net.UnixAddr)
	return ok
}

// overSocket gives an address to requests over a socket, which have none.
func overSocket(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = socketPeer
		next.ServeHTTP(w, r)
	})
}
