package program

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/sluicehq/sluice/client"
)

// maxLineBytes bounds one line of publish --lines: more than the largest message
// that a server accepts.
const maxLineBytes = 2 << 20

// publishCmd is the command publish.
type publishCmd struct {
	connection `embed:""`
	repeated   `embed:""`

	Channel string `arg:"" help:"Channel, such as pipeline:run_42."`
	Topic   string `arg:"" help:"Topic, such as status."`
	Data    string `arg:"" optional:"" type:"nonempty" help:"The message, in JSON. It is read from standard input if it is - or left out."`

	Text   bool   `help:"Publish the message, which is text, as a JSON string."`
	Lines  bool   `xor:"input" help:"Publish each line of standard input as a message, as soon as it arrives, over one connection."`
	Stream bool   `xor:"input" help:"Publish standard input as one stream of text, in chunks as it arrives."`
	Key    string `type:"nonempty" placeholder:"KEY" help:"Idempotency key. A second publish with the same key publishes nothing and prints the first receipt."`
	RunID  string `name:"run-id" type:"nonempty" placeholder:"ID" help:"Run that the message belongs to."`

	ID      string `name:"id" type:"nonempty" placeholder:"ID" help:"Stream id of the text of --stream, so that another call can continue or replace it."`
	Attempt *int64 `placeholder:"N" help:"Which try to publish the text with this --id it is, from 1. A later attempt replaces earlier ones."`
}

// Help implements [kong.HelpProvider].
func (*publishCmd) Help() string {
	return `Prints a receipt for each message, as a line of JSON. Retries after a transient failure, without --key only if nothing was published. --stream resumes after a lost connection. --lines never retries.

Examples:

    sluice publish pipeline:run_42 status '{"message":"Started"}'
    sluice publish pipeline:run_42 status --text "It works" --key step-1
    make 2>&1 | sluice publish build:7 log --lines --text
    tail -f build.log | sluice publish build:7 log --stream
    ./model | sluice publish chat:7 draft --stream --id answer-3 --attempt 2
    sluice publish build:7 log --text -- "- a text that begins with a dash"`
}

// Run implements the command.
func (c *publishCmd) Run(ctx context.Context, std *streams) error {
	if err := c.check(); err != nil {
		return err
	}
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	switch {
	case c.Lines:
		return c.lines(ctx, server, std)
	case c.Stream:
		return c.stream(ctx, server, std)
	}
	return c.one(ctx, server, std)
}

func (c *publishCmd) check() error {
	several := c.Lines || c.Stream
	switch {
	case several && c.Data != "" && c.Data != "-":
		return usagef("--lines and --stream read standard input: leave the message out or give -")
	case several && c.Key != "":
		return usagef("--key works for one message only")
	case c.ID != "" && !c.Stream:
		return usagef("--id is for --stream only")
	case c.Attempt != nil && c.ID == "":
		return usagef("--attempt needs --id")
	case c.Attempt != nil && *c.Attempt < 1:
		return usagef("--attempt: %d is less than 1", *c.Attempt)
	}
	return nil
}

func (c *publishCmd) stream(ctx context.Context, server *client.Client, std *streams) error {
	options := []client.PublishOption{client.RunID(c.RunID), client.StreamID(c.ID)}
	if c.Attempt != nil {
		options = append(options, client.Attempt(*c.Attempt))
	}
	receipt, err := server.PublishStream(ctx, c.Channel, c.Topic, std.in, options...)
	if err != nil {
		return err
	}
	return json.NewEncoder(std.out).Encode(receipt)
}

func (c *publishCmd) one(ctx context.Context, server *client.Client, std *streams) error {
	text := c.Data
	if text == "" || text == "-" {
		var err error
		if text, err = readAll(ctx, std.in); err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
	}
	data, err := c.message(text)
	if err != nil {
		return err
	}
	options := []client.PublishOption{client.RunID(c.RunID)}
	if c.Key != "" {
		options = append(options, client.IdempotencyKey(c.Key))
	}
	receipt, err := server.Publish(ctx, c.Channel, c.Topic, data, options...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s\n", receipt.AppendJSON(nil))
	return err
}

// message returns text as the data of a message.
func (c *publishCmd) message(text string) (any, error) {
	if c.Text {
		return text, nil
	}
	if !json.Valid([]byte(text)) {
		return nil, usagef("the message is not JSON; with --text any text becomes a JSON string")
	}
	return json.RawMessage(text), nil
}

// lines publishes until standard input ends. A refused line does not hold up the
// others; a line that cannot be sent ends the input.
func (c *publishCmd) lines(ctx context.Context, server *client.Client, std *streams) error {
	input := make(chan error, 1)
	out, notes := &interruptible{ctx, std.out}, &interruptible{ctx, std.err}
	answered, refused := 0, 0
	for receipt, err := range server.PublishLines(ctx, c.items(std.in, input)) {
		answered++
		var problem *client.Problem
		switch {
		case err == nil:
			fmt.Fprintf(out, "%s\n", receipt.AppendJSON(nil))
		case errors.As(err, &problem):
			refused++
			fmt.Fprintf(notes, "sluice: message %d: %v\n", answered, problem)
		default:
			return err
		}
	}
	select {
	case err := <-input:
		return err
	default:
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d messages were refused", refused, answered)
	}
	return nil
}

// items yields the lines of r as messages. If it ends before r, it sends the reason to
// input.
func (c *publishCmd) items(r io.Reader, input chan<- error) iter.Seq[client.Item] {
	return func(yield func(client.Item) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLineBytes)
		for n := 1; lines.Scan(); n++ {
			line := lines.Text() // without a carriage return
			if line == "" && !c.Text {
				continue
			}
			data, err := c.message(line)
			if err != nil {
				input <- fmt.Errorf("line %d: %s", n, err.Error()) // no usageError: others were published
				return
			}
			if !yield(client.Item{Channel: c.Channel, Topic: c.Topic, Data: data, RunID: c.RunID}) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			input <- fmt.Errorf("reading standard input: %w", err)
		}
	}
}

// readAll is [io.ReadAll] that gives up when ctx ends. The goroutine then ends
// when r does, for standard input with the program.
func readAll(ctx context.Context, r io.Reader) (string, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := io.ReadAll(r)
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case got := <-done:
		return string(got.text), got.err
	}
}
