package main

import (
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice/bench/engines"
)

// measureEngines measures the engines and writes what it found.
func measureEngines(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("engines", flag.ContinueOnError)
	flags.SetOutput(stderr)
	seconds := flags.Float64("seconds", 1, "length of one measurement")
	rounds := flags.Int("rounds", 3, "how often each is repeated")
	dir := flags.String("dir", "", "`folder` on the disk that is to be measured; default: the system's for temporary files")
	server := flags.String("nats-server", "", "the `program` nats-server; without it NATS is left out")
	out := flags.String("out", "", "`folder` to write benchmarks-engines.md to; default: none is written")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	tables, err := engines.Run(ctx, engines.Options{Seconds: *seconds, Rounds: *rounds, Dir: *dir, NATSServer: *server, Out: stdout})
	if err != nil || *out == "" {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "benchmarks-engines.md"), engines.Markdown(tables), 0o644) //nolint:gosec // a page to be read by all
}
