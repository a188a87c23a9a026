package program

import (
	"context"
	"fmt"
	"time"
)

// healthTimeout is how long a server may take to say that it is alive.
const healthTimeout = 5 * time.Second

// healthCmd is the command health.
type healthCmd struct {
	URL string `name:"url" variable:"" default:"http://127.0.0.1:8080" group:"server" help:"Address of the server, or unix: and the path of its socket."`
}

// Help implements [kong.HelpProvider].
func (*healthCmd) Help() string {
	return `For health checks in containers, which have no curl. The exit status is 0 if the server is alive, and 1 if it is not or does not answer within 5 seconds.

Example:

    sluice health --url http://127.0.0.1:8080`
}

// Run implements the command.
func (c *healthCmd) Run(ctx context.Context, std *streams) error {
	server, err := (&connection{URL: c.URL}).client()
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := server.Health(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, "alive")
	return err
}
