package program

import (
	"cmp"
	"errors"

	"github.com/sluicehq/sluice/client"
)

// connection is the flags of every command that speaks to a server.
type connection struct {
	URL    string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server, or unix: and the path of its socket."`
	APIKey string `name:"api-key" variable:"" secret:"" placeholder:"KEY" group:"server" help:"API key. Every user of the machine can see a flag: prefer the variable."`
	Token  string `name:"token" variable:"" secret:"" placeholder:"TOKEN" group:"server" help:"Token, instead of an API key."`
}

// repeated is the flag of commands that retry after a transient failure.
type repeated struct {
	Retries int `default:"5" group:"server" help:"Number of retries when the server cannot be reached or is busy."`
}

func (r *repeated) option() client.Option { return client.WithRetries(r.Retries) }

// client returns a client of the server. The caller closes it.
func (c *connection) client(options ...client.Option) (*client.Client, error) {
	if c.APIKey != "" && c.Token != "" {
		return nil, usagef("an API key and a token are given: give one of them")
	}
	made, err := client.New(c.URL, cmp.Or(c.APIKey, c.Token), options...)
	if errors.Is(err, client.ErrBadURL) {
		return nil, usagef("--url: %v", err)
	}
	return made, err
}
