package program

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/client"
)

// runCmd is the command run.
type runCmd struct {
	connection `embed:""`
	repeated   `embed:""`

	Channel string `arg:"" help:"Channel, such as pipeline:run_42."`
	Status  string `arg:"" enum:"running,completed,failed,cancelled" help:"running, completed, failed or cancelled."`

	RunID  string `name:"run-id" type:"nonempty" placeholder:"ID" help:"Id of the run. A new id starts a new run after a final status."`
	Result string `type:"nonempty" placeholder:"JSON" help:"Result, in JSON."`
	Error  string `type:"nonempty" placeholder:"TEXT" help:"Text that says what went wrong."`
}

// Help implements [kong.HelpProvider].
func (*runCmd) Help() string {
	return `Every subscriber of the channel gets the status, whatever their topics, and so do later subscribers. Every status except running is final.

Examples:

    sluice run pipeline:run_42 running
    sluice run pipeline:run_42 completed --result '{"rows":1042}'
    sluice run pipeline:run_42 failed --error "out of memory"`
}

// Run implements the command.
func (c *runCmd) Run(ctx context.Context, std *streams) error {
	state := client.RunState{Status: client.RunStatus(c.Status), RunID: c.RunID}
	if c.Result != "" {
		if !json.Valid([]byte(c.Result)) {
			return usagef("--result is not JSON")
		}
		state.Result = json.RawMessage(c.Result)
	}
	if c.Error != "" {
		state.Error = c.Error
	}
	server, err := c.client(c.option())
	if err != nil {
		return err
	}
	defer server.Close()
	receipt, err := server.SetRun(ctx, c.Channel, state)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s\n", receipt.AppendJSON(nil))
	return err
}
