package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// tokenCmd is the command token. It has flags of its own for the server, since
// a token cannot make tokens.
type tokenCmd struct {
	repeated `embed:""`

	URL    string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server."`
	APIKey string `name:"api-key" variable:"" secret:"" placeholder:"KEY" group:"server" help:"API key. A flag is visible to every user of the machine: prefer the variable."`

	Channels []string `arg:"" name:"channel" help:"Channels or patterns, such as pipeline:run_42 or user_7:*."`

	Topics  []string      `name:"topic" placeholder:"TOPIC" help:"Topics to subscribe to; all when left out."`
	Publish []string      `placeholder:"TOPIC" help:"Topics to publish to; none when left out."`
	Sub     string        `placeholder:"NAME" help:"Whom the token is for."`
	TTL     time.Duration `name:"ttl" default:"10m" help:"How long the token lives."`
	JSON    bool          `name:"json" help:"Print all that the server answers."`
}

// Help implements [kong.HelpProvider].
func (*tokenCmd) Help() string {
	return `Prints the token. It allows what is asked for and nothing else.

Examples:

    sluice token pipeline:run_42 --topic status --topic tokens
    sluice token 'pipeline:*' --publish approval --sub user-7 --ttl 1h --json
    SLUICE_TOKEN=$(sluice token pipeline:run_42) sluice subscribe`
}

// Run implements the command.
func (c *tokenCmd) Run(ctx context.Context, std *streams) error {
	request, err := c.request()
	if err != nil {
		return err
	}
	server, err := (&connection{URL: c.URL, APIKey: c.APIKey}).client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	token, err := server.Token(ctx, request)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(std.out)
		encoder.SetEscapeHTML(false) // the URL is to be copied
		return encoder.Encode(token)
	}
	_, err = fmt.Fprintln(std.out, token.Token)
	return err
}

// request turns the arguments into grants, all faults at once.
func (c *tokenCmd) request() (client.TokenRequest, error) {
	topics := c.Topics
	if len(topics) == 0 {
		topics = []string{schemas.AnyTopic}
	}
	r := client.TokenRequest{Sub: c.Sub, TTL: c.TTL}
	usage := &usageError{}
	add := func(grants *[]schemas.Grant, grant schemas.Grant) {
		if err := grant.Check(); err != nil {
			usage.faults = append(usage.faults, err.Error())
		}
		*grants = append(*grants, grant)
	}
	for _, channel := range c.Channels {
		add(&r.Subscribe, schemas.Grant{Channel: schemas.Pattern(channel), Topics: topics})
		if len(c.Publish) > 0 {
			add(&r.Publish, schemas.Grant{Channel: schemas.Pattern(channel), Topics: c.Publish})
		}
	}
	if len(usage.faults) > 0 {
		return r, usage
	}
	return r, nil
}
