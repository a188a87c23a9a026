package program

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// configOf reads a configuration as serve does.
func configOf(t *testing.T, args []string, environ ...string) (*Config, error) {
	t.Helper()
	s := newSettings(environ)
	parser, err := newParser(s, io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return nil, err
	}
	c := &parsed.Model.Target.Addr().Interface().(*grammar).Serve.Config
	return c, s.config(c)
}

// fileOf writes a file and returns its path.
func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	longKey    = "0123456789abcdef"
	longSecret = "0123456789abcdef0123456789abcdef"
)

func TestConfig_defaults(t *testing.T) {
	got, err := configOf(t, []string{"--api-keys", longKey, "--signing-secret", longSecret})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Listen: ":8080", HTTP2: true, APIKeys: []string{longKey}, SigningSecret: longSecret,
		Issuer: auth.DefaultName, Audience: auth.DefaultName, TokenMaxTTL: auth.DefaultMaxTTL, MaxRevocations: auth.DefaultMaxRevocations,
		DataSync: 100 * time.Millisecond, NATSName: "sluice", NATSShards: 1, NATSTimeout: 5 * time.Second, NATSCutOff: 10 * time.Second,
		ReplayMessages: 256, ReplayBytes: schemas.MiB, MaxTextBytes: schemas.MiB, TextGrace: 30 * time.Second, ReplayAge: 10 * time.Minute, Memory: 256 * schemas.MiB,
		MaxMessageBytes: 60 * schemas.KiB, MaxChannels: 1_000_000, RememberBytes: 64 * schemas.MiB, RememberFor: 24 * time.Hour,
		Pace: time.Millisecond, Heartbeat: 15 * time.Second, WriteTimeout: 10 * time.Second, DrainTimeout: 20 * time.Second,
		MaxChannelsPerStream: 256, PublishBurst: time.Second, LogLevel: slog.LevelInfo,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", *got, *want)
	}
}

func TestConfig_precedence(t *testing.T) {
	tests := []struct {
		name    string
		file    string
		environ []string
		args    []string
		want    time.Duration
	}{
		{name: "default", want: 15 * time.Second},
		{name: "file", file: "heartbeat: 1s", want: time.Second},
		{name: "variable over file", file: "heartbeat: 1s", environ: []string{"SLUICE_HEARTBEAT=2s"}, want: 2 * time.Second},
		{name: "flag over variable", file: "heartbeat: 1s", environ: []string{"SLUICE_HEARTBEAT=2s"}, args: []string{"--heartbeat=3s"}, want: 3 * time.Second},
		{name: "flag over file", file: "heartbeat: 1s", args: []string{"--heartbeat=3s"}, want: 3 * time.Second},
		{name: "empty variable is not set", file: "heartbeat: 1s", environ: []string{"SLUICE_HEARTBEAT="}, want: time.Second},
		{name: "flag that is the default, over file", file: "heartbeat: 1s", args: []string{"--heartbeat=15s"}, want: 15 * time.Second},
		{name: "a value that is overridden may be wrong", file: "heartbeat: x", environ: []string{"SLUICE_HEARTBEAT=y"}, args: []string{"--heartbeat=3s"}, want: 3 * time.Second},
	}
	for _, tt := range tests {
		for _, by := range []string{"flag", "variable"} {
			t.Run(tt.name+", file by "+by, func(t *testing.T) {
				args, environ := append([]string{"--dev"}, tt.args...), slices.Clone(tt.environ)
				if path := fileOf(t, tt.file); by == "flag" {
					args = append(args, "--config", path)
				} else {
					environ = append(environ, "SLUICE_CONFIG="+path)
				}
				got, err := configOf(t, args, environ...)
				if err != nil {
					t.Fatal(err)
				}
				if got.Heartbeat != tt.want {
					t.Errorf("heartbeat is %v, want %v", got.Heartbeat, tt.want)
				}
			})
		}
	}
}

func TestConfig_everyKindInAFile(t *testing.T) {
	path := fileOf(t, `
# comment
dev: true
listen: "[::1]:0"
api_keys: [0123456789abcdef, 0123456789abcdeg]
cors_origins:
  - https://a.example
  - https://b.example:8443
trusted_proxies: 10.0.0.0/8,fd00::/8
replay_messages: 7
memory: 2GiB
pace: 0s
log_level: debug
log_format: json
`)
	got, err := configOf(t, []string{"--config", path})
	if err != nil {
		t.Fatal(err)
	}
	same := got.Dev && got.Listen == "[::1]:0" && got.ReplayMessages == 7 && got.Memory == 2*schemas.GiB &&
		got.Pace == 0 && got.LogLevel == slog.LevelDebug && got.LogFormat == "json" && !got.APIKeyMade &&
		slices.Equal(got.APIKeys, []string{"0123456789abcdef", "0123456789abcdeg"}) &&
		slices.Equal(got.CORSOrigins, []string{"https://a.example", "https://b.example:8443"}) &&
		slices.Equal(got.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")})
	if !same {
		t.Errorf("got %+v", *got)
	}
}

func TestConfig_emptyFile(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if _, err := configOf(t, []string{"--dev", "--config", fileOf(t, text)}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestConfig_secretFromFile(t *testing.T) {
	keys := fileOf(t, longKey+"\n"+longKey+"x\r\n")
	secret := fileOf(t, longSecret+"\n")
	got, err := configOf(t, nil, "SLUICE_API_KEYS_FILE="+keys, "SLUICE_SIGNING_SECRET_FILE="+secret)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.APIKeys, []string{longKey, longKey + "x"}) || got.SigningSecret != longSecret {
		t.Errorf("keys %q, secret %q", got.APIKeys, got.SigningSecret)
	}
}

// The variable names either a file of plain keys or one of named keys, and both kinds may be
// given at once.
func TestConfig_namedKeys(t *testing.T) {
	named := fileOf(t, "# ours\nkeys:\n  - {name: a, sha256: "+strings.Repeat("0a", 32)+", admin: true}\n")
	plain := fileOf(t, longKey)
	base := []string{"SLUICE_SIGNING_SECRET=" + longSecret}
	for _, tt := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		keys    []string
	}{
		{"flag", []string{"--api-keys-file", named}, nil, named, nil},
		{"variable", nil, []string{"SLUICE_API_KEYS_FILE=" + named}, named, nil},
		{"variable, and plain keys", nil, []string{"SLUICE_API_KEYS_FILE=" + named, "SLUICE_API_KEYS=" + longKey}, named, []string{longKey}},
		{"variable, and a flag", []string{"--api-keys=" + longKey}, []string{"SLUICE_API_KEYS_FILE=" + named}, named, []string{longKey}},
		{"flag, and a variable of plain keys", []string{"--api-keys-file", named}, []string{"SLUICE_API_KEYS_FILE=" + plain}, named, []string{longKey}},
		{"file", []string{"--config", fileOf(t, "api_keys_file: "+named)}, nil, named, nil},
		{"variable of plain keys", nil, []string{"SLUICE_API_KEYS_FILE=" + plain}, "", []string{longKey}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := configOf(t, tt.args, append(base, tt.environ...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got.APIKeysFile != tt.file || !slices.Equal(got.APIKeys, tt.keys) || got.APIKeyMade {
				t.Errorf("file %q, keys %q", got.APIKeysFile, got.APIKeys)
			}
		})
	}
	got, err := configOf(t, []string{"--dev", "--api-keys-file", named})
	if err != nil || !got.APIKeyMade || len(got.APIKeys) != 1 {
		t.Errorf("in development: %v, %v", got, err)
	}
}

// All faults of a file of keys are among those of the configuration.
func TestConfig_namedKeysFaults(t *testing.T) {
	path := fileOf(t, "keys:\n  - {name: a, sha256: s3cret}\n  - {admin: true}\n")
	_, err := configOf(t, nil, "SLUICE_API_KEYS_FILE="+path, "SLUICE_SIGNING_SECRET="+longSecret, "SLUICE_PACE=5")
	want := strings.ReplaceAll(`5 faults:
  SLUICE_PACE "5": want a time with a unit, such as 500ms, 90s or 1h30m
  SLUICE_API_KEYS_FILE "@file": line 2: key a: sha256: want 64 hexadecimal digits, as sluice keys api prints them
  SLUICE_API_KEYS_FILE "@file": line 2: key a: it may do nothing; give it publish, subscribe or admin: true
  SLUICE_API_KEYS_FILE "@file": line 3: key 1: name is missing, or not valid
  SLUICE_API_KEYS_FILE "@file": line 3: key 1: sha256 is missing`, "@file", path)
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = configOf(t, []string{"--dev", "--api-keys=plain-key-plain-key", "--api-keys-file", fileOf(t, "keys:\n  - {name: a, sha256: "+sha256Hex("plain-key-plain-key")+", admin: true}")})
	if err == nil || !strings.Contains(err.Error(), "line 2: key a: sha256: the key is also a plain one") {
		t.Errorf("got %v", err)
	}
}

func sha256Hex(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

func TestConfig_dev(t *testing.T) {
	first, err := configOf(t, []string{"--dev"})
	if err != nil {
		t.Fatal(err)
	}
	second, _ := configOf(t, []string{"--dev"})
	if first.Listen != "127.0.0.1:8080" || !first.APIKeyMade {
		t.Errorf("got %+v", *first)
	}
	if key := first.APIKeys[0]; !strings.HasPrefix(key, "sk_dev_") || len(key) != len("sk_dev_")+32 || key == second.APIKeys[0] {
		t.Errorf("keys %q and %q", key, second.APIKeys[0])
	}
}

func TestConfig_devListensOnLoopbackOnly(t *testing.T) {
	tests := []struct {
		listen string
		ok     bool
	}{
		{"127.0.0.1:0", true},
		{"127.5.0.1:80", true},
		{"[::1]:80", true},
		{"localhost:80", true},
		{":80", false},
		{"0.0.0.0:80", false},
		{"[::]:80", false},
		{"192.168.0.1:80", false},
		{"localhost.example.com:80", false},
	}
	for _, tt := range tests {
		if _, err := configOf(t, []string{"--dev", "--listen", tt.listen}); (err == nil) != tt.ok {
			t.Errorf("--dev --listen %s: %v", tt.listen, err)
		}
		got, err := configOf(t, []string{"--dev", "--listen", tt.listen, "--dev-allow-hosts", "Sluice,host.docker.internal"})
		if err != nil || !slices.Equal(got.DevHosts, []string{"sluice", "host.docker.internal"}) {
			t.Errorf("--listen %s with allowed hosts: %v, %v", tt.listen, got, err)
		}
	}
	if _, err := configOf(t, []string{"--dev-allow-hosts=sluice"}); err == nil || !strings.Contains(err.Error(), "--dev-allow-hosts: it requires --dev: ") {
		t.Errorf("without --dev: %v", err)
	}
}

// An engine keeps the keys that sign tokens, so none need to be given.
func TestConfig_engines(t *testing.T) {
	const withPassword = "nats://u:secret@a.example:4222"
	urls := fileOf(t, withPassword+"\nnats://u:secret@b.example:4222\n")
	tests := []struct {
		name    string
		args    []string
		environ []string
		engine  string
	}{
		{name: "memory", args: []string{"--signing-secret", longSecret}, engine: "memory"},
		{name: "disk", args: []string{"--data", t.TempDir(), "--data-sync=1s", "--data-bytes=1GiB"}, engine: "disk"},
		{name: "a directory that is made", args: []string{"--data", t.TempDir() + "/a/b"}, engine: "disk"},
		{name: "nats", args: []string{"--nats", "nats://a.example:4222,tls://u:p@b.example,c.example:4222", "--nats-replicas=3", "--nats-name=my_name-1", "--nats-cut-off=1m"}, engine: "nats"},
		{name: "nats by variables", environ: []string{"SLUICE_NATS=127.0.0.1", "SLUICE_NATS_REPLICAS=1"}, engine: "nats"},
		{name: "nats by a file of URLs", environ: []string{"SLUICE_NATS_FILE=" + urls}, engine: "nats"},
		{name: "nats by a file", args: []string{"--config", fileOf(t, "nats: [a.example, b.example]\nnats_cut_off: 1m")}, engine: "nats"},
		{name: "keys of one's own", args: []string{"--data", t.TempDir(), "--signing-secret", longSecret}, engine: "disk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := configOf(t, append(tt.args, "--api-keys", longKey), tt.environ...)
			if err != nil {
				t.Fatal(err)
			}
			if got.engine() != tt.engine || tt.environ != nil && strings.HasPrefix(tt.environ[0], "SLUICE_NATS_FILE") && (len(got.NATS) != 2 || got.NATS[0] != withPassword) {
				t.Errorf("engine %s of %v", got.engine(), got)
			}
		})
	}
}

// The path that a proxy has for the service stays, the slashes around it do not.
func TestConfig_publicURL(t *testing.T) {
	for given, want := range map[string]string{
		"https://a.example":         "https://a.example",
		"https://a.example/":        "https://a.example",
		"http://a.example:8080":     "http://a.example:8080",
		"https://a.example/b/c/":    "https://a.example/b/c",
		"https://a.example//b/../c": "https://a.example/c",
		"https://[::1]/b%2Fc":       "https://[::1]/b%2Fc",
	} {
		if got, err := configOf(t, []string{"--dev", "--public-url", given}); err != nil || got.PublicURL != want {
			t.Errorf("%s: %v, %v; want %s", given, got, err, want)
		}
	}
}

func TestConfig_warnings(t *testing.T) {
	got, err := configOf(t, []string{"--dev", "--api-keys", longKey + ",short"},
		"SLUICE_API_KEY=x", "SLUICE_NO=1", "SLUICE_PORT=8080", "SLUICE_SERVICE_HOST=sluice.example", "SLUICE_REPORT=tcp://10.0.0.1:8080",
		// Service links of the services sluice, with a named port, and sluice-nats.
		"SLUICE_NATS_SERVICE_HOST=fd00::7",
		"SLUICE_SERVICE_PORT_HTTP=8080", "SLUICE_NATS_SERVICE_PORT=4222", "SLUICE_NATS_SERVICE_PORT_CLIENT=4222",
		"SLUICE_NATS_PORT=tcp://[fd00::7]:4222", "SLUICE_PORT_8080_TCP=tcp://10.0.0.1:8080", "SLUICE_PORT_8080_TCP_PROTO=tcp",
		"SLUICE_PORT_8080_TCP_PORT=8080", "SLUICE_PORT_8080_TCP_ADDR=10.0.0.1", "SLUICE_NATS_PORT_4222_UDP_ADDR=fd00::7")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"--api-keys: key 2 of 2 has fewer than 16 characters and can be guessed",
		"SLUICE_NO is not a setting",
		"SLUICE_PORT is not a setting",
		"SLUICE_REPORT is not a setting",
		"SLUICE_SERVICE_HOST is not a setting",
	}
	if !slices.Equal(got.Warnings, want) {
		t.Errorf("warnings %q", got.Warnings)
	}
}

func TestConfig_LogValue_noSecrets(t *testing.T) {
	c := &Config{
		APIKeys: []string{longKey}, SigningSecret: longSecret,
		NATS: []string{"nats://u:" + longKey + "@a.example:4222", longKey + "@b.example", "tls://c.example/" + longKey, "nats://" + longKey + "\x7f@d.example"},
	}
	var out strings.Builder
	newLogger(&out, slog.LevelInfo, "json").Info("x", "config", c)
	for _, text := range []string{out.String(), c.String(), fmt.Sprint(c)} {
		if strings.Contains(text, longKey) {
			t.Errorf("a secret is in %s", text)
		}
		for _, host := range []string{"nats://a.example:4222", "nats://b.example", "tls://c.example"} {
			if !strings.Contains(text, host) {
				t.Errorf("%s is not in %s", host, text)
			}
		}
	}
}
