// Package e2e_test tests the program as its users meet it: the built binary,
// real readers, a real proxy, signals and files. What it shows is that the
// parts hold together; what each part does is tested beside the part.
package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait for something that should come. It is long, since
// machines may be busy; a test that passes does not use it up.
const patience = 30 * time.Second

// within returns the context of a test that waits for no longer than most.
func within(t testing.TB, most time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	t.Cleanup(cancel)
	return ctx
}

// TestMain builds the program once and puts it on the PATH, as sluice.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err == nil {
		err = build(filepath.Join(dir, "sluice"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	// These tests wait more than they compute. A flag on the command line wins.
	flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")+string(os.PathListSeparator)+"/usr/sbin")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// build builds the program as a release is built, but for its version. With
// GOFLAGS=-race in the environment it has the race detector, which finds more
// and takes more memory than TestMemory allows.
func build(path string) error {
	out, err := exec.Command("go", "build", "-o", path, "../server").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return nil
}
