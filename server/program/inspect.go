package program

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/server/top"
)

// administration is the flags of commands that need an API key: a token will not do.
type administration struct {
	repeated `embed:""`

	URL    string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server, or unix: and the path of its socket."`
	APIKey string `name:"api-key" variable:"" secret:"" placeholder:"KEY" group:"server" help:"API key. Every user of the machine can see a flag: prefer the variable."`
}

func (a *administration) client() (*client.Client, error) {
	return (&connection{URL: a.URL, APIKey: a.APIKey}).client(a.option())
}

// channelsCmd is the command channels.
type channelsCmd struct {
	administration `embed:""`

	Prefix string `arg:"" optional:"" help:"Only channels whose names begin with this, such as pipeline:."`
}

// Help implements [kong.HelpProvider].
func (*channelsCmd) Help() string {
	return `Lists the active channels by name: a table on a terminal, lines of JSON in a pipe.

Examples:

    sluice channels
    sluice channels pipeline: | jq -r 'select(.run.status == "failed") | .channel'`
}

// Run implements the command.
func (c *channelsCmd) Run(ctx context.Context, std *streams) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	defer server.Close()
	list := std.list("CHANNEL", "SUBSCRIBERS", "MESSAGES", "BYTES", "LAST ID", "RUN")
	for info, err := range server.Channels(ctx, c.Prefix) {
		if err != nil {
			return err
		}
		run := ""
		if info.Run != nil {
			run = strings.TrimSpace(string(info.Run.Status) + " " + info.Run.RunID)
		}
		if err := list.add(info, info.Channel, info.Subscribers, info.Messages, info.Bytes, info.LastID, run); err != nil {
			return err
		}
	}
	return list.end()
}

// subscribersCmd is the command subscribers.
type subscribersCmd struct {
	administration `embed:""`

	Channel string `arg:"" optional:"" help:"Only streams that receive this channel."`

	Sub string `type:"nonempty" placeholder:"NAME" help:"Only streams whose token has this subject."`
}

// Help implements [kong.HelpProvider].
func (*subscribersCmd) Help() string {
	return `Lists up to 1,000 open streams of the node that answers: a table on a terminal, lines of JSON in a pipe.

Examples:

    sluice subscribers
    sluice subscribers pipeline:run_42 --sub user-7`
}

// Run implements the command.
func (c *subscribersCmd) Run(ctx context.Context, std *streams) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	defer server.Close()
	open, err := server.Subscribers(ctx, c.Channel, c.Sub)
	if err != nil {
		return err
	}
	list := std.list("SINCE", "SUBJECT", "TOKEN", "ADDRESS", "CHANNELS", "TOPICS", "POSITION")
	for _, s := range open {
		since := s.ConnectedAt.Std().Local().Format("15:04:05")
		if err := list.add(s, since, s.Sub, s.JTI, s.Address, strings.Join(s.Channels, " "), strings.Join(s.Topics, " "), s.Position); err != nil {
			return err
		}
	}
	return list.end()
}

// topCmd is the command top.
type topCmd struct {
	URL string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server, or unix: and the path of its socket."`

	Interval time.Duration `default:"2s" help:"Time between two samples."`
	Count    int           `default:"0" placeholder:"N" help:"Stop after this many samples. Default: when interrupted."`
}

// Help implements [kong.HelpProvider].
func (*topCmd) Help() string {
	return `Shows what a node is doing, from its metrics: streams, messages, processors, memory, and what is refused or lost. On a terminal, each sample replaces the one before; in a pipe, each is a line of JSON.

Examples:

    sluice top
    sluice top --url http://node-2:8080 --count 1 | jq .delivered_per_second`
}

// Run implements the command.
func (c *topCmd) Run(ctx context.Context, std *streams) error {
	const least = 100 * time.Millisecond // so that looking is not what it sees
	if c.Interval < least {
		return usagef("--interval: %v is less than %v", c.Interval, least)
	}
	server, err := (&connection{URL: c.URL}).client()
	if err != nil {
		return err
	}
	defer server.Close()
	look := func() (top.Sample, error) {
		text, err := server.Metrics(ctx)
		if err != nil {
			return top.Sample{}, err
		}
		return top.Read(bytes.NewReader(text), time.Now())
	}
	before, err := look()
	if err != nil {
		return err
	}
	show, restore := std.screen(c.URL, c.Count <= 0)
	defer restore()
	ticker := time.NewTicker(c.Interval)
	defer ticker.Stop()
	for shown := 0; c.Count <= 0 || shown < c.Count; shown++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		after, err := look()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := show(top.Between(before, after)); err != nil {
			return err
		}
		before = after
	}
	return nil
}

// Sequences of ECMA-48 and xterm.
const (
	alternateScreen = "\x1b[?1049h\x1b[?25l" // without a cursor
	normalScreen    = "\x1b[?25h\x1b[?1049l"
	home            = "\x1b[H"
	restOfLine      = "\x1b[K"
	restOfScreen    = "\x1b[J"
)

// screen returns what shows views, and what gives the terminal back. In a pipe, views are
// lines of JSON; on a terminal they are one below the other, or over it if they have no end.
func (s *streams) screen(of string, endless bool) (show func(top.View) error, restore func()) {
	if !isTerminal(s.out) {
		lines := s.list()
		return func(v top.View) error { return lines.add(v) }, func() {}
	}
	colours, begin, end := s.coloured(s.out), "", "\n"
	restore = func() {}
	if endless {
		fmt.Fprint(s.out, alternateScreen)
		begin, end = home, restOfScreen
		restore = func() { fmt.Fprint(s.out, normalScreen) }
	}
	return func(v top.View) error {
		var b strings.Builder
		b.WriteString(begin)
		for _, line := range picture(of, v, colours) {
			b.WriteString(line + restOfLine + "\n")
		}
		_, err := fmt.Fprint(s.out, b.String(), end)
		return err
	}, restore
}

// picture returns the lines that show a view on a terminal. What the server has said is printable
// in them.
func picture(of string, v top.View, colours palette) []string {
	lines := []string{colours.paint(bold, printable(of)) + "   " + v.At.Local().Format(time.TimeOnly), ""}
	for _, line := range v.Lines() {
		lines = append(lines, printable(line))
	}
	return lines
}

// historyCmd is the command history.
type historyCmd struct {
	connection `embed:""`
	repeated   `embed:""`

	Channel string `arg:"" help:"Channel, such as pipeline:run_42."`

	Topics []string `name:"topic" placeholder:"TOPIC" help:"Topics. Default: all that the credential allows."`
	After  string   `type:"nonempty" placeholder:"ID" help:"Only messages after this id."`
	Before string   `type:"nonempty" placeholder:"ID" help:"Only messages before this id."`
	Newest bool     `help:"The newest first."`
	Limit  int      `default:"0" placeholder:"N" help:"At most this many messages. Default: all that the channel holds."`
}

// Help implements [kong.HelpProvider].
func (*historyCmd) Help() string {
	return `Prints the messages that a channel holds and ends: readable lines on a terminal, lines of JSON in a pipe.

Examples:

    sluice history pipeline:run_42
    sluice history build:7 --topic log --newest --limit 1 | jq -r .data`
}

// Run implements the command.
func (c *historyCmd) Run(ctx context.Context, std *streams) error {
	if c.Limit < 0 {
		return usagef("--limit: %d is less than 1", c.Limit)
	}
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	p := std.printer(ctx)
	defer p.endLine()
	const most = 1000
	query := client.HistoryQuery{Topics: c.Topics, After: c.After, Before: c.Before, Newest: c.Newest}
	for left := c.Limit; ; {
		query.Limit = most
		if c.Limit > 0 {
			query.Limit = min(most, left)
		}
		page, err := server.History(ctx, c.Channel, query)
		if err != nil {
			return err
		}
		if page.Gap {
			p.note(red, "messages of %s after %s are lost", c.Channel, query.After)
		}
		for _, m := range page.Messages {
			if err := p.event(client.Event{Message: &m, Data: m.AppendJSON(nil)}); err != nil {
				return err
			}
		}
		left -= len(page.Messages)
		if page.Next == "" || c.Limit > 0 && left <= 0 {
			return nil
		}
		if c.Newest {
			query.Before = page.Next
		} else {
			query.After = page.Next
		}
	}
}

// revokeCmd is the command revoke.
type revokeCmd struct {
	administration `embed:""`

	Token string `arg:"" type:"nonempty" help:"The token, or its id (jti)."`
}

// Help implements [kong.HelpProvider].
func (*revokeCmd) Help() string {
	return `Revokes a token: it opens no new stream, and its open streams end within a second. Prints the id of the token.

Examples:

    sluice revoke 7FI3DPVZ3W2QIZCQK4VDVXKZGM
    sluice revoke "$TOKEN"`
}

// Run implements the command.
func (c *revokeCmd) Run(ctx context.Context, std *streams) error {
	jti, err := tokenID(c.Token)
	if err != nil {
		return err
	}
	server, err := c.client()
	if err != nil {
		return err
	}
	defer server.Close()
	if err := server.Revoke(ctx, jti); err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, printable(jti))
	return err
}

// tokenID returns the id of a token, which is its claim jti; any other text is an id itself.
// Whoever may revoke tokens may revoke any, so the signature does not matter.
func tokenID(text string) (string, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return text, nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return text, nil //nolint:nilerr // an id with two dots, of another issuer
	}
	var claims struct{ JTI string }
	if err := json.Unmarshal(payload, &claims); err != nil || claims.JTI == "" {
		return "", usagef("the token has no id (jti), and cannot be revoked")
	}
	return claims.JTI, nil
}

// list prints items: as a table on a terminal, as lines of JSON in a pipe.
type list struct {
	table *tabwriter.Writer // nil: in a pipe
	json  *json.Encoder
}

func (s *streams) list(heads ...string) *list {
	if !isTerminal(s.out) {
		lines := json.NewEncoder(s.out)
		lines.SetEscapeHTML(false)
		return &list{json: lines}
	}
	return newTable(tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0), heads)
}

func newTable(table *tabwriter.Writer, heads []string) *list {
	fmt.Fprintln(table, strings.Join(heads, "\t"))
	return &list{table: table}
}

// add prints an item, or the cells that stand for it in the table.
func (l *list) add(item any, cells ...any) error {
	if l.table == nil {
		return l.json.Encode(item)
	}
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = printable(fmt.Sprint(cell))
	}
	_, err := fmt.Fprintln(l.table, strings.Join(row, "\t"))
	return err
}

func (l *list) end() error {
	if l.table == nil {
		return nil
	}
	return l.table.Flush()
}

// textOfMessage returns the text that a message stands for on a terminal: a chunk of a text, or a
// JSON string; false for any other message.
func textOfMessage(m *schemas.Message) (string, bool) {
	var text string
	if m.Kind != schemas.KindChunk && m.Kind != schemas.KindData || json.Unmarshal(m.Data, &text) != nil {
		return "", false
	}
	return text, true
}
