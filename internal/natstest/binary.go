//go:build unix

// Package natstest runs real NATS servers for tests: processes of the nats-server
// that tools/go.mod pins, with JetStream, on free loopback ports. They end with the
// test, and with the test's process.
package natstest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// server is the package of the program.
const server = "github.com/nats-io/nats-server/v2"

// binary returns the path of the nats-server, which is built once for all packages and
// runs until the pinned version changes.
func binary(t testing.TB) string {
	t.Helper()
	_, self, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("natstest: the source is not known")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(self)))
	path := filepath.Join(root, ".cache", "nats-server")
	if err := build(root, path); err != nil {
		t.Fatalf("natstest: %v", err)
	}
	return path
}

// build builds the program at path unless it is there and newer than what pins it.
// Tests of several packages may do so at once: one builds, the others wait.
func build(root, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	pinned, err := os.Stat(filepath.Join(root, "tools", "go.sum"))
	if err != nil {
		return err
	}
	if built, err := os.Stat(path); err == nil && built.ModTime().After(pinned.ModTime()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "tools"), "-o", path, server) //nolint:gosec // nothing in it comes from outside
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build nats-server: %w\n%s", err, out)
	}
	now := time.Now()
	return os.Chtimes(path, now, now)
}
