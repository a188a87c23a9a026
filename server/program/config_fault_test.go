package program

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Each case has one fault besides what is right in it.
func TestConfig_faults(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string // @file stands for the file's path
	}{
		{name: "duration", args: []string{"--pace", "5"}, want: `--pace "5": want a time with a unit, such as 500ms, 90s or 1h30m`},
		{name: "size", environ: []string{"SLUICE_MEMORY=1MB"}, want: `SLUICE_MEMORY "1MB": want a number of bytes, such as 65536, 64KiB, 1MiB or 1GiB`},
		{name: "number", file: "max_channels: many", want: `@file:1: max_channels "many": want a whole number`},
		{name: "boolean", environ: []string{"SLUICE_DEV=perhaps"}, args: []string{"--api-keys", longKey, "--signing-secret", longSecret}, want: `SLUICE_DEV "perhaps": want true or false`},
		{name: "level", args: []string{"--log-level=loud"}, want: `--log-level "loud": want debug, info, warn or error`},
		{name: "network", args: []string{"--trusted-proxies=10.0.0.0/8,here"}, want: `--trusted-proxies "10.0.0.0/8,here": want networks, such as 10.0.0.0/8,fd00::/8`},
		{name: "log format", args: []string{"--log-format=xml"}, want: `--log-format "xml": want json or text`},

		{name: "listen without port", args: []string{"--listen=127.0.0.1"}, want: `--listen "127.0.0.1": want an address and a port, such as :8080, 127.0.0.1:8080 or [::1]:8080, or a socket, such as unix:/run/sluice/sluice.sock`},
		{name: "listen on a relative path", args: []string{"--listen=unix:sock"}, want: `--listen "unix:sock": want an absolute path after unix:, such as unix:/run/sluice/sluice.sock`},
		{name: "listen on a path that is too long", args: []string{"--listen=unix:/" + strings.Repeat("x", 103)}, want: `--listen "unix:/` + strings.Repeat("x", 103) + `": the path of a socket has at most 103 bytes`},
		{name: "listen port", args: []string{"--listen=127.0.0.1:65536"}, want: `--listen "127.0.0.1:65536": the port must be a number from 0 to 65535`},
		{name: "listen in dev", args: []string{"--listen=:80"}, want: `--listen ":80": --dev listens on this machine only, such as on 127.0.0.1:8080; name in --dev-allow-hosts how others may reach it`},
		{name: "allowed host with a port", args: []string{"--dev-allow-hosts=sluice,sluice:8080"}, want: `--dev-allow-hosts "sluice:8080": want the name or the IPv4 address of a host, without a port, such as host.docker.internal`},
		{name: "allowed URL", file: "dev_allow_hosts: http://sluice", want: `@file:1: dev_allow_hosts "http://sluice": want the name or the IPv4 address of a host, without a port, such as host.docker.internal`},
		{name: "allowed host without a name", args: []string{"--dev-allow-hosts=a,,b"}, want: `--dev-allow-hosts: want the name or the IPv4 address of a host, without a port, such as host.docker.internal`},

		{name: "public URL without scheme", args: []string{"--public-url=a.example"}, want: `--public-url "a.example": want http:// or https://, a host and, if a proxy has one for it, a path, such as https://sluice.example.com`},
		{name: "public URL of another scheme", file: "public_url: ftp://a.example", want: `@file:1: public_url "ftp://a.example": want http:// or https://, a host and, if a proxy has one for it, a path, such as https://sluice.example.com`},
		{name: "public URL without host", environ: []string{"SLUICE_PUBLIC_URL=https:///x"}, want: `SLUICE_PUBLIC_URL "https:///x": want http:// or https://, a host and, if a proxy has one for it, a path, such as https://sluice.example.com`},
		{name: "public URL with query", args: []string{"--public-url=https://a.example/?"}, want: `--public-url "https://a.example/?": want http:// or https://, a host and, if a proxy has one for it, a path, such as https://sluice.example.com`},
		{name: "public URL with fragment", args: []string{"--public-url=https://a.example/#"}, want: `--public-url "https://a.example/#": want http:// or https://, a host and, if a proxy has one for it, a path, such as https://sluice.example.com`},
		{name: "public URL with password", args: []string{"--public-url=https://u:s3cret@a.example"}, want: `--public-url: it must not hold a user name or password: every holder of a token reads it`},

		{name: "origin with path", args: []string{"--cors-origins=https://a.example/b"}, want: `--cors-origins "https://a.example/b": an origin has a scheme, a host and a port, and nothing else`},
		{name: "origin with a wildcard inside", args: []string{"--cors-origins=https://app-*.example.com"}, want: `--cors-origins "https://app-*.example.com": * can only stand for whole labels in front, as in https://*.example.com`},
		{name: "origin without scheme", args: []string{"--cors-origins=a.example"}, want: `--cors-origins "a.example": it is not a scheme and a host, such as https://app.example.com`},

		{name: "message size", args: []string{"--max-message-bytes=2MiB"}, want: `--max-message-bytes "2MiB": want 1KiB to 1MiB`},
		{name: "memory below a ring", args: []string{"--memory=1KiB"}, want: `--memory "1KiB": want 1MiB to 1024GiB`},
		{name: "negative rate", file: "max_publishes_per_key: -1", want: `@file:1: max_publishes_per_key "-1": want 0 to 2147483648`},
		{name: "too high a rate", args: []string{"--max-publish-bytes-per-address=2048GiB"}, want: `--max-publish-bytes-per-address "2048GiB": want 0 to 1024GiB`},
		{name: "no burst", args: []string{"--publish-burst=0s"}, want: `--publish-burst "0s": want 1s to 1h0m0s`},
		{name: "half a second", args: []string{"--publish-burst=2500ms"}, want: `--publish-burst "2.5s": want whole seconds`},
		{name: "negative", args: []string{"--max-streams=-1"}, want: `--max-streams "-1": want 0 to 2147483648`},
		{name: "none", args: []string{"--replay-messages=0"}, want: `--replay-messages "0": want 1 to 2147483648`},
		{name: "ttl", args: []string{"--token-max-ttl=1ms"}, want: `--token-max-ttl "1ms": want 1s to 8784h0m0s`},
		{name: "empty issuer", args: []string{"--issuer="}, want: `--issuer: it is empty`},

		{name: "no such file", args: []string{"--channels=/no/such"}, want: `--channels "/no/such": no such file or directory`},
		{name: "a folder", args: []string{"--issuers=/"}, want: `--issuers "/": it is not a file`},
		{name: "certificate without key", args: []string{"--tls-cert=/dev/null"}, want: `--tls-key: missing; tls-cert needs it`},
		{name: "key without certificate", args: []string{"--tls-key=/dev/null"}, want: `--tls-cert: missing; tls-key needs it`},

		{name: "key with space", args: []string{"--api-keys=" + longKey + ",a b"}, want: `--api-keys: key 2 of 2 is not 1 to 1024 printable ASCII characters without spaces`},
		{name: "short secret", args: []string{"--signing-secret=short"}, want: `--signing-secret: it has fewer than 32 bytes; make one with: openssl rand -hex 32`},
		{name: "secret and keys", args: []string{"--signing-secret=" + longSecret, "--signing-keys=/dev/null"}, want: `--signing-secret: signing-keys is set too: tokens are signed by keys or by a secret`},
		{name: "secret twice", environ: []string{"SLUICE_API_KEYS=" + longKey, "SLUICE_API_KEYS_FILE=/dev/null"}, want: `SLUICE_API_KEYS and SLUICE_API_KEYS_FILE are both set: give one of them`},
		{name: "secret's file", environ: []string{"SLUICE_API_KEYS_FILE=/no/such"}, want: `SLUICE_API_KEYS_FILE: open /no/such: no such file or directory`},

		{name: "two engines", args: []string{"--data=/tmp", "--nats=a.example", "--nats-name=x", "--data-sync=1s"}, want: `--nats: data is set too: messages are kept on this disk or by NATS`},
		{name: "disk setting without disk", file: "data_sync: 1s", want: `@file:1: data_sync "1s": it requires data, which is not set`},
		{name: "disk setting with nats", args: []string{"--nats=a.example", "--data-bytes=1MiB"}, want: `--data-bytes "1MiB": it requires data, which is not set`},
		{name: "nats setting with disk", args: []string{"--data=/tmp", "--nats-replicas=3"}, want: `--nats-replicas "3": it requires nats, which is not set`},
		{name: "nats credentials without nats", environ: []string{"SLUICE_NATS_CREDS=/dev/null"}, want: `SLUICE_NATS_CREDS "/dev/null": it requires nats, which is not set`},
		{name: "data is a file", args: []string{"--data=/dev/null"}, want: `--data "/dev/null": it is not a directory`},
		{name: "data below a file", args: []string{"--data=/dev/null/x"}, want: `--data "/dev/null/x": not a directory`},
		{name: "sync", args: []string{"--data=/tmp", "--data-sync=0s"}, want: `--data-sync "0s": want 1ms to 1m0s`},
		{name: "scheme of nats", args: []string{"--nats=a.example,http://u:s3cret@b.example"}, want: `--nats: server 2 of 2: want nats://, tls://, ws:// or wss://, a host and a port, such as nats://127.0.0.1:4222`},
		{name: "address of nats", environ: []string{"SLUICE_NATS=nats://u:s3 cret@b.example"}, want: `SLUICE_NATS: server 1 of 1: want nats://, tls://, ws:// or wss://, a host and a port, such as nats://127.0.0.1:4222`},
		{name: "name for nats", args: []string{"--nats=a.example", "--nats-name=a.b"}, want: `--nats-name "a.b": want 1 to 32 letters, digits, _ and -`},
		{name: "no name for nats", args: []string{"--nats=a.example", "--nats-name="}, want: `--nats-name: want 1 to 32 letters, digits, _ and -`},
		{name: "replicas", args: []string{"--nats=a.example", "--nats-replicas=6"}, want: `--nats-replicas "6": want 0 to 5`},
		{name: "shards", args: []string{"--nats=a.example", "--nats-shards=65"}, want: `--nats-shards "65": want 1 to 64`},
		{name: "timeout", args: []string{"--nats=a.example", "--nats-timeout=1ms"}, want: `--nats-timeout "1ms": want 100ms to 1m0s`},
		{name: "cut-off", args: []string{"--nats=a.example", "--nats-cut-off=1ms"}, want: `--nats-cut-off "1ms": want 1s to 1h0m0s`},
		{name: "certificate for nats without key", args: []string{"--nats=a.example", "--nats-cert=/dev/null"}, want: `--nats-key: missing; nats-cert needs it`},
		{name: "two ways to log in", args: []string{"--nats=a.example", "--nats-creds=/dev/null", "--nats-nkey=/dev/null"}, want: `--nats-nkey: nats-creds is set too: give one way to log in`},
		{name: "a user beside credentials", args: []string{"--nats=a.example,u:s3cret@b.example", "--nats-creds=/dev/null"}, want: `--nats-creds: a URL in nats carries a user or a token too: give one way to log in`},
		{name: "a token beside a seed", args: []string{"--nats=nats://s3cret@a.example", "--nats-nkey=/dev/null"}, want: `--nats-nkey: a URL in nats carries a user or a token too: give one way to log in`},
		{name: "no credentials", args: []string{"--nats=a.example", "--nats-creds=/no/such"}, want: `--nats-creds "/no/such": no such file or directory`},
		{name: "authorities are no file", args: []string{"--nats=a.example", "--nats-ca=/"}, want: `--nats-ca "/": it is not a file`},

		{name: "unknown key", file: "\nmax-channels: 5", want: `@file:2: "max-channels" is not a setting`},
		{name: "file in file", file: "config: other.yaml", want: `@file:1: "config" is not a setting`},
		{name: "key twice", file: "pace: 1s\npace: 2s", want: `@file:2: pace: it is given twice`},
		{name: "no value", file: "pace:", want: `@file:1: pace: it has no value`},
		{name: "nested", file: "pace: {a: b}", want: `@file:1: pace: want a value or a list of values`},
		{name: "list of lists", file: "api_keys: [[a]]", want: `@file:1: api_keys: want a value or a list of values`},
		{name: "no mapping", file: "- a", want: `--config "@file": it must hold settings, one per line: key: value`},
		{name: "two documents", file: "pace: 1s\n---\npace: 1s", want: `--config "@file": it must hold one YAML document`},
		{name: "no YAML", file: "pace: [", want: `--config "@file": yaml: line 1: did not find expected node content`},
		{name: "no file", args: []string{"--config=/no/such"}, want: `--config "/no/such": no such file or directory`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args, path := tt.args, ""
			if tt.file != "" {
				path = fileOf(t, tt.file)
				args = append([]string{"--config", path}, args...)
			}
			if !slices.ContainsFunc(tt.environ, func(v string) bool { return strings.HasPrefix(v, "SLUICE_DEV=") }) {
				args = append([]string{"--dev"}, args...)
			}
			_, err := configOf(t, args, tt.environ...)
			var usage *usageError
			if !errors.As(err, &usage) {
				t.Fatalf("error %v", err)
			}
			if want := strings.ReplaceAll(tt.want, "@file", path); len(usage.faults) != 1 || usage.faults[0] != want {
				t.Errorf("faults\n%s\nwant\n%s", strings.Join(usage.faults, "\n"), want)
			}
		})
	}
}

func TestConfig_faultsAllAtOnce(t *testing.T) {
	const secret = "s3cret"
	path := fileOf(t, "memory: lots\nnonsense: 1\nsigning_secret: "+secret)
	_, err := configOf(t, []string{"--config", path, "--pace=soon", "--listen", "nowhere"}, "SLUICE_API_KEYS="+secret+" x", "SLUICE_MAX_STREAMS=-3")
	want := strings.ReplaceAll(`7 faults:
  --pace "soon": want a time with a unit, such as 500ms, 90s or 1h30m
  @file:2: "nonsense" is not a setting
  @file:1: memory "lots": want a number of bytes, such as 65536, 64KiB, 1MiB or 1GiB
  --listen "nowhere": want an address and a port, such as :8080, 127.0.0.1:8080 or [::1]:8080, or a socket, such as unix:/run/sluice/sluice.sock
  SLUICE_API_KEYS: key 1 of 1 is not 1 to 1024 printable ASCII characters without spaces
  @file:3: signing_secret: it has fewer than 32 bytes; make one with: openssl rand -hex 32
  SLUICE_MAX_STREAMS "-3": want 0 to 2147483648`, "@file", path)
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Error("a secret is told")
	}
}

func TestConfig_missing(t *testing.T) {
	_, err := configOf(t, nil)
	want := `2 faults:
  --api-keys: missing; make a key with: openssl rand -hex 32 (or try things out with --dev)
  --signing-keys: missing; make the file with: sluice keys generate --out keys.json (or give a --signing-secret: openssl rand -hex 32)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v", err)
	}
}
