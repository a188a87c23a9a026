// Command bench measures Sluice beside other servers and beside programs that only write,
// and reports what it found. It needs Linux to measure; a report can be made anywhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sluicehq/sluice/bench/peers"
	"github.com/sluicehq/sluice/bench/report"
)

const usage = `bench measures event stream servers.

  bench run [flags]                  measure; bench run -h lists the flags
  bench engines [flags]              measure the engines that keep messages; bench engines -h lists the flags
  bench report -json FILES [-out DIR] write DIR/benchmarks.md and DIR/benchmarks/*.svg

and for itself: bench serve NAME ADDR, bench exec CORE COMMAND…
`

// errUsage is of a command line that is not understood; its reason has been printed.
var errUsage = errors.New("bench: wrong use")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run carries out a command.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	switch command, rest := args[0], args[1:]; command {
	case "run":
		return measure(ctx, rest, stdout, stderr)
	case "engines":
		return measureEngines(ctx, rest, stdout, stderr)
	case "report":
		return writeReport(rest, stderr)
	case "serve":
		if len(rest) == 2 {
			return peers.Serve(rest[0], rest[1], peers.Options{})
		}
	case "exec":
		return execOnCore(rest)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	fmt.Fprint(stderr, usage)
	return errUsage
}

// writeReport writes the report of a run that was saved.
func writeReport(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	files := flags.String("json", "bench.json", "`files` of the results, comma-separated: of runs that are to be shown as one")
	out := flags.String("out", "docs", "`folder` to write benchmarks.md and benchmarks/*.svg to")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	var all *report.Results
	for file := range strings.SplitSeq(*files, ",") {
		results, err := report.Read(file)
		if err != nil {
			return err
		}
		if all == nil {
			all = results
		} else {
			all.Add(results)
		}
	}
	return all.Write(*out)
}
