package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// Names in the lines that are printed to try things with.
const (
	sampleChannel = "pipeline:run_42"
	sampleTopic   = "status"
)

// greet prints where the server listens and, in development, lines to paste
// into two terminals and a browser.
func greet(w io.Writer, cfg *Config, addr net.Addr, authority *auth.Authority, b *broker.Broker) error {
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	base := scheme + "://" + addr.String()
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
	_, err = fmt.Fprintf(w, `Sluice %[1]s, for development: this machine only, with keys made for this start.

%[8]s  Address  %[2]s
  Page     %[2]s/#key=%[3]s&channel=%[5]s&topic=%[6]s&replay=all
  API key  %[3]s

Subscribe, in one terminal (the token may read %[5]s):

  curl -N '%[2]s/v1/subscribe' -H 'Authorization: Bearer %[4]s'

Publish, in another:

  curl '%[2]s/v1/publish/%[5]s/%[6]s' -H 'Authorization: Bearer %[3]s' --json '{"message":"Hello"}'

Resume: what came after an id, here everything since this start, then live:

  curl -N '%[2]s/v1/subscribe' -H 'Authorization: Bearer %[4]s' -H 'Last-Event-ID: %[7]s'

Mint a token for another channel:

  curl '%[2]s/v1/tokens' -H 'Authorization: Bearer %[3]s' --json '{"channel":"user:7","topics":["*"],"ttl":"1h"}'

`, versionName(), base, cfg.APIKeys[0], token.Token, sampleChannel, sampleTopic, b.HeadOf(sampleChannel), keptIn(cfg, "  Engine   "))
	return err
}

// keptIn returns a line that says where messages are kept, "" if they are not.
func keptIn(cfg *Config, head string) string {
	switch cfg.engine() {
	case diskEngine:
		return head + "disk, in " + printable(cfg.Data) + "\n"
	case natsEngine:
		return head + "nats, at " + printable(strings.Join(withoutUsers(cfg.NATS), " ")) + "\n"
	}
	return ""
}
