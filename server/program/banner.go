package program

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// The channel and the topic of the examples in the banner.
const (
	sampleChannel = "pipeline:run_42"
	sampleTopic   = "status"
)

// printBanner prints where the server listens and, in development, commands to paste
// into two terminals and a browser.
func printBanner(w io.Writer, cfg *Config, addr string, authority *auth.Authority, b *broker.Broker) error {
	scheme, curl := "http", "curl"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	base := scheme + "://" + addr
	if _, ok := socketPath(cfg.Listen); ok {
		base, curl = scheme+"://localhost", "curl --unix-socket "+shellQuoted(addr)
		if !cfg.Dev {
			base = socketPrefix + addr
		}
	}
	if !cfg.Dev {
		_, err := fmt.Fprintf(w, "Sluice %s listens on %s\n%s", versionName(), base, keptIn(cfg, "Engine: "))
		return err
	}
	token, err := authority.Mint(auth.TokenRequest{
		Subject:   "developer",
		Subscribe: schemas.Grants{{Channel: sampleChannel, Topics: []string{schemas.AnyTopic}}},
		TTL:       min(24*time.Hour, cfg.TokenMaxTTL),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `Sluice %[1]s, for development: reachable from this machine only, with keys that are valid until it stops.

%[8]s  Address  %[2]s
  Page     %[2]s/#key=%[3]s&channel=%[5]s&topic=%[6]s&replay=all
  API key  %[3]s

Subscribe, in one terminal (the token may read %[5]s):

  %[9]s -N '%[2]s/v1/subscribe' -H 'Authorization: Bearer %[4]s'

Publish, in another:

  %[9]s '%[2]s/v1/publish/%[5]s/%[6]s' -H 'Authorization: Bearer %[3]s' -d '{"message":"Hello"}'

Resume after an id; after this one, get everything since the start and then what is live:

  %[9]s -N '%[2]s/v1/subscribe' -H 'Authorization: Bearer %[4]s' -H 'Last-Event-ID: %[7]s'

Mint a token for another channel:

  %[9]s '%[2]s/v1/tokens' -H 'Authorization: Bearer %[3]s' -d '{"channel":"user:7","topics":["*"],"ttl":"1h"}'

`, versionName(), base, cfg.APIKeys[0], token.Token, sampleChannel, sampleTopic, b.Head(sampleChannel), keptIn(cfg, "  Engine   "), curl)
	return err
}

// keptIn returns a line that says where messages are stored, "" if they are in memory
// only.
func keptIn(cfg *Config, head string) string {
	switch cfg.engine() {
	case diskEngine:
		return head + "disk, in " + printable(cfg.Data) + "\n"
	case natsEngine:
		return head + "nats, at " + printable(strings.Join(withoutUsers(cfg.NATS), " ")) + "\n"
	}
	return ""
}

// shellQuoted returns text as one word for a shell.
func shellQuoted(text string) string {
	return "'" + strings.ReplaceAll(printable(text), "'", `'\''`) + "'"
}
