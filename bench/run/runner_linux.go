package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/peers"
	"github.com/sluicehq/sluice/bench/report"
)

// Options say what to measure.
type Options struct {
	Scenarios   []string      // names of [report.Scenarios]; none is all
	Servers     []string      // names of peers; none is all
	Rounds      int           // each server is measured so often, the servers taking turns; 0 is 5, 3 for D, H-channels and H-stored, and 1 for U
	Window      time.Duration // measured in each round
	Warmup      time.Duration // loaded before that
	Scale       float64       // of the numbers of readers, channels and messages; 1 is as described
	JSON        string        // file of the results, saved after each round; none if empty
	SluiceBin   string
	SluiceFlags []string // added to Sluice's own
	NATSServer  string   // program that keeps texts in U; none leaves these cases out
	Node        string   // the folder node of this module, for the peers that are written in JavaScript
	Self        string   // this program, which is also the Go servers
	Command     string   // as the user gave it
	Log         io.Writer
}

// Runner measures. It is for one goroutine.
type Runner struct {
	options Options
	cores   cores
	results report.Results
	clock   load.Clock
}

// New checks the options and prepares a run.
func New(o Options) (*Runner, error) {
	scenarios, unknown := report.Select(o.Scenarios)
	for _, name := range o.Servers {
		if _, found := peers.ByName(name); !found {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("run: there is no scenario or server %s", strings.Join(unknown, ", "))
	}
	o.Scenarios = scenarios
	if o.Rounds < 0 {
		return nil, errors.New("run: rounds below zero")
	}
	cores, err := pickCores()
	if err != nil {
		return nil, err
	}
	if err := raiseDescriptors(); err != nil {
		return nil, err
	}
	return &Runner{options: o, cores: cores, clock: load.NewClock(), results: report.Results{
		Command: o.Command, Started: time.Now().UTC().Truncate(time.Second), Window: o.Window, Rounds: plan{}.rounds(o.Rounds),
		Machine: describeMachine(cores.apart), Servers: map[string]report.Server{},
	}}, nil
}

// Run measures all that was asked for. What a server cannot take is a fault in its samples;
// an error is of the harness, or of ctx, and what was found until then is kept.
func (r *Runner) Run(ctx context.Context) (*report.Results, error) {
	if r.cores.apart {
		if err := pin(r.cores.client); err != nil {
			return nil, err
		}
	}
	for _, name := range r.options.Scenarios {
		for _, p := range plans(r.options.Scale) {
			if p.scenario != name || p.engine == inNATS && r.options.NATSServer == "" {
				continue
			}
			if err := r.plan(ctx, p); err != nil {
				return &r.results, err
			}
		}
	}
	return &r.results, nil
}

// plan measures one case of a scenario: in each round all servers, one after the other.
func (r *Runner) plan(ctx context.Context, p plan) error {
	for round := range p.rounds(r.options.Rounds) {
		for _, peer := range peers.All() {
			if len(r.options.Servers) > 0 && !slices.Contains(r.options.Servers, peer.Name) || !p.takes(peer) {
				continue
			}
			if err := r.trial(ctx, p, peer, round); err != nil {
				return err
			}
		}
		r.results.Took = time.Since(r.results.Started)
		if r.options.JSON != "" {
			if err := r.results.Save(r.options.JSON); err != nil {
				return err
			}
		}
	}
	return nil
}

// trial measures one server once.
func (r *Runner) trial(ctx context.Context, p plan, peer peers.Peer, round int) error {
	r.describe(peer)
	t := &trial{runner: r, peer: peer, plan: p}
	samples, err := t.run(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		samples = append(samples, report.Sample{Case: p.name, X: p.x, Fault: err.Error()})
	}
	for _, s := range samples {
		s.Scenario, s.Server, s.Round = p.scenario, peer.Name, round
		r.results.Samples = append(r.results.Samples, s)
		r.logSample(s)
	}
	return nil
}

// logSample tells how it went, as it goes.
func (r *Runner) logSample(s report.Sample) {
	if r.options.Log == nil {
		return
	}
	state := "ok"
	switch {
	case s.Fault != "":
		state = "failed: " + s.Fault
	case !s.Good():
		state = fmt.Sprintf("wrong: %+v", s.Check)
	}
	fmt.Fprintf(r.options.Log, "%s %s %s round %d: %s\n", s.Scenario, s.Case, s.Server, s.Round+1, state)
}

// describe notes a server's version, once.
func (r *Runner) describe(peer peers.Peer) {
	if _, known := r.results.Servers[peer.Name]; known {
		return
	}
	s := report.Server{
		Kind: report.Peer, Version: peer.Version(peers.Options{SluiceBin: r.options.SluiceBin, Node: r.options.Node}),
		Lacks: peer.Lacks, Note: peer.Note,
	}
	switch {
	case peer.Floor:
		s.Kind = report.Floor
	case ofSluice(peer):
		s.Kind, s.Flags = report.Subject, strings.Join(r.options.SluiceFlags, " ")
	}
	r.results.Servers[peer.Name] = s
}

// errFew is of a scenario that a limit of the machine leaves no room for.
var errFew = errors.New("run: too few descriptors: raise the hard limit (ulimit -Hn) to 20000")
