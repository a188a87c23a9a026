package program

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/server/doctor"
)

// healthTimeout is how long a server may take to say that it is alive.
const healthTimeout = 5 * time.Second

// healthCmd is the command health.
type healthCmd struct {
	URL string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server, or unix: and the path of its socket."`
}

// Help implements [kong.HelpProvider].
func (*healthCmd) Help() string {
	return `For health checks in containers, which have no curl. The exit status is 0 if the server is alive, and 1 if it is not or does not answer within 5 seconds.

Example:

    sluice health --url http://127.0.0.1:8080`
}

// Run implements the command.
func (c *healthCmd) Run(ctx context.Context, std *streams) error {
	server, err := (&connection{URL: c.URL}).client()
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := server.Health(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, "alive")
	return err
}

// doctorCmd is the command doctor.
type doctorCmd struct {
	URL    string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server as its clients use it, through all proxies; or unix: and the path of its socket."`
	APIKey string `name:"api-key" variable:"" secret:"" placeholder:"KEY" group:"server" help:"API key. Every user of the machine can see a flag: prefer the variable."`

	Origins []string      `name:"origin" placeholder:"ORIGIN" help:"Origins of the pages that are to read streams, such as https://app.example.com."`
	Idle    time.Duration `default:"0s" placeholder:"TIME" help:"How long to watch a stream on which nothing happens, such as 5m: proxies cut such connections. Default: not at all."`
}

// Help implements [kong.HelpProvider].
func (*doctorCmd) Help() string {
	return `Checks a running server as its clients see it, and says what is wrong and what to change: address, TLS, HTTP/2, clocks, keys, and whether something in between holds messages back, cuts streams or drops headers. With an API key that may make tokens, it also publishes and reads, on channels of its own. It prints lines of JSON in a pipe. The exit status is 1 if something does not work.

sluice serve --check looks at a configuration.

Examples:

    sluice doctor --url https://sluice.example.com --origin https://app.example.com
    sluice doctor --url https://sluice.example.com --idle 5m`
}

// Run implements the command.
func (c *doctorCmd) Run(ctx context.Context, std *streams) error {
	var failed, all int
	var broken error
	tell := std.findings()
	err := doctor.Examine(ctx, doctor.Patient{URL: c.URL, APIKey: c.APIKey, Origins: c.Origins, Idle: c.Idle}, func(f doctor.Finding) {
		all++
		if f.Level == doctor.Fault {
			failed++
		}
		broken = errors.Join(broken, tell(f))
	})
	switch {
	case errors.Is(err, doctor.ErrBadURL):
		return usagef("--url: %v", err)
	case err != nil || broken != nil:
		return errors.Join(err, broken)
	case failed > 0:
		return fmt.Errorf("%d of %d checks failed", failed, all)
	}
	return nil
}

// findings returns what prints findings: readable lines on a terminal, lines of JSON in a pipe.
func (s *streams) findings() func(doctor.Finding) error {
	if !isTerminal(s.out) {
		lines := s.list()
		return func(f doctor.Finding) error { return lines.add(f) }
	}
	colours, styles := s.coloured(s.out), map[doctor.Level]style{doctor.Fault: red, doctor.Warning: bold, doctor.Skipped: dim, doctor.Fine: cyan}
	return func(f doctor.Finding) error {
		_, err := fmt.Fprintf(s.out, "%s %-9s %s\n", colours.paint(styles[f.Level], fmt.Sprintf("%-8s", f.Level)), f.Check, printable(f.Found))
		if f.Advice != "" {
			_, err = fmt.Fprintf(s.out, "%-18s %s\n", "", printable(f.Advice))
		}
		return err
	}
}

// check reads the files that the configuration names, as a start would, and returns all
// faults.
func (c *Config) check() error {
	wrong := &usageError{}
	note := func(err error) {
		if usage := (*usageError)(nil); errors.As(err, &usage) {
			wrong.faults = append(wrong.faults, usage.faults...)
		} else if err != nil {
			wrong.faults = append(wrong.faults, err.Error())
		}
	}
	_, err := loadCatalog(c.Channels)
	note(err)
	if c.SigningKeys != "" {
		_, err := auth.LoadKeyring(c.SigningKeys)
		note(about("signing-keys", err))
	}
	if c.Issuers != "" {
		_, err := auth.LoadIssuers(c.Issuers)
		note(about("issuers", err))
	}
	if c.TLSCert != "" {
		note(about("tls-cert", (&certificate{certFile: c.TLSCert, keyFile: c.TLSKey}).load()))
	}
	if len(wrong.faults) > 0 {
		return wrong
	}
	return nil
}

// about says which setting an error is about.
func about(setting string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", setting, err)
}
