package peers_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sluicehq/sluice/bench/peers"
	"github.com/sluicehq/sluice/internal/leaktest"
)

// TestMain is the program that the Go peers run in when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, peers.Serve(os.Args[2], os.Args[3], peers.Options{}))
		os.Exit(1)
	}
	leaktest.Main(m)
}
