package program

import (
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/sluicehq/sluice/auth"
)

// keysGenerateCmd is the command keys generate.
type keysGenerateCmd struct {
	Alg       string `default:"EdDSA" enum:"EdDSA,ES256,RS256,PS256,HS256" help:"Algorithm: EdDSA, ES256, RS256, PS256 or HS256."`
	Out       string `default:"keys.json" placeholder:"FILE" help:"File to write. An existing file is never overwritten."`
	IfMissing bool   `help:"Succeed if the file already exists."`
}

// Help implements [kong.HelpProvider].
func (*keysGenerateCmd) Help() string {
	return `Writes a private JWK set with one random key, for --signing-keys, and prints the id of the key. Only the owner of the file can read it.

Examples:

    sluice keys generate --out keys.json
    sluice keys generate --out /keys/signing.json --if-missing`
}

// Run implements the command.
func (c *keysGenerateCmd) Run(std *streams) error {
	ring, err := auth.GenerateKey(auth.Algorithm(c.Alg))
	if err != nil {
		return err
	}
	err = auth.WriteKeyFile(c.Out, ring)
	switch {
	case errors.Is(err, fs.ErrExist) && c.IfMissing:
		fmt.Fprintf(std.err, "%s already exists\n", c.Out)
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s already exists; sluice keys rotate adds a key to it", c.Out)
	case err != nil:
		return err
	}
	fmt.Fprintf(std.err, "wrote %s with the key:\n", c.Out)
	_, err = fmt.Fprintln(std.out, ring.Keys()[0].ID)
	return err
}

// keysRotateCmd is the command keys rotate.
type keysRotateCmd struct {
	File        string        `required:"" placeholder:"FILE" help:"File with the keys."`
	Alg         string        `default:"EdDSA" enum:"EdDSA,ES256,RS256,PS256,HS256" help:"Algorithm of the new key."`
	Ahead       time.Duration `default:"1h" help:"How long the new key is published before it signs. By then, everyone who verifies tokens must have fetched it."`
	TokenMaxTTL time.Duration `name:"token-max-ttl" default:"24h" help:"The same as the server's setting. An old key stays until its last token has expired."`
}

// Help implements [kong.HelpProvider].
func (*keysRotateCmd) Help() string {
	return `Adds a random key that takes over from the current one after --ahead, removes the keys whose tokens have all expired, and prints the id of the new key. A running server picks up the change.

Example:

    sluice keys rotate --file keys.json --ahead 1h`
}

// Run implements the command.
func (c *keysRotateCmd) Run(std *streams) error {
	kid, err := auth.RotateFile(c.File, auth.Algorithm(c.Alg), c.Ahead, c.TokenMaxTTL)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, kid)
	return err
}

// keysListCmd is the command keys list.
type keysListCmd struct {
	File string `required:"" placeholder:"FILE" help:"File with the keys."`
}

// Help implements [kong.HelpProvider].
func (*keysListCmd) Help() string {
	return `Prints a line for each key: its id (the RFC 7638 thumbprint), its algorithm and its state.

Example:

    sluice keys list --file keys.json`
}

// Run implements the command.
func (c *keysListCmd) Run(std *streams) error {
	ring, err := auth.LoadKeyring(c.File)
	if err != nil {
		return err
	}
	keys := ring.Keys()
	table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	for i, key := range keys {
		fmt.Fprintf(table, "%s\t%s\t%s\n", key.ID, key.Algorithm, stateOf(keys, i, time.Now()))
	}
	return table.Flush()
}

// stateOf says what the key at i does now. keys are in the order in which they sign;
// the last one whose time has come signs.
func stateOf(keys []auth.KeyInfo, i int, now time.Time) string {
	switch {
	case keys[i].SignsFrom.After(now):
		return "signs from " + keys[i].SignsFrom.UTC().Format(time.RFC3339)
	case i+1 < len(keys) && !keys[i+1].SignsFrom.After(now):
		return "signed until " + keys[i+1].SignsFrom.UTC().Format(time.RFC3339)
	}
	return "signs"
}
