package floor_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sluicehq/sluice/bench/floor"
	"github.com/sluicehq/sluice/internal/leaktest"
)

// TestMain is the floor when it is called as one: it wants a process for itself.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		mode, err := floor.ParseMode(os.Args[2])
		if err == nil {
			err = floor.Serve(os.Args[3], mode, nil)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	leaktest.Main(m)
}
