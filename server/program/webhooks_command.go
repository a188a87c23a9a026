package program

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/webhooks"
)

// webhooksSecretCmd is the command webhooks secret.
type webhooksSecretCmd struct{}

// Help implements [kong.HelpProvider].
func (*webhooksSecretCmd) Help() string {
	return `Prints a random secret. It goes into the file of --webhooks, and to whoever receives the events.`
}

// Run implements the command.
func (*webhooksSecretCmd) Run(std *streams) error {
	_, err := fmt.Fprintln(std.out, webhooks.NewSecret())
	return err
}

// webhooksTestCmd is the command webhooks test.
type webhooksTestCmd struct {
	URL    string `name:"url" required:"" placeholder:"URL" help:"Where to send the event."`
	Secret string `required:"" placeholder:"SECRET" help:"Secret that signs it, as in the file of --webhooks. Every user of the machine can see a flag: use one that only this test knows."`
}

// Help implements [kong.HelpProvider].
func (*webhooksTestCmd) Help() string {
	return `Sends an event of the type webhook.test once, signed like every other event, and prints how it was answered. It needs no server, and may reach any address that this machine reaches. The exit status is 1 if the event is not accepted.

Example:

    sluice webhooks test --url http://127.0.0.1:3000/hooks --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`
}

// Run implements the command.
func (c *webhooksTestCmd) Run(ctx context.Context, std *streams) error {
	status, err := webhooks.Test(ctx, c.URL, c.Secret)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "accepted: %d\n", status)
	return err
}
