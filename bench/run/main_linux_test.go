package run_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sluicehq/sluice/bench/peers"
	"github.com/sluicehq/sluice/bench/run"
	"github.com/sluicehq/sluice/internal/leaktest"
)

// TestMain makes the test's binary what the bench program is to its children: the Go servers,
// and what puts a command on a core.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve":
		err = peers.Serve(os.Args[2], os.Args[3], peers.Options{})
	case len(os.Args) > 3 && os.Args[1] == "exec":
		err = run.Exec(os.Args[2:])
	default:
		leaktest.Main(m)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
