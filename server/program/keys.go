package program

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
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

// keysAPICmd is the command keys api.
type keysAPICmd struct {
	Name      string   `arg:"" help:"Name of the key, which logs and metrics show: letters, digits, dots, dashes and underscores."`
	Publish   []string `sep:"none" placeholder:"CHANNEL[=TOPIC,…]" help:"What the key may publish to. Without topics: all of them. Can be given several times."`
	Subscribe []string `sep:"none" placeholder:"CHANNEL[=TOPIC,…]" help:"What the key may read."`
	Admin     bool     `help:"The key may do everything, as a plain key may: also make tokens."`
}

// Help implements [kong.HelpProvider].
func (*keysAPICmd) Help() string {
	return `Prints a random API key, which is nowhere else, and on standard error the entry for the file of --api-keys-file, which has only its hash. Add the entry to the list under "keys:"; a running server picks it up.

To replace a key, make one with another name, add its entry, give the key to whoever used the old one, and then remove the old entry.

Examples:

    sluice keys api billing --publish 'invoice:*'
    sluice keys api worker --publish 'pipeline:*=status,log' --subscribe 'pipeline:*'
    sluice keys api deploy-2026 --admin`
}

// Run implements the command.
func (c *keysAPICmd) Run(std *streams) error {
	key := apiKeyHead + randomHex(24)
	hash := sha256.Sum256([]byte(key))
	entry := apiKeyEntry{Name: c.Name, SHA256: hex.EncodeToString(hash[:]), Admin: c.Admin}
	if err := c.grants(&entry); err != nil {
		return err
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode([]apiKeyEntry{entry}), encoder.Close()); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(std.out, key); err != nil {
		return err
	}
	fmt.Fprintln(std.err, "  # An entry of the list under keys: in the file of --api-keys-file. The key itself is on standard output, and nowhere else.")
	for line := range strings.Lines(text.String()) {
		fmt.Fprint(std.err, "  ", line)
	}
	return nil
}

// grants gives the entry what the flags say, or returns all their faults.
func (c *keysAPICmd) grants(entry *apiKeyEntry) error {
	usage := &usageError{}
	if !auth.ValidKeyName(c.Name) {
		usage.faults = append(usage.faults, fmt.Sprintf("%q: want 1 to 64 letters, digits, dots, dashes and underscores", c.Name))
	}
	if granted := len(c.Publish)+len(c.Subscribe) > 0; granted == c.Admin {
		usage.faults = append(usage.faults, "give the key --publish, --subscribe or both, or else --admin")
	}
	read := func(texts []string) (grants []apiKeyGrant) {
		for _, text := range texts {
			channel, topics := text, schemas.AnyTopic
			if at := strings.LastIndexByte(text, '='); at >= 0 { // no topic has one in it
				channel, topics = text[:at], text[at+1:]
			}
			grant := apiKeyGrant{channel, strings.Split(topics, ",")}
			if err := (schemas.Grant{Channel: schemas.Pattern(channel), Topics: grant.Topics}).Check(); err != nil {
				usage.faults = append(usage.faults, err.Error())
			}
			grants = append(grants, grant)
		}
		return grants
	}
	entry.Publish, entry.Subscribe = read(c.Publish), read(c.Subscribe)
	if len(usage.faults) > 0 {
		return usage
	}
	return nil
}

// apiKeyHead is what the API keys begin with that are made here, so that those who look for
// leaked secrets find them.
const apiKeyHead = "sk_"

// apiKeyEntry is an entry of the file of API keys.
type apiKeyEntry struct {
	Name      string        `yaml:"name"`
	SHA256    string        `yaml:"sha256"`
	Publish   []apiKeyGrant `yaml:"publish,omitempty"`
	Subscribe []apiKeyGrant `yaml:"subscribe,omitempty"`
	Admin     bool          `yaml:"admin,omitempty"`
}

// apiKeyGrant is a grant in the file of API keys.
type apiKeyGrant struct {
	Channel string   `yaml:"channel"`
	Topics  []string `yaml:"topics,flow"`
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
