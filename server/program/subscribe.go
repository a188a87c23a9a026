package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// subscribeCmd is the command subscribe.
type subscribeCmd struct {
	connection `embed:""`

	Channels []string `arg:"" optional:"" name:"channel" help:"Channels or patterns, such as pipeline:*. Optional if the token is for one channel."`

	Topics      []string `name:"topic" placeholder:"TOPIC" help:"Topics. Default: all that the credential allows."`
	Replay      string   `placeholder:"HOW" help:"Earlier messages to print first: none, latest, all or a number."`
	LastEventID string   `name:"last-event-id" placeholder:"ID" help:"Continue after this id."`
	Text        string   `placeholder:"TOPIC" help:"Print only the latest text of this topic of one channel, as it grows, until it ends: with exit status 0 if it is complete and 1 if it was broken off."`
	Count       *int     `placeholder:"N" help:"Stop after N messages, with exit status 0."`
	Until       string   `placeholder:"end" enum:",end" default:"" help:"end: stop when the run of the channel has ended, with exit status 0 if it completed and 1 if it failed or was cancelled."`
}

// Help implements [kong.HelpProvider].
func (*subscribeCmd) Help() string {
	return `Prints messages until it is interrupted: readable lines on a terminal (without colours if NO_COLOR is set), lines of JSON in a pipe. It reconnects when the connection is lost and prints nothing twice. Standard error says what happens to the stream, and which messages are lost for good.

Examples:

    sluice subscribe pipeline:run_42
    sluice subscribe 'pipeline:*' --topic status --replay latest
    sluice subscribe build:7 --replay all | jq -r .data
    sluice subscribe build:7 --until end && deploy
    sluice subscribe order:1 --topic state --replay latest --count 1
    sluice subscribe chat:7 --text draft`
}

// Run implements the command.
func (c *subscribeCmd) Run(ctx context.Context, std *streams) error {
	switch {
	case c.Count != nil && *c.Count < 1:
		return usagef("--count: %d is less than 1", *c.Count)
	case c.Count != nil && c.Text != "":
		return usagef("--count and --text: give one of them")
	}
	server, err := c.client()
	if err != nil {
		return err
	}
	defer server.Close()
	p := std.printer(ctx)
	defer p.endLine()
	if c.Text != "" {
		return c.printText(ctx, server, p)
	}
	subscription := client.Subscription{
		Channels: c.Channels, Topics: c.Topics, Replay: c.Replay, LastEventID: c.LastEventID, UntilEnd: c.Until == "end",
		OnRetry: p.retry,
	}
	var run schemas.RunChange
	printed := 0
	for event, err := range server.Events(ctx, subscription) {
		unreadable := (*client.EventError)(nil)
		switch {
		case errors.As(err, &unreadable):
			p.note(red, "%v", err)
			continue
		case err != nil && ctx.Err() != nil:
			return nil // interrupted, as every subscription is in the end
		case err != nil:
			return err
		}
		if m := event.Message; m != nil && m.Kind == schemas.KindRun {
			if run, err = schemas.ParseRunChange(m); err != nil {
				return err
			}
		}
		if err := p.event(event); err != nil && ctx.Err() == nil {
			return err
		}
		if event.Message == nil {
			continue
		}
		if printed++; c.Count != nil && printed == *c.Count {
			return nil
		}
	}
	if !subscription.UntilEnd || ctx.Err() != nil {
		return nil
	}
	if !run.Status.Final() { // it had ended before, and there was nothing to print
		if run, err = outcome(ctx, server, subscription); err != nil {
			return err
		}
	}
	if run.Status != schemas.RunCompleted {
		return fmt.Errorf("the run is %s", run.Status)
	}
	return nil
}

// printText prints a text as it grows. What a later attempt replaces cannot be taken back, so
// the text begins again below it.
func (c *subscribeCmd) printText(ctx context.Context, server *client.Client, p *printer) error {
	sub := client.Subscription{
		Channels: c.Channels, Topics: []string{c.Text}, Replay: cmp.Or(c.Replay, "latest"), LastEventID: c.LastEventID, OnRetry: p.retry,
	}
	var texts client.Texts
	var shown *client.Text // the first text that comes
	told := false          // that a part of it is lost
	for message, err := range server.Subscribe(ctx, sub) {
		text, is := texts.Add(message, err)
		gap, unreadable := (*client.GapError)(nil), (*client.EventError)(nil)
		switch {
		case errors.As(err, &gap) || errors.As(err, &unreadable):
			p.note(red, "%v", err)
			continue
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !is || shown != nil && text != shown:
			continue
		}
		p.noted = ""
		if text.Partial && !told {
			told = true
			p.note(red, "a part of the text is lost")
		}
		shown = text
		if _, err := io.WriteString(p.out, p.plain(text.Piece)); err != nil && ctx.Err() == nil {
			return err
		}
		switch text.State {
		case client.TextComplete:
			return nil
		case client.TextAborted:
			return errors.New("the text was broken off")
		case client.TextSuperseded:
			if _, err := io.WriteString(p.out, "\n"); err != nil && ctx.Err() == nil {
				return err
			}
			p.note(red, "a later attempt replaces the text, which begins again")
			shown, told = nil, false
		}
	}
	return nil
}

// outcome returns the latest status of a run that has ended. Every stream with a replay
// begins with it.
func outcome(ctx context.Context, server *client.Client, sub client.Subscription) (run schemas.RunChange, err error) {
	sub.Replay, sub.LastEventID = "1", ""
	for event, err := range server.Events(ctx, sub) {
		if err != nil {
			return run, err
		}
		if m := event.Message; m != nil && m.Kind == schemas.KindRun {
			return schemas.ParseRunChange(m)
		}
	}
	return run, errors.New("the run has ended, and its status is no longer kept")
}

// printer returns a printer to the standard streams.
func (s *streams) printer(ctx context.Context) *printer {
	return &printer{
		out: &interruptible{ctx, s.out}, err: &interruptible{ctx, s.err},
		human: isTerminal(s.out), colours: s.coloured(s.out), notes: s.coloured(s.err), explain: s.explain,
	}
}

// printer prints what a subscription receives.
type printer struct {
	out, err io.Writer
	human    bool    // out is a terminal
	colours  palette // of out
	notes    palette // of err
	explain  func(error) error
	noted    string // why there is no connection, once that has been said; "" while there is one
	text     string // the text whose pieces the last line shows, on a terminal
	open     bool   // the last line has not ended
}

// event prints messages to out and what happens to the stream to err.
func (p *printer) event(e client.Event) error {
	switch {
	case e.Message != nil && p.human:
		return p.show(e.Message)
	case e.Message != nil:
		_, err := fmt.Fprintf(p.out, "%s\n", e.Data)
		return err
	case e.Open != nil:
		verb := "subscribed to"
		if e.Open.Resumed {
			verb = "resumed"
		}
		p.noted = ""
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

// plain is a piece of text as out may show it: a terminal gets no control characters but
// the ends of lines and tabs.
func (p *printer) plain(text string) string {
	if !p.human {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, ended := strings.CutSuffix(line, "\n")
		for i, cell := range strings.Split(line, "\t") {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(printable(cell))
		}
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// show prints a message for a person. The pieces of a text follow each other until another
// message comes.
func (p *printer) show(m *schemas.Message) error {
	key := ""
	if m.Piece() {
		key = strings.Join([]string{string(m.Channel), string(m.Topic), m.StreamID}, " ")
	}
	text, is := textOfMessage(m)
	switch {
	case m.Kind == schemas.KindStreamEnd && p.text == key && strings.Contains(string(m.Data), `"complete"`):
		p.endLine()
		p.text = ""
		return nil
	case m.Kind == schemas.KindStreamStart:
		text, is = "", true
	case !is:
		text = printable(string(m.Data))
	}
	var line strings.Builder
	if key == "" || key != p.text || m.Kind == schemas.KindStreamEnd {
		p.endLine()
		line.WriteString(p.head(m) + " ")
	}
	if is {
		text = p.plain(text)
	}
	line.WriteString(text)
	if key == "" || m.Kind == schemas.KindStreamEnd {
		line.WriteString("\n")
		key = ""
	}
	p.text, p.open = key, !strings.HasSuffix(line.String(), "\n") && (p.open || line.Len() > 0)
	_, err := io.WriteString(p.out, line.String())
	return err
}

// endLine ends the line of a text that goes on, since something else is printed.
func (p *printer) endLine() {
	if p.open {
		fmt.Fprintln(p.out)
	}
	p.open, p.text = false, ""
}

// head is what stands before the data of a message.
func (p *printer) head(m *schemas.Message) string {
	return strings.Join([]string{
		p.colours.paint(dim, m.CreatedAt.Std().Local().Format("15:04:05.000")),
		p.colours.paint(cyan, printable(string(m.Channel))),
		p.colours.paint(bold, printable(string(m.Topic))),
	}, " ")
}

// retry notes a lost connection. A close code was noted already and needs no second line,
// and neither does a fault that the next attempts meet again.
func (p *printer) retry(err error, _ time.Duration) {
	if closed := (*client.CloseError)(nil); errors.As(err, &closed) {
		return
	}
	if text := p.explain(err).Error(); text != p.noted {
		p.noted = text
		p.note(dim, "%s; trying again until it answers", text)
	}
}

func (p *printer) note(with style, format string, args ...any) {
	p.endLine()
	fmt.Fprintln(p.err, p.notes.paint(with, "sluice: "+printable(fmt.Sprintf(format, args...))))
}
