package main

import (
	"context"
)

// serveCmd is the command serve.
type serveCmd struct {
	Config `embed:""`
}

// Help implements [kong.HelpProvider].
func (*serveCmd) Help() string {
	return `A setting is taken from the command line, else from its variable, else from the file, else it has its default. Its variable is shown in parentheses; its key in the file is the flag's name with underscores. A secret's variable with _FILE at its end names a file that holds the secret.

Examples:

    sluice --dev
    sluice serve --config sluice.yaml --log-level debug
    SLUICE_API_KEYS_FILE=/run/secrets/api_keys sluice --signing-keys keys.json

The exit status is 0 after a drain, 1 when something failed while running and 2 when the configuration is wrong; all faults are listed.`
}

// Run implements the command.
func (c *serveCmd) Run(ctx context.Context, std *streams, s *settings) error {
	if err := s.config(&c.Config); err != nil {
		return err
	}
	log := newLogger(std.err, c.LogLevel, c.LogFormat)
	for _, warning := range c.Warnings {
		log.Warn("doubtful configuration", "warning", warning)
	}
	return serve(ctx, &c.Config, std.out, log)
}
