package program

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// tokenCmd is the command token. It has its own flags for the server, since a token
// cannot make tokens.
type tokenCmd struct {
	repeated `embed:""`

	URL    string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server, or unix: and the path of its socket."`
	APIKey string `name:"api-key" variable:"" secret:"" placeholder:"KEY" group:"server" help:"API key. Every user of the machine can see a flag: prefer the variable."`

	Channels []string `arg:"" name:"channel" help:"Channels or patterns, such as pipeline:run_42 or user_7:*."`

	Topics  []string      `name:"topic" placeholder:"TOPIC" help:"Topics to subscribe to. Default: all."`
	Publish []string      `placeholder:"TOPIC" help:"Topics to publish to. Default: none."`
	Sub     string        `type:"nonempty" placeholder:"NAME" help:"Subject: the user or service that the token is for."`
	TTL     time.Duration `name:"ttl" default:"10m" help:"Lifetime of the token."`
	JSON    bool          `name:"json" help:"Print the whole answer of the server."`
}

// Help implements [kong.HelpProvider].
func (*tokenCmd) Help() string {
	return `Prints a token that allows what you ask for and nothing else.

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
	if c.TTL < auth.MinTTL { // 0 would be the server's default
		usage.faults = append(usage.faults, fmt.Sprintf("--ttl %v: want %v or more", c.TTL, auth.MinTTL))
	}
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
