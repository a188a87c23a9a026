package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluicehq/sluice/client"
)

// subscribeCmd is the command subscribe.
type subscribeCmd struct {
	connection `embed:""`

	Channels []string `arg:"" optional:"" name:"channel" help:"Channels or patterns, such as pipeline:*. May be left out with a token for one channel."`

	Topics      []string `name:"topic" placeholder:"TOPIC" help:"Topics; all that are allowed when left out."`
	Replay      string   `placeholder:"HOW" help:"Messages from before: none, latest, all or a number."`
	LastEventID string   `name:"last-event-id" placeholder:"ID" help:"Go on after this id."`
}

// Help implements [kong.HelpProvider].
func (*subscribeCmd) Help() string {
	return `Prints messages until it is interrupted: for people on a terminal (without colours when NO_COLOR is set), as lines of JSON in a pipe. A lost connection is made again and nothing is printed twice. What happens to the stream itself, and messages that are lost for good, is told on standard error.

Examples:

    sluice subscribe pipeline:run_42
    sluice subscribe 'pipeline:*' --topic status --replay latest
    sluice subscribe build:7 --replay all | jq -r .data`
}

// Run implements the command.
func (c *subscribeCmd) Run(ctx context.Context, std *streams) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	defer server.Close()
	p := &printer{out: std.out, err: std.err, human: isTerminal(std.out), colours: std.coloured(std.out), notes: std.coloured(std.err)}
	subscription := client.Subscription{
		Channels: c.Channels, Topics: c.Topics, Replay: c.Replay, LastEventID: c.LastEventID,
		OnRetry: p.retry,
	}
	for event, err := range server.Events(ctx, subscription) {
		switch {
		case err != nil && ctx.Err() != nil:
			return nil // interrupted: that is how it ends
		case err != nil:
			return err
		}
		if err := p.event(event); err != nil {
			return err
		}
	}
	return nil
}

// printer prints what a subscription receives.
type printer struct {
	out, err io.Writer
	human    bool    // out is a terminal
	colours  palette // of out
	notes    palette // of err
}

// event prints messages to out and what happens to the stream to err.
func (p *printer) event(e client.Event) error {
	switch {
	case e.Message != nil && p.human:
		_, err := fmt.Fprintln(p.out, p.line(e))
		return err
	case e.Message != nil:
		_, err := fmt.Fprintf(p.out, "%s\n", e.Data)
		return err
	case e.Open != nil:
		verb := "subscribed to"
		if e.Open.Resumed {
			verb = "resumed"
		}
		p.note(dim, "%s %s at %s", verb, strings.Join(e.Open.Channels, ", "), e.Open.ID)
	case e.Gap != nil:
		next := "what comes next"
		if e.Gap.ResumesAt != "" {
			next = e.Gap.ResumesAt
		}
		p.note(red, "messages of %s are lost: from after %s to before %s (%s)", e.Gap.Channel, e.Gap.After, next, e.Gap.Reason)
	case e.Close != nil:
		p.note(dim, "the server ended the stream: %d %s", e.Close.Code, e.Close.Reason)
	}
	return nil
}

// line is a message for a person.
func (p *printer) line(e client.Event) string {
	m := e.Message
	return strings.Join([]string{
		p.colours.paint(dim, m.CreatedAt.Std().Local().Format("15:04:05.000")),
		p.colours.paint(cyan, printable(string(m.Channel))),
		p.colours.paint(bold, printable(string(m.Topic))),
		printable(string(m.Data)),
	}, " ")
}

// retry is told of a lost connection. After a close code that was noted there is
// no need for another line.
func (p *printer) retry(err error, wait time.Duration) {
	if closed := (*client.CloseError)(nil); errors.As(err, &closed) {
		return
	}
	p.note(dim, "%v; trying again in %v", err, wait.Round(time.Millisecond))
}

func (p *printer) note(with style, format string, args ...any) {
	fmt.Fprintln(p.err, p.notes.paint(with, "sluice: "+printable(fmt.Sprintf(format, args...))))
}
