package program

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
)

// grammar is the command line. Its tags are the text of --help.
type grammar struct {
	Serve     serveCmd     `cmd:"" default:"withargs" help:"Run the server. This is the default command."`
	Publish   publishCmd   `cmd:"" help:"Publish a message, a message for each line, or a stream of text."`
	Run       runCmd       `cmd:"" help:"Publish the status of the run that a channel reports on."`
	Subscribe subscribeCmd `cmd:"" help:"Print the messages of channels as they arrive."`
	History   historyCmd   `cmd:"" help:"Print the messages that a channel holds."`
	Token     tokenCmd     `cmd:"" help:"Make a token for a subscriber."`
	Revoke    revokeCmd    `cmd:"" help:"Revoke a token."`

	Channels    channelsCmd    `cmd:"" help:"List the active channels."`
	Subscribers subscribersCmd `cmd:"" help:"List the open streams."`
	Presence    presenceCmd    `cmd:"" help:"List who reads a channel."`
	Top         topCmd         `cmd:"" help:"Show what a node is doing, live."`

	Schemas struct {
		Push   schemasPushCmd   `cmd:"" help:"Add or replace the definitions in a file."`
		List   schemasListCmd   `cmd:"" help:"List the definitions of the server."`
		Get    schemasGetCmd    `cmd:"" help:"Print one definition."`
		Delete schemasDeleteCmd `cmd:"" help:"Remove one definition."`
	} `cmd:"" help:"Define what the messages of channels must look like."`
	Keys struct {
		Generate keysGenerateCmd `cmd:"" help:"Make the key that signs tokens."`
		Rotate   keysRotateCmd   `cmd:"" help:"Add a new key that takes over from the current one."`
		List     keysListCmd     `cmd:"" help:"List the keys of a file, without their secrets."`
		API      keysAPICmd      `cmd:"" name:"api" help:"Make an API key that may do only what you name."`
	} `cmd:"" help:"Make and rotate the keys that sign tokens, and make API keys."`
	Webhooks struct {
		Secret webhooksSecretCmd `cmd:"" help:"Make the secret that signs what is sent to a webhook."`
		Test   webhooksTestCmd   `cmd:"" help:"Send a test event to a URL."`
	} `cmd:"" help:"Make webhook secrets, and send test events."`
	Doctor  doctorCmd  `cmd:"" help:"Check a running server as its clients see it, and say what to change."`
	Health  healthCmd  `cmd:"" help:"Check whether a server is alive; the exit status is the answer."`
	Version versionCmd `cmd:"" help:"Print the version."`

	Completion completionCmd `cmd:"" help:"Print a script that completes commands and flags, for bash, zsh or fish."`
	Complete   completeCmd   `cmd:"" hidden:"" name:"__complete" help:"Print what can come next, for the scripts of completion."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// streams are the standard streams of a command.
type streams struct {
	in       io.Reader
	out, err io.Writer
	variable func(name string) string // of the environment; "" when it is not set
	explain  func(err error) error    // says more of a fault of the server or on the way to it
}

// run is the program. args are without the program's name, environ is in the form of
// [os.Environ]. A [*usageError] means that nothing was done.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) error {
	s := newSettings(environ)
	helped := false
	parser, err := newParser(s, stdout, stderr, func(int) { helped = true })
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(markNumbers(args))
	switch {
	case helped:
		return nil
	case err != nil:
		return wrongUse(parser.Model, args, err)
	case len(s.faults) > 0 && parsed.Selected().Name != "serve": // serve adds its own
		return s.faults.err()
	}
	std := &streams{
		in: stdin, out: stdout, err: stderr,
		variable: func(name string) string { return s.environ[name] },
		explain:  s.targetOf(parsed).explain,
	}
	if parsed.Selected().Name != "serve" { // a service outlives the readers of its log
		endWithReader(stdout)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return std.explain(parsed.Run(std, s, parser.Model))
}

// newParser makes the parser; exit is called after --help has been printed.
func newParser(s *settings, stdout, stderr io.Writer, exit func(int)) (*kong.Kong, error) {
	parser, err := kong.New(new(grammar),
		kong.Name("sluice"),
		kong.Description("Publish from your backend, subscribe from a browser: one process, Server-Sent Events, nothing lost in between."),
		kong.Vars{"version": versionLine()},
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true, Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups(groups),
		kong.ValueFormatter(s.describe),
		kong.PostBuild(s.learn),
		kong.KindMapper(reflect.String, kong.MapperFunc(decodeText)),
		kong.NamedMapper("nonempty", kong.MapperFunc(decodeNonempty)),
		kong.Resolvers(s),
	)
	if err != nil {
		return nil, fmt.Errorf("building the command line: %w", err) // a bug, found by any test
	}
	return parser, nil
}
