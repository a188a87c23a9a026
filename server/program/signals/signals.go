// Package signals says which signals end the program, and how.
package signals

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Context returns a context that ends with the first SIGINT, SIGTERM or SIGHUP, so
// that the program ends in order. A second SIGINT or SIGTERM ends the program at once, with status. A
// second SIGHUP does not: a closing terminal sends several, and service managers send it
// together with SIGTERM.
//
// If SIGHUP was ignored when the program started, as under nohup, it stays ignored.
func Context(parent context.Context, status int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	ending, hangups := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	go func() { // ends with the program, which is when stop is called
		select {
		case <-ending:
		case <-hangups:
		}
		cancel()
		<-ending
		os.Exit(status)
	}()
	return ctx, func() {
		signal.Stop(ending)
		signal.Stop(hangups)
		cancel()
	}
}

// OutliveReaders ignores signals that end a program by default: because the reader of
// its output is gone, or because it is asked for something that it does not do. A
// service must survive them. A command in a pipe must not, so commands do not call it.
//
// The signals stay ignored until the program ends, since it writes its last lines then.
func OutliveReaders() {
	for _, s := range harmless {
		signal.Ignore(s)
	}
}
