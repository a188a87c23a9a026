package program

import (
	"context"
	"log/slog"
)

// serveCmd is the command serve.
type serveCmd struct {
	Config `embed:""`
}

// Help implements [kong.HelpProvider].
func (*serveCmd) Help() string {
	return `A setting comes from the command line, else from its variable, else from the file, else it has its default. Its variable is shown in parentheses; its key in the file is the name of the flag with underscores. To read a secret from a file, add _FILE to its variable and set that to the path. Line breaks after a value are ignored. A list may have one item per line; any other value must be on one line.

Examples:

    sluice --dev
    sluice serve --config sluice.yaml --log-level debug
    SLUICE_API_KEYS_FILE=/run/secrets/api_keys sluice --signing-keys keys.json

SIGTERM, SIGINT and SIGHUP (unless it is ignored, as under nohup) end all streams in order and then the server. A second SIGTERM or SIGINT ends it at once. Log lines that nobody reads are dropped and counted; they delay nothing.

The exit status is 0 after a drain, 1 if something failed while running, and 2 if the configuration is wrong; all faults are listed.`
}

// Run implements the command.
func (c *serveCmd) Run(ctx context.Context, std *streams, s *settings) error {
	if err := s.config(&c.Config); err != nil {
		return err
	}
	outliveReaders()
	var log *slog.Logger
	lines := newLineWriter(std.err, func(lost uint64) { log.Warn("log lines lost", "lines", lost) })
	defer lines.close(flushTimeout)
	log = newLogger(lines, c.LogLevel, logFormat(c.LogFormat, std.err))
	banner := newLineWriter(std.out, nil)
	defer banner.close(flushTimeout)
	for _, warning := range c.Warnings {
		log.Warn("questionable configuration", "warning", warning)
	}
	return serve(ctx, &c.Config, banner, log, lines.Lost)
}
