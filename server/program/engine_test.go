package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/schemas"
)

// served is a server that runs beside a test.
type served struct {
	*process
	url, banner, listening string
}

// serveWith starts a server on a free port of this machine, with longKey as its
// API key.
func serveWith(t *testing.T, args ...string) *served {
	t.Helper()
	p, err := start(os.Environ(), "sluice", append([]string{"--listen=127.0.0.1:0", "--log-format=text", "--drain-timeout=1s", "--api-keys", longKey}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{process: p}
	if s.listening, err = lineWith(p.stderr, "listening"); err != nil {
		t.Fatal(s.listening)
	}
	end := "http://"
	if slices.Contains(args, "--dev") {
		end = "In another terminal"
	}
	if s.banner, err = lineWith(p.stdout, end); err != nil {
		t.Fatal(err)
	}
	s.url = regexp.MustCompile(`http://\S+`).FindString(s.banner)
	return s
}

// stop ends the server in order.
func (s *served) stop(t *testing.T) {
	t.Helper()
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// ask sends a request and returns the answer's status and body.
func (s *served) ask(t *testing.T, credential, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// expect is ask for an answer of that status.
func (s *served) expect(t *testing.T, status int, credential, method, path, body string) string {
	t.Helper()
	got, text := s.ask(t, credential, method, path, body)
	if got != status {
		t.Errorf("%s %s: %d, want %d: %s", method, path, got, status, text)
	}
	return text
}

// mint returns a token for everything and its id.
func (s *served) mint(t *testing.T) (token, jti string) {
	t.Helper()
	var made struct{ Token, JTI string }
	if err := json.Unmarshal([]byte(s.expect(t, 201, longKey, "POST", "/v1/tokens", `{"channel":"*","topics":["*"]}`)), &made); err != nil {
		t.Fatal(err)
	}
	return made.Token, made.JTI
}

// With a directory, tokens, revocations and definitions outlive a restart, in
// development as well. Those of the file stand beside them.
func TestServe_data(t *testing.T) {
	for _, dev := range []bool{true, false} {
		t.Run(fmt.Sprintf("dev=%t", dev), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "data")
			channels := fileOf(t, "channels: [{name: 'run:{id}', strict: true}, {name: other}]")
			args := []string{"--data", dir, "--channels", channels}
			if dev {
				args = append(args, "--dev")
			}
			s := serveWith(t, args...)
			if !strings.Contains(s.listening, "engine=disk") || strings.Contains(s.listening, dir) == dev {
				t.Errorf("logged %s", s.listening)
			}
			if dev && !strings.Contains(s.banner, "\nEngine: disk, in "+dir+"\n") {
				t.Errorf("the banner is %s", s.banner)
			}
			good, _ := s.mint(t)
			revoked, jti := s.mint(t)
			s.expect(t, 204, longKey, "DELETE", "/v1/tokens/"+jti, "")
			s.expect(t, 201, longKey, "PUT", "/v1/schemas/log", `{"strict":true}`)
			s.expect(t, 200, longKey, "PUT", "/v1/schemas/other", `{"strict":true}`)
			s.stop(t)

			// A definition of the file that ties with one that is kept keeps it out.
			if err := os.WriteFile(channels, []byte("channels: [{name: other}]"), 0o600); err != nil {
				t.Fatal(err)
			}
			again := serveWith(t, args...)
			again.expect(t, 401, revoked, "GET", "/v1/schemas", "")
			want := `{"schemas":[{"name":"log","strict":true},{"name":"other","strict":true}]}`
			if got := again.expect(t, 200, good, "GET", "/v1/schemas", ""); strings.TrimSpace(got) != want {
				t.Errorf("definitions %s", got)
			}
			again.expect(t, 204, longKey, "DELETE", "/v1/schemas/other", "")
			again.expect(t, 201, longKey, "PUT", "/v1/schemas/run:%7Ba%7D", `{}`)
			again.stop(t)

			if err := os.WriteFile(channels, []byte("channels: [{name: 'run:{b}'}]"), 0o600); err != nil {
				t.Fatal(err)
			}
			third := serveWith(t, args...)
			if !strings.Contains(third.listening, "cannot apply cluster state") || strings.Contains(third.listening, `"d"`) {
				t.Errorf("logged %s", third.listening)
			}
			want = `{"schemas":[{"name":"log","strict":true},{"name":"run:{b}"}]}`
			if got := third.expect(t, 200, good, "GET", "/v1/schemas", ""); strings.TrimSpace(got) != want {
				t.Errorf("definitions %s", got)
			}
			third.stop(t)
		})
	}
}

// On disk, too, every revocation ends, with foreign issuers as without, also one that
// an earlier version has kept for ever.
func TestServe_dataRevocationsEnd(t *testing.T) {
	dir := t.TempDir()
	issuers := fileOf(t, "issuers: [{issuer: 'https://a.test', audience: a, algorithms: [EdDSA], jwks_file: keys.json, max_ttl: 48h}]")
	key := `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	if err := os.WriteFile(filepath.Join(filepath.Dir(issuers), "keys.json"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	withClusterState(t, dir, func(store clusterstate.Store) {
		if _, err := store.Claim(t.Context(), clusterstate.Item{Kind: "revocation", Name: "old"}); err != nil {
			t.Fatal(err)
		}
	})
	var ends map[string]time.Time
	for range 20 { // it is given its end beside the start, which may be too short for that
		s := serveWith(t, "--data", dir, "--issuers", issuers)
		s.expect(t, 204, longKey, "DELETE", "/v1/tokens/new", "")
		s.stop(t)
		ends = make(map[string]time.Time)
		withClusterState(t, dir, func(store clusterstate.Store) {
			if err := store.Watch(t.Context(), func(f clusterstate.Item) error {
				if f.Kind == "revocation" {
					ends[f.Name] = f.ExpiresAt
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
		if !ends["old"].IsZero() {
			break
		}
	}
	for _, name := range []string{"old", "new"} {
		if left := time.Until(ends[name]); left < 47*time.Hour || left > 49*time.Hour {
			t.Errorf("the revocation %s is kept for %v", name, left)
		}
	}
}

// withClusterState opens what a stopped server has kept.
func withClusterState(t *testing.T, dir string, use func(clusterstate.Store)) {
	t.Helper()
	e, err := disk.Open(dir, disk.Options{SyncEvery: time.Millisecond, RememberFor: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Options{Engine: e}) // which starts it
	if err != nil {
		t.Fatal(err)
	}
	use(e.ClusterState())
	if err := errors.Join(b.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
}

// Keys that are given sign, whatever is kept.
func TestServe_dataWithKeys(t *testing.T) {
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys.json")
	ring, err := auth.NewKeyring()
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.WriteKeyFile(keys, ring); err != nil {
		t.Fatal(err)
	}
	kept := serveWith(t, "--dev", "--data", dir)
	token, _ := kept.mint(t)
	kept.stop(t)
	given := serveWith(t, "--data", dir, "--signing-keys", keys)
	given.expect(t, 401, token, "GET", "/v1/schemas", "")
	if set := given.expect(t, 200, longKey, "GET", "/.well-known/jwks.json", ""); !strings.Contains(set, ring.Keys()[0].ID) {
		t.Errorf("it publishes %s", set)
	}
	given.stop(t)
}

// An engine that cannot be opened is a fault while running, and no password is
// told.
func TestServe_engineFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"disk", []string{"--data=/proc/no/such"}, "opening /proc/no/such: "},
		{"nats", []string{"--nats=nats://u:s3cret@127.0.0.1:9", "--nats-timeout=100ms"}, "connecting to [nats://127.0.0.1:9]: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var stderr strings.Builder
			err := run(ctx, append(tt.args, "--dev", "--listen=127.0.0.1:0"), nil, nil, io.Discard, &stderr)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if usage := (*usageError)(nil); errors.As(err, &usage) {
				t.Error("it counts as wrong use")
			}
			if strings.Contains(fmt.Sprint(err)+stderr.String(), "s3cret") {
				t.Errorf("a password is told: %v, %s", err, &stderr)
			}
		})
	}
}

// All that share a store sign with the same keys.
func TestKeptKeyring(t *testing.T) {
	var store clusterstate.Local
	first, err := keptKeyring(t.Context(), &store)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keptKeyring(t.Context(), &store)
	if err != nil || second.String() != first.String() {
		t.Errorf("got %v, %v, want %v", second, err, first)
	}
	var other clusterstate.Local
	if third, err := keptKeyring(t.Context(), &other); err != nil || third.String() == first.String() {
		t.Errorf("another store has %v, %v", third, err)
	}
	if _, err := keptKeyring(t.Context(), brokenStore{err: clusterstate.ErrUnavailable}); !errors.Is(err, clusterstate.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	const private = `{"keys":[{"kty":"oct","alg":"HS256","k":"c2hvcnQ"}]}`
	if _, err := keptKeyring(t.Context(), brokenStore{value: private}); err == nil || strings.Contains(err.Error(), "c2hvcnQ") {
		t.Errorf("keys that are not: %v", err)
	}
}

// brokenStore keeps what is no key, or cannot be reached.
type brokenStore struct {
	clusterstate.Store
	value string
	err   error
}

// Claim implements [clusterstate.Store].
func (s brokenStore) Claim(context.Context, clusterstate.Item) (clusterstate.Item, error) {
	return clusterstate.Item{Value: []byte(s.value)}, s.err
}

func TestOpenEngine_memory(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	e, err := openEngine(t.Context(), &Config{}, schemas.NewCatalog(schemas.Limits{}), log)
	if err != nil || e.messages != nil || e.clusterState == nil {
		t.Errorf("got %+v, %v", e, err)
	}
	e.close(log)
}

func TestLimitsOf(t *testing.T) {
	catalog := schemas.NewCatalog(schemas.Limits{})
	limits := limitsOf(catalog)
	if got := limits("run:1"); got != (engine.Limits{}) {
		t.Errorf("without a definition: %+v", got)
	}
	def := schemas.Definition{Name: "run:{id}", Replay: &schemas.ReplayLimits{Messages: 3, Bytes: 4096, Age: schemas.Duration(time.Minute)}}
	if err := catalog.Put(def); err != nil {
		t.Fatal(err)
	}
	if got, want := limits("run:1"), (engine.Limits{Messages: 3, Bytes: 4096, Age: time.Minute}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := limits("other"); got != (engine.Limits{}) {
		t.Errorf("of another channel: %+v", got)
	}
}

func TestKeptIn(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, ""},
		{Config{Data: "/var/lib/sluice"}, "Engine: disk, in /var/lib/sluice\n"},
		{Config{Data: "a\x1b[31m"}, "Engine: disk, in a\\x1b[31m\n"},
		{Config{NATS: []string{"nats://u:p@a:4222", "b"}}, "Engine: nats, at nats://a:4222 nats://b\n"},
	} {
		if got := keptIn(&tt.cfg); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
