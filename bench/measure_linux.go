package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	benchrun "github.com/sluicehq/sluice/bench/run"
)

// measure runs scenarios and prints what they found.
func measure(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var o benchrun.Options
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	scenarios := flags.String("scenarios", "", "`names`, comma-separated: A, A16, B … H, H-readers, T, T2, U, P; none is all")
	servers := flags.String("servers", "", "`names`, comma-separated; none is all")
	seconds := flags.Float64("seconds", 2, "seconds that are measured in each round")
	warmup := flags.Float64("warmup", 1, "seconds of load before that")
	flags.IntVar(&o.Rounds, "rounds", 0, "rounds, in each of which the servers take turns; 0 is 5, 3 for D, H-channels and H-stored, and 1 for U")
	flags.Float64Var(&o.Scale, "scale", 1, "`factor` on the numbers of readers, channels and messages")
	flags.StringVar(&o.JSON, "json", "", "`file` to save the results in, for bench report")
	flags.StringVar(&o.SluiceBin, "sluice", "", "`path` of the Sluice program; none builds it from -root")
	flags.StringVar(&o.NATSServer, "nats-server", "", "the `program` nats-server, for U; without it NATS is left out")
	root := flags.String("root", "..", "`folder` of the Sluice module")
	sluiceFlags := flags.String("sluice-flags", "", "`flags` for Sluice, separated by spaces")
	flags.StringVar(&o.Node, "node", "", "`folder` with the programs for Node.js; none is bench/node in -root")
	profile := flags.String("profile", "", "`file` for a profile of the client")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	o.Scenarios, o.Servers = list(*scenarios), list(*servers)
	o.Window = time.Duration(*seconds * float64(time.Second))
	o.Warmup = time.Duration(*warmup * float64(time.Second))
	o.SluiceFlags = strings.Fields(*sluiceFlags)
	if o.Node == "" {
		o.Node = filepath.Join(*root, "bench", "node")
	}
	if o.Node, err = filepath.Abs(o.Node); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	o.Command = "bench run " + strings.Join(args, " ")
	o.Log = stderr
	if o.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if o.SluiceBin != "" {
		// Sluice runs in a folder of its own, where a relative path would not be found.
		if o.SluiceBin, err = filepath.Abs(o.SluiceBin); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	} else {
		dir, err := os.MkdirTemp("", "bench-")
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		o.SluiceBin = filepath.Join(dir, "sluice")
		if err := benchrun.BuildSluice(ctx, *root, o.SluiceBin); err != nil {
			return err
		}
	}
	runner, err := benchrun.New(o)
	if err != nil {
		return err
	}
	stop, err := startProfile(*profile)
	if err != nil {
		return err
	}
	results, err := runner.Run(ctx)
	return errors.Join(err, stop(), results.Summary(stdout))
}

// startProfile profiles this process into a file, if one is named, until stop is called.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// execOnCore becomes another command, on a core.
func execOnCore(args []string) error { return benchrun.Exec(args) }

// list splits a comma-separated list.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
