package program

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluicehq/sluice/schemas"
)

const (
	// maxShards is the most NATS streams that channels can be spread over.
	maxShards = schemas.MaxShards
	// maxReplicas is the most that JetStream accepts.
	maxReplicas = 5
	// maxNATSName leaves room in the names of streams and subjects.
	maxNATSName = 32
)

// engines checks the settings of the chosen engine, and that no setting of another
// engine is given.
func (v *validator) engines() {
	if v.Data != "" && len(v.NATS) > 0 {
		v.fault("nats", "", "data is set too: messages are kept on this disk or by NATS")
	}
	v.notChosen()
	if info, err := os.Stat(v.Data); err == nil && !info.IsDir() {
		v.fault("data", v.Data, "it is not a directory")
	} else if err != nil && v.Data != "" && !errors.Is(err, fs.ErrNotExist) { // it is created if it is missing
		v.fault("data", v.Data, errors.Unwrap(err).Error())
	}
	v.natsServers()
	v.natsLogin()
	between(v, "data-sync", v.DataSync, time.Millisecond, time.Minute)
	between(v, "data-bytes", v.DataBytes, 0, 1024*1024*schemas.GiB)
	between(v, "nats-replicas", v.NATSReplicas, 0, maxReplicas)
	between(v, "nats-shards", v.NATSShards, 1, maxShards)
	between(v, "nats-bytes", v.NATSBytes, 0, 1024*1024*schemas.GiB)
	between(v, "nats-timeout", v.NATSTimeout, 100*time.Millisecond, time.Minute)
	between(v, "nats-cut-off", v.NATSCutOff, time.Second, time.Hour)
}

// notChosen adds a fault for each changed setting of an engine that does not run:
// whoever changed it believes that the engine runs.
func (v *validator) notChosen() {
	chosen := map[string]bool{"data": v.Data != "", "nats": len(v.NATS) > 0}
	var idle []*kong.Flag
	for flag := range v.known {
		if of := flag.Tag.Get("engine"); of != "" && !chosen[of] && fmt.Sprint(flag.Target.Interface()) != flag.Default {
			idle = append(idle, flag)
		}
	}
	slices.SortFunc(idle, func(a, b *kong.Flag) int { return cmp.Compare(a.Name, b.Name) })
	for _, flag := range idle {
		text := fmt.Sprint(flag.Target.Interface())
		if v.known[flag].secret {
			text = ""
		}
		v.fault(flag.Name, text, "it requires "+flag.Tag.Get("engine")+", which is not set")
	}
}

// natsServers checks the URLs. They may hold passwords, so none is quoted.
func (v *validator) natsServers() {
	for i, server := range v.NATS {
		u, err := parseServer(server)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			v.fault("nats", "", fmt.Sprintf("server %d of %d: want nats://, tls://, ws:// or wss://, a host and a port, such as nats://127.0.0.1:4222", i+1, len(v.NATS)))
		}
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(v.NATSName) || len(v.NATSName) > maxNATSName {
		v.fault("nats-name", v.NATSName, fmt.Sprintf("want 1 to %d letters, digits, _ and -", maxNATSName))
	}
}

// parseServer parses a URL as NATS does: the default scheme is nats.
func parseServer(server string) (*url.URL, error) {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	return url.Parse(server)
}

// withoutUsers returns the URLs without their users and passwords, which must not be
// shown.
func withoutUsers(servers []string) []string {
	var shown []string
	for _, server := range servers {
		u, err := parseServer(server)
		if err != nil {
			continue
		}
		shown = append(shown, (&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
	}
	return shown
}

// natsLogin checks that there is at most one way to log in, and that it is complete.
func (v *validator) natsLogin() {
	v.together("nats-cert", v.NATSCert, "nats-key", v.NATSKey)
	const oneWay = " too: give one way to log in"
	switch {
	case v.NATSCreds != "" && v.NATSNKey != "":
		v.fault("nats-nkey", "", "nats-creds is set"+oneWay)
	case v.NATSCreds != "" && slices.ContainsFunc(v.NATS, hasUser):
		v.fault("nats-creds", "", "a URL in nats carries a user or a token"+oneWay)
	case v.NATSNKey != "" && slices.ContainsFunc(v.NATS, hasUser):
		v.fault("nats-nkey", "", "a URL in nats carries a user or a token"+oneWay)
	}
}

// hasUser reports whether the URL of a server carries a user or a token.
func hasUser(server string) bool {
	u, err := parseServer(server)
	return err == nil && u.User != nil
}
