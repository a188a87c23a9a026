package program

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/internal/origin"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/webhooks"
)

const (
	maxMessageBytes    = schemas.MiB
	minSigningSecret   = 32 // bytes, for HS256: RFC 7518 section 3.2
	shortAPIKey        = 16 // bytes; fewer can be guessed
	maxAPIKey          = 1024
	defaultListen      = ":8080"
	defaultListenDev   = "127.0.0.1:8080"
	developmentKeyHead = "sk_dev_"
)

// config checks c as a whole and fills in what depends on other settings. The error is a
// [*usageError] with all faults, including those found while the values were read.
func (s *settings) config(c *Config) error {
	v := &validator{settings: s, Config: c}
	v.devHosts()
	v.listen()
	v.publicURL()
	v.engines()
	v.secrets()
	v.origins()
	v.files()
	v.limits()
	if c.LogFormat != "" && c.LogFormat != "json" && c.LogFormat != "text" {
		v.fault("log-format", c.LogFormat, "want json or text")
	}
	if err := s.faults.err(); err != nil {
		return err
	}
	unknown := s.unknownVariables()
	slices.Sort(unknown)
	for _, name := range unknown {
		c.Warnings = append(c.Warnings, name+" is not a setting")
	}
	if len(c.APIKeys) == 0 && c.Dev {
		c.APIKeys, c.APIKeyMade = []string{developmentKeyHead + randomHex(16)}, true
	}
	return nil
}

// validator gathers the faults of one Config.
type validator struct {
	*settings
	*Config
}

// fault adds a fault, unless the setting already has one. value is "" for a secret.
func (v *validator) fault(name, value, text string) {
	if v.faults.about(name) {
		return
	}
	v.faults = append(v.faults, faultIn(name, v.place(name), value, text))
}

func (v *validator) listen() {
	if v.Listen == "" {
		v.Listen = defaultListen
		if v.Dev {
			v.Listen = defaultListenDev
		}
	}
	if path, ok := socketPath(v.Listen); ok {
		if text := checkSocket(path); text != "" {
			v.fault("listen", v.Listen, text)
		}
		return
	}
	host, port, err := net.SplitHostPort(v.Listen)
	if err != nil {
		v.fault("listen", v.Listen, "want an address and a port, such as :8080, 127.0.0.1:8080 or [::1]:8080, or a socket, such as unix:/run/sluice/sluice.sock")
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		v.fault("listen", v.Listen, "the port must be a number from 0 to 65535")
	}
	if v.Dev && !isLoopback(host) && len(v.DevHosts) == 0 {
		v.fault("listen", v.Listen, "--dev listens on this machine only, such as on 127.0.0.1:8080; name in --dev-allow-hosts how others may reach it")
	}
}

// devHosts checks the names, and writes them as requests are compared with them.
func (v *validator) devHosts() {
	if len(v.DevHosts) > 0 && !v.Dev {
		v.fault("dev-allow-hosts", "", "it requires --dev: other servers answer requests for any host")
	}
	for i, host := range v.DevHosts {
		if u, err := url.Parse("//" + host); err != nil || host == "" || u.Host != host || u.Hostname() != host {
			v.fault("dev-allow-hosts", host, "want the name or the IPv4 address of a host, without a port, such as host.docker.internal")
		}
		v.DevHosts[i] = strings.ToLower(host)
	}
}

// publicURL checks the URL and removes slashes at its end, which would be doubled before a
// path.
func (v *validator) publicURL() {
	if v.PublicURL == "" {
		return
	}
	u, err := url.Parse(v.PublicURL)
	switch {
	case err == nil && u.User != nil:
		v.fault("public-url", "", "it must not hold a user name or password: every holder of a token reads it")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.ForceQuery || u.RawQuery != "" || strings.Contains(v.PublicURL, "#"):
		v.fault("public-url", v.PublicURL, "want http:// or https://, a host and, if a proxy has one for it, a path, such as https://sluice.example.com")
	default:
		v.PublicURL = strings.TrimRight(u.JoinPath().String(), "/")
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (v *validator) secrets() {
	for i, key := range v.APIKeys {
		which := fmt.Sprintf("key %d of %d", i+1, len(v.APIKeys))
		if !headerSafe(key) {
			v.fault("api-keys", "", fmt.Sprintf("%s is not 1 to %d printable ASCII characters without spaces", which, maxAPIKey))
		} else if len(key) < shortAPIKey {
			v.Warnings = append(v.Warnings, fmt.Sprintf("%s: %s has fewer than %d characters and can be guessed", v.place("api-keys"), which, shortAPIKey))
		}
	}
	if v.SigningSecret != "" && len(v.SigningSecret) < minSigningSecret {
		v.fault("signing-secret", "", fmt.Sprintf("it has fewer than %d bytes; make one with: openssl rand -hex 32", minSigningSecret))
	}
	if v.SigningSecret != "" && v.SigningKeys != "" {
		v.fault("signing-secret", "", "signing-keys is set too: tokens are signed by keys or by a secret")
	}
	if v.Dev {
		return
	}
	if len(v.APIKeys) == 0 && v.APIKeysFile == "" {
		v.fault("api-keys", "", "missing; make a key with: openssl rand -hex 32 (or try things out with --dev)")
	}
	if v.engine() == memoryEngine && v.SigningKeys == "" && v.SigningSecret == "" && !v.faults.about("signing-secret") {
		v.fault("signing-keys", "", "missing; make the file with: sluice keys generate --out keys.json (or give a --signing-secret: openssl rand -hex 32)")
	}
}

// headerSafe reports whether an Authorization header can carry key.
func headerSafe(key string) bool {
	unsafe := strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
	return key != "" && len(key) <= maxAPIKey && !unsafe
}

func (v *validator) origins() {
	for i, text := range v.CORSOrigins {
		parsed, err := origin.Parse(text)
		if err != nil {
			v.fault("cors-origins", text, strings.TrimPrefix(err.Error(), origin.ErrBad.Error()+": "))
			continue
		}
		v.CORSOrigins[i] = parsed
	}
}

// files checks that the files can be read. Whoever uses them checks their content.
func (v *validator) files() {
	for _, file := range []struct{ name, path string }{
		{"tls-cert", v.TLSCert},
		{"tls-key", v.TLSKey},
		{"api-keys-file", v.APIKeysFile},
		{"signing-keys", v.SigningKeys},
		{"issuers", v.Issuers},
		{"channels", v.Channels},
		{"webhooks", v.Webhooks},
		{"nats-creds", v.NATSCreds},
		{"nats-nkey", v.NATSNKey},
		{"nats-ca", v.NATSCA},
		{"nats-cert", v.NATSCert},
		{"nats-key", v.NATSKey},
	} {
		if file.path == "" {
			continue
		}
		if err := readable(file.path); err != nil {
			v.fault(file.name, file.path, err.Error())
		}
	}
	v.together("tls-cert", v.TLSCert, "tls-key", v.TLSKey)
	v.namedKeys()
	v.webhooks()
}

// namedKeys checks the content of the file of API keys: each of its faults is one to repair.
func (v *validator) namedKeys() {
	if v.APIKeysFile == "" || v.faults.about("api-keys-file") {
		return
	}
	for _, fault := range auth.CheckAPIKeyFile(v.APIKeysFile, v.APIKeys) {
		v.faults = append(v.faults, faultIn("api-keys-file", v.place("api-keys-file"), v.APIKeysFile, fault.Error()))
	}
}

// webhooks checks the content of the file: each of its faults is one to repair.
func (v *validator) webhooks() {
	if v.Webhooks == "" {
		if len(v.WebhooksAllow) > 0 {
			v.fault("webhooks-allow", "", "it requires webhooks, which is not set")
		}
		return
	}
	if v.faults.about("webhooks") {
		return
	}
	for _, fault := range webhooks.CheckFile(v.Webhooks) {
		v.faults = append(v.faults, faultIn("webhooks", v.place("webhooks"), v.Webhooks, fault.Error()))
	}
}

// together checks that either both settings are given or neither is.
func (v *validator) together(name, value, otherName, otherValue string) {
	switch {
	case value != "" && otherValue == "":
		v.fault(otherName, "", "missing; "+name+" needs it")
	case value == "" && otherValue != "":
		v.fault(name, "", "missing; "+otherName+" needs it")
	}
}

func readable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return errors.Unwrap(err) // without the path, which the fault has
	}
	info, err := file.Stat()
	switch err = errors.Join(err, file.Close()); {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is not a file")
	}
	return nil
}

func (v *validator) limits() {
	const forever = 10 * 365 * 24 * time.Hour
	between(v, "token-max-ttl", v.TokenMaxTTL, auth.MinTTL, auth.MaxTTLLimit)
	between(v, "replay-age", v.ReplayAge, time.Second, forever)
	between(v, "remember-for", v.RememberFor, time.Second, forever)
	between(v, "pace", v.Pace, 0, time.Second)
	between(v, "heartbeat", v.Heartbeat, 10*time.Millisecond, time.Hour)
	between(v, "write-timeout", v.WriteTimeout, 10*time.Millisecond, time.Hour)
	between(v, "max-stream-age", v.MaxStreamAge, 0, forever)
	between(v, "drain-timeout", v.DrainTimeout, 0, time.Hour)
	between(v, "max-message-bytes", v.MaxMessageBytes, schemas.KiB, maxMessageBytes)
	between(v, "text-grace", v.TextGrace, 10*time.Millisecond, time.Hour)
	between(v, "max-text-bytes", v.MaxTextBytes, schemas.KiB, schemas.GiB)
	between(v, "replay-bytes", v.ReplayBytes, schemas.KiB, 1024*schemas.GiB)
	between(v, "memory", v.Memory, v.ReplayBytes, 1024*schemas.GiB)
	between(v, "remember-bytes", v.RememberBytes, schemas.MiB, 1024*schemas.GiB)
	const many = 1 << 31
	between(v, "max-revocations", v.MaxRevocations, 1, many)
	between(v, "replay-messages", v.ReplayMessages, 1, many)
	between(v, "max-channels", v.MaxChannels, 1, many)
	between(v, "max-channels-per-stream", v.MaxChannelsPerStream, 1, many)
	between(v, "max-streams", v.MaxStreams, 0, many)
	between(v, "max-streams-per-subject", v.MaxStreamsPerSubject, 0, many)
	between(v, "max-streams-per-address", v.MaxStreamsPerAddress, 0, many)
	between(v, "max-publishes-per-key", v.MaxPublishesPerKey, 0, many)
	between(v, "max-publishes-per-subject", v.MaxPublishesPerSubject, 0, many)
	between(v, "max-publishes-per-address", v.MaxPublishesPerAddress, 0, many)
	between(v, "max-publish-bytes-per-key", v.MaxPublishBytesPerKey, 0, 1024*schemas.GiB)
	between(v, "max-publish-bytes-per-subject", v.MaxPublishBytesPerSubject, 0, 1024*schemas.GiB)
	between(v, "max-publish-bytes-per-address", v.MaxPublishBytesPerAddress, 0, 1024*schemas.GiB)
	between(v, "publish-burst", v.PublishBurst, time.Second, time.Hour)
	if v.PublishBurst%time.Second != 0 { // clients are told of it in whole seconds
		v.fault("publish-burst", v.PublishBurst.String(), "want whole seconds")
	}
	if v.Issuer == "" {
		v.fault("issuer", "", "it is empty")
	}
	if v.Audience == "" {
		v.fault("audience", "", "it is empty")
	}
}

// between adds a fault if n is out of bounds.
func between[T cmp.Ordered](v *validator, name string, n, least, most T) {
	if n < least || n > most {
		v.fault(name, fmt.Sprint(n), fmt.Sprintf("want %v to %v", least, most))
	}
}

// randomHex returns 2n digits.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
