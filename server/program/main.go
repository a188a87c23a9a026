// Package program is sluice: the server and its command-line tools. It reads flags,
// variables and files and wires the parts together. The parts get values and do not know
// where they come from.
//
// It is a package of its own so that two commands can share it: server, which stands where
// a checkout is expected to have it, and cmd/sluice, whose binary has the right name.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sluicehq/sluice/server/program/signals"
)

// The statuses that the program exits with.
const (
	exitDone  = 0
	exitFault = 1 // something failed while running
	exitUsage = 2 // wrong use or configuration; nothing was done
)

// Main runs the program with the arguments, the environment and the streams of the process,
// and exits.
func Main() {
	ctx, stop := signals.Context(context.Background(), exitFault)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(report(os.Stderr, err))
}

// report prints err, if there is one, and returns the exit status. It does not wait
// long for a reader that is stuck.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	told := make(chan struct{})
	go func() { // ends with the program, if not before
		defer close(told)
		fmt.Fprintf(stderr, "sluice: %v\n", err)
	}()
	select {
	case <-told:
	case <-time.After(flushTimeout):
	}
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFault
}
