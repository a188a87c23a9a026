// Package leaktest fails the tests of a package that leave goroutines behind.
//
// Closing a connection, a server or a process does not wait for every goroutine that
// serves it, and on a busy machine such a goroutine may take seconds to end. So leaktest
// waits for them, and only what never ends is a leak.
package leaktest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines may take to end. Tests that leave none do not use it up.
const patience = 30 * time.Second

// Tests are what a TestMain is given, a [testing.M].
type Tests interface{ Run() int }

// Main runs the tests and exits with their status, or with 1 if they passed and left
// goroutines behind, which it prints. Functions in cleanup run before it exits.
func Main(m Tests, cleanup ...func()) {
	code := Run(m)
	for _, f := range cleanup {
		f()
	}
	os.Exit(code)
}

// Run is [Main] for a caller that exits by itself.
func Run(m Tests) (code int) {
	if code = m.Run(); code != 0 {
		return code
	}
	if err := find(patience); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// find returns an error that names the goroutines which still run after the given time,
// nil if there are none.
func find(within time.Duration) error {
	for deadline := time.Now().Add(within); ; {
		err := goleak.Find() // tries for less than half a second
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(errors.New("the tests leave goroutines behind"), err)
		}
	}
}
