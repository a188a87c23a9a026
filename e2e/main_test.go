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

	"github.com/sluicehq/sluice/internal/leaktest"
)

// patience bounds every wait for something that should come. It is long, since
// machines may be busy; a test that passes does not use it up.
const patience = 2 * time.Minute

// within returns the context of a test that waits for no longer than most.
func within(t testing.TB, most time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	t.Cleanup(cancel)
	return ctx
}

// TestMain puts the program on the PATH, as sluice. With -short it runs no test.
func TestMain(m *testing.M) {
	// These tests wait more than they compute. A flag on the command line wins.
	flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	flag.Parse()
	if testing.Short() {
		fmt.Println("left out with -short")
		return
	}
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err == nil {
		err = provide(filepath.Join(dir, "sluice"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")+string(os.PathListSeparator)+"/usr/sbin")
	leaktest.Main(m, func() { os.RemoveAll(dir) })
}

// provide puts the program at path: the one that SLUICE_BIN names, or else it
// builds one. With GOFLAGS=-race in the environment that has the race detector,
// which finds more and takes more memory than TestMemory allows.
func provide(path string) error {
	if program := os.Getenv("SLUICE_BIN"); program != "" {
		program, err := filepath.Abs(program)
		if err != nil {
			return err
		}
		return os.Symlink(program, path)
	}
	out, err := exec.Command("go", "build", "-o", path, "../cmd/sluice").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return nil
}
