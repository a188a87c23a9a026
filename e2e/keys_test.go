package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// production starts a server as in production: with a file of keys that the
// program has made, and an API key that is not on its command line.
func production(t testing.TB, keys string, args ...string) *server {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "api_keys")
	replace(t, secret, []byte(testKey+"\n"))
	environ := []string{"SLUICE_API_KEYS_FILE=" + secret}
	return serve(t, environ, "sluice", append([]string{"--signing-keys=" + keys}, args...)...)
}

// generateKeys makes a file of keys and returns it with the id of its key.
func generateKeys(t testing.TB) (file, kid string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys.json")
	return file, strings.TrimSpace(command(t, "sluice", "keys", "generate", "--out="+file))
}

// TestKeys_production shows a token all the way: made by the API, it opens what
// it grants and nothing else, and after a restart with the same keys as before.
func TestKeys_production(t *testing.T) {
	t.Parallel()
	file, kid := generateKeys(t)
	s := production(t, file)
	token := s.token(t, runChannel, "status")
	if got := kidOf(t, token); got != kid {
		t.Errorf("the token is signed by %s, want %s", got, kid)
	}
	expectToken(t, s, token)

	s.kill()
	s = production(t, file)
	expectToken(t, s, token)
}

// expectToken uses a token for the topic status of [runChannel].
func expectToken(t testing.TB, s *server, token string) {
	t.Helper()
	c := newClient(t)
	in, _ := subscribe(t, c, s.url+"/v1/subscribe", token, "")
	inQuery, _ := subscribe(t, c, s.url+"/v1/subscribe?access_token="+token, "", "")
	s.publish(t, runChannel, "tokens", `"not granted"`)
	id := s.publish(t, runChannel, "status", `"granted"`)
	for _, in := range []*stream{in, inQuery} {
		if e := in.expect(t, "status"); e.ID != id {
			t.Errorf("the stream got %+v, want %s", e, id)
		}
	}
	for path, want := range map[string]int{
		"/v1/subscribe?channel=pipeline:run_43":                 http.StatusForbidden,
		"/v1/subscribe?channel=" + runChannel + "&topic=tokens": http.StatusForbidden,
		"/v1/channels/" + runChannel + "/messages?topic=status": http.StatusOK,
		"/v1/channels/pipeline:run_43/messages":                 http.StatusForbidden,
		"/v1/channels":                                          http.StatusForbidden,
	} {
		if got := call(t, c, token, http.MethodGet, s.url+path, "", nil); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	if got := call(t, c, token, http.MethodPost, s.url+"/v1/publish/"+runChannel+"/status", "1", nil); got != http.StatusForbidden {
		t.Errorf("publish: %d, want 403", got)
	}
	if got := call(t, c, token+"x", http.MethodGet, s.url+"/v1/subscribe", "", nil); got != http.StatusUnauthorized {
		t.Errorf("a token with a bad signature: %d, want 401", got)
	}
}

// TestKeys_rotated shows a new key taking over while the server runs.
func TestKeys_rotated(t *testing.T) {
	t.Parallel()
	file, oldKid := generateKeys(t)
	s := production(t, file)
	old := s.token(t, runChannel, "status")
	in, _ := subscribe(t, newClient(t), s.url+"/v1/subscribe", old, "")

	newKid := strings.TrimSpace(command(t, "sluice", "keys", "rotate", "--file="+file, "--ahead=5s"))
	eventually(t, func() bool { // it looks at the file every few seconds
		kids := s.publishedKids(t)
		return slices.Contains(kids, oldKid) && slices.Contains(kids, newKid)
	})
	eventually(t, func() bool { return kidOf(t, s.token(t, runChannel, "status")) == newKid })
	expectToken(t, s, s.token(t, runChannel, "status"))
	expectToken(t, s, old)
	in.expect(t, "status") // the stream that was open all the time
	if kids := s.publishedKids(t); !slices.Contains(kids, oldKid) || len(kids) != 2 {
		t.Errorf("the keys %v are published, want %s and %s", kids, oldKid, newKid)
	}
}

// TestKeys_named shows a narrow API key from its making to its end, while the server runs.
func TestKeys_named(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "api_keys.yaml")
	newKey := func(args ...string) (key, entry string) {
		t.Helper()
		p := launch(t, nil, nil, "sluice", append([]string{"keys", "api"}, args...)...)
		key = strings.TrimSpace(p.succeeds(t))
		return key, p.stderr.String()
	}
	admin, adminEntry := newKey("deploy", "--admin")
	worker, workerEntry := newKey("worker", "--publish", "pipeline:*=status", "--subscribe", "pipeline:*")
	replace(t, file, []byte("keys:\n"+adminEntry))
	signing, _ := generateKeys(t)
	s := serve(t, nil, "sluice", "--api-keys-file="+file, "--signing-keys="+signing)
	c := newClient(t)
	publish := func(key, topic string) int {
		t.Helper()
		return call(t, c, key, http.MethodPost, s.url+"/v1/publish/"+runChannel+"/"+topic, "1", nil)
	}
	if got := publish(worker, "status"); got != http.StatusUnauthorized {
		t.Errorf("before the key is there: %d", got)
	}
	replace(t, file, []byte("keys:\n"+adminEntry+workerEntry))
	eventually(t, func() bool { return publish(worker, "status") == http.StatusCreated })
	in, _ := subscribe(t, c, s.url+"/v1/subscribe?channel="+runChannel, worker, "")
	for want, got := range map[string]int{
		"403 another topic":   publish(worker, "other"),
		"403 mints":           call(t, c, worker, http.MethodPost, s.url+"/v1/tokens", `{"channel":"pipeline:1"}`, nil),
		"201 an admin mints":  call(t, c, admin, http.MethodPost, s.url+"/v1/tokens", `{"channel":"pipeline:1"}`, nil),
		"401 a key in a URL":  call(t, c, "", http.MethodGet, s.url+"/v1/subscribe?channel="+runChannel+"&access_token="+worker, "", nil),
		"201 an admin writes": publish(admin, "other"),
	} {
		if !strings.HasPrefix(want, strconv.Itoa(got)) {
			t.Errorf("%s: %d", want, got)
		}
	}
	in.expect(t, "other")
	replace(t, file, []byte("keys:\n"+adminEntry+"  - broken\n"))
	eventually(t, func() bool { return strings.Contains(s.stderr.String(), "changed file refused") })
	if got := publish(worker, "status"); got != http.StatusCreated {
		t.Errorf("with a broken file: %d", got)
	}
	in.expect(t, "status")
	replace(t, file, []byte("keys:\n"+adminEntry))
	if e := in.expect(t, "$close"); !strings.Contains(e.Data, "4401") {
		t.Errorf("the stream ends with %s", e.Data)
	}
	if got := publish(worker, "status"); got != http.StatusUnauthorized {
		t.Errorf("after the key was removed: %d", got)
	}
	if log := s.stderr.String(); strings.Contains(log, worker) || strings.Contains(log, admin) {
		t.Error("a key is logged")
	}
}

// publishedKids returns the ids of the public keys.
func (s *server) publishedKids(t testing.TB) []string {
	t.Helper()
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	s.call(t, http.MethodGet, "/.well-known/jwks.json", "", &set)
	var kids []string
	for _, key := range set.Keys {
		if key["d"] != nil || key["k"] != nil {
			t.Fatal("a secret is published")
		}
		kids = append(kids, key["kid"].(string))
	}
	return kids
}

// kidOf returns the key that a token says it is signed by.
func kidOf(t testing.TB, token string) string {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}
