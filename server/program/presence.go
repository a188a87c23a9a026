package program

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/client"
)

// presenceCmd is the command presence.
type presenceCmd struct {
	connection `embed:""`
	repeated   `embed:""`

	Channel string `arg:"" help:"Channel, such as room:1."`

	Follow bool `short:"f" help:"Also print who joins and leaves, until interrupted."`
	Count  int  `default:"0" placeholder:"N" help:"With --follow, stop after this many changes. The initial state counts as the first."`
}

// Help implements [kong.HelpProvider].
func (*presenceCmd) Help() string {
	return `Lists who reads a channel, on all nodes: a table on a terminal, lines of JSON in a pipe. It needs an API key, or a token that grants the topic $presence by its name.

Examples:

    sluice presence room:1
    sluice presence room:1 --follow | jq .joined`
}

// Run implements the command.
func (c *presenceCmd) Run(ctx context.Context, std *streams) error {
	switch {
	case c.Count < 0:
		return usagef("--count: %d is less than 1", c.Count)
	case c.Count > 0 && !c.Follow:
		return usagef("--count: only with --follow")
	}
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	if c.Follow {
		return c.follow(ctx, std, server)
	}
	p, err := server.Presence(ctx, c.Channel)
	if err != nil {
		return err
	}
	list := std.list("SINCE", "SUBJECT", "STREAMS")
	for _, s := range p.Subjects {
		if err := list.add(s, s.Since.Std().Local().Format("15:04:05"), s.Sub, s.Streams); err != nil {
			return err
		}
	}
	if err := list.end(); err != nil {
		return err
	}
	if others := p.Count - len(p.Subjects); others > 0 {
		std.printer(ctx).note(dim, "%d more are counted and not named", others)
	}
	return nil
}

// change is what a line of JSON says about who comes and goes.
type change struct {
	Joined []string `json:"joined"`
	Left   []string `json:"left"`
	Count  int      `json:"count"`
	More   bool     `json:"more"`
}

// follow prints who comes and goes.
func (c *presenceCmd) follow(ctx context.Context, std *streams, server *client.Client) error {
	lines := json.NewEncoder(std.out)
	lines.SetEscapeHTML(false)
	shown := 0
	for readers, err := range server.FollowPresence(ctx, c.Channel) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !isTerminal(std.out):
			err = lines.Encode(change{append([]string{}, readers.Joined...), append([]string{}, readers.Left...), readers.Count, readers.More})
		default:
			_, err = fmt.Fprintln(std.out, readersLine(readers))
		}
		if err != nil {
			return err
		}
		if shown++; shown == c.Count {
			return nil
		}
	}
	return nil
}

// readersLine describes a change on a terminal.
func readersLine(r client.Readers) string {
	var parts []string
	for _, sub := range r.Joined {
		parts = append(parts, "+"+printable(sub))
	}
	for _, sub := range r.Left {
		parts = append(parts, "-"+printable(sub))
	}
	return fmt.Sprintf("%s  (%d)", strings.Join(parts, " "), r.Count)
}
