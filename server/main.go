// Command sluice is the server and the tools that speak to one: sluice --dev
// starts a server to try things with, sluice --help lists the commands.
//
// The package wires the parts together and reads flags, variables and files;
// the parts are handed values and know nothing of where they come from.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The statuses that the program exits with.
const (
	exitDone  = 0
	exitFault = 1 // something failed while running
	exitUsage = 2 // wrong use or configuration; nothing was done
)

func main() {
	ctx, stop := withSignals(context.Background())
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(report(os.Stderr, err))
}

// withSignals returns a context that the first SIGINT or SIGTERM ends, so that
// the program ends in order. A second one ends the program where it is.
func withSignals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() { // ends with the program, which is when stop is called
		<-signals
		cancel()
		<-signals
		os.Exit(exitFault)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// report tells err, if there is one, and returns the status to exit with.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "sluice: %v\n", err)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFault
}
