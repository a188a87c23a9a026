package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDisk_upgrade shows that this program serves what each version before it has
// written: testdata/disk-format-N.tar.gz is a directory of format N, with tables and
// with a journal that an unclean end has left, and what its server said of it.
//
// SLUICE_MAKE_DISK_FORMAT=1 makes the archive of the present format, once for each
// format, before it is released:
//
//	SLUICE_MAKE_DISK_FORMAT=1 go test ./e2e -run TestDisk_upgrade
//
// What can be kept for ever is: definitions and keys that sign. Messages and durable
// publishes are kept for ten years at most, so an archive has to be made anew then, by
// a program of that format. The status of a run is kept for 30 days: of an older
// archive, its message alone is looked for. A revocation is kept for a year.
func TestDisk_upgrade(t *testing.T) {
	t.Parallel()
	if os.Getenv("SLUICE_MAKE_DISK_FORMAT") != "" {
		makeArchive(t)
	}
	archives, err := filepath.Glob("testdata/disk-format-*.tar.gz")
	if err != nil || len(archives) == 0 {
		t.Fatalf("there are no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			files := unpack(t, name)
			var old account
			if err := json.Unmarshal([]byte(files[accountFile]), &old); err != nil {
				t.Fatal(err)
			}
			delete(files, accountFile)
			dir := t.TempDir()
			unfold(t, dir, files)
			for _, life := range []string{"the first start", "another start"} { // the first one may convert
				t.Run(life, func(t *testing.T) {
					foreign := startIssuer(t)
					s := forAges(t, dir, foreign)
					old.expect(t, s, foreign)
					ends()["SIGTERM"](t, s)
				})
			}
		})
	}
}

// accountFile is in the archive, beside the files of the directory.
const accountFile = "account.json"

// account is what a server said of what it keeps.
type account struct {
	Made       time.Time
	Messages   map[string][]json.RawMessage // by channel
	Durable    map[string]string            // ids, by key
	Kids       []string
	Definition json.RawMessage
}

// The channels of an archive.
func archived() []string {
	return []string{"old:1", "old:2", "run:done", "run:going", "text:1", "gone:1"}
}

// forAges starts a server that forgets as late as it can, and that accepts tokens of
// somebody else that live for a year.
func forAges(t testing.TB, dir string, foreign *issuer) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "issuers.yaml")
	replace(t, file, []byte("issuers:\n  - issuer: https://login.example.com\n    audience: sluice-test\n"+
		"    algorithms: [EdDSA]\n    max_ttl: 8784h\n    jwks_url: "+foreign.URL+"/keys\n"))
	p := launchOnDisk(t, dir, "--replay-age=87600h", "--remember-for=87600h", "--issuers="+file)
	s := comesUp(t, p)
	if s == nil {
		t.Fatalf("it refuses to start: %s", p.stderr)
	}
	return s
}

// makeArchive writes testdata/disk-format-N.tar.gz.
func makeArchive(t testing.TB) {
	t.Helper()
	dir, foreign := t.TempDir(), startIssuer(t)
	old := &account{Made: time.Now().UTC(), Messages: make(map[string][]json.RawMessage), Durable: make(map[string]string)}
	s := forAges(t, dir, foreign)
	do := func(method, path, body, key string) {
		t.Helper()
		a := s.ask(t, method, path, body, key)
		if a.status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.Detail)
		}
		if key != "" {
			old.Durable[key] = a.ID
		}
	}
	for _, part := range []string{"tables", "journal"} {
		do("POST", "/v1/publish/old:1/t?run_id=r1", `{"part":"`+part+`","text":"é \u2028 <b>"}`, "")
		do("POST", "/v1/publish/old:1/other", `[1,2.50,null]`, "")
		do("POST", "/v1/publish/old:2/t", `"`+strings.Repeat("long ", 1000)+`"`, "")
		do("POST", "/v1/publish/old:2/t", `"`+part+`"`, "key of the "+part)
		do("POST", "/v1/publish/text:1/log/stream", strings.Repeat("of the "+part+", ", 1000), "")
		token := foreign.sign(t, map[string]any{"publish": []any{map[string]any{"channel": "old:1", "topics": []string{"t"}}}})
		if status := call(t, newClient(t), token, http.MethodPost, s.url+"/v1/publish/old:1/t", `"of a token"`, nil); status != http.StatusCreated {
			t.Fatalf("with a token: %d", status)
		}
		do("POST", "/v1/publish/gone:1/t", `1`, "")
		do("DELETE", "/v1/channels/gone:1", "", "")
		do("DELETE", "/v1/tokens/revoked-"+part, "", "")
		if part == "tables" {
			do("PUT", "/v1/channels/run:done/run", runBody, "")
			do("PUT", "/v1/schemas/typed:%7Bid%7D", definition, "")
			ends()["SIGTERM"](t, s)
			s = forAges(t, dir, foreign)
		}
	}
	do("PUT", "/v1/channels/run:going/run", `{"status":"running","run_id":"r2"}`, "")
	for _, name := range archived() {
		old.Messages[name] = s.rawHistory(t, name)
	}
	old.Kids = s.publishedKids(t)
	s.call(t, http.MethodGet, "/v1/schemas/typed:%7Bid%7D", "", &old.Definition)
	s.kill()

	files := contents(t, dir)
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // messages are compared byte for byte
	if err := enc.Encode(old); err != nil {
		t.Fatal(err)
	}
	files[accountFile] = text.String()
	format := strings.Fields(files["FORMAT"])[1]
	pack(t, filepath.Join("testdata", "disk-format-"+format+".tar.gz"), files)
}

func (s *server) rawHistory(t testing.TB, channel string) []json.RawMessage {
	t.Helper()
	var all struct{ Messages []json.RawMessage }
	if status := s.call(t, http.MethodGet, "/v1/channels/"+channel+"/messages?limit=1000", "", &all); status != http.StatusOK {
		t.Errorf("the history of %s: %d", channel, status)
	}
	return all.Messages
}

// expect wants a server to say what the account says.
func (old *account) expect(t *testing.T, s *server, foreign *issuer) {
	for name, want := range old.Messages {
		if got := s.rawHistory(t, name); !slices.EqualFunc(got, want, sameMessage) {
			t.Errorf("%s holds\n%s\nwant\n%s", name, got, want)
		}
	}
	for key, id := range old.Durable {
		if a := s.ask(t, "POST", "/v1/publish/old:2/t", `"again"`, key); a.status != http.StatusOK || a.ID != id {
			t.Errorf("the publish with the %s: %d, %s; want 200, %s", key, a.status, a.ID, id)
		}
	}
	if got := s.publishedKids(t); !slices.Equal(got, old.Kids) {
		t.Errorf("the keys %v are published, want %v", got, old.Kids)
	}
	var got json.RawMessage
	s.call(t, http.MethodGet, "/v1/schemas/typed:%7Bid%7D", "", &got)
	if got = bytes.TrimSpace(got); !bytes.Equal(got, old.Definition) {
		t.Errorf("the definition is %s, want %s", got, old.Definition)
	}
	if a := s.ask(t, "POST", "/v1/publish/typed:1/status", `{}`, ""); a.status != http.StatusUnprocessableEntity {
		t.Errorf("what breaks the definition: %d, want 422", a.status)
	}
	tokens := map[string]int{"revoked-tables": 401, "revoked-journal": 401, "another": 200}
	if time.Since(old.Made) > 365*24*time.Hour {
		tokens = map[string]int{"another": 200}
	}
	for jti, want := range tokens {
		token := foreign.sign(t, map[string]any{"jti": jti, "subscribe": []any{map[string]any{"channel": "old:1", "topics": []string{"*"}}}})
		if got := call(t, newClient(t), token, http.MethodGet, s.url+"/v1/channels/old:1/messages", "", nil); got != want {
			t.Errorf("the token %s: %d, want %d", jti, got, want)
		}
	}
	if time.Since(old.Made) < 29*24*time.Hour {
		expectRunStatus(t, s, "run:done", "completed")
		expectRunStatus(t, s, "run:going", "running")
		if a := s.ask(t, "PUT", "/v1/channels/run:done/run", `{"status":"running","run_id":"r1"}`, ""); a.status != http.StatusConflict {
			t.Errorf("a finished run goes on: %d, want 409", a.status)
		}
	}
	id := s.ask(t, "POST", "/v1/publish/new:1/t", "1", "").ID
	for name, messages := range old.Messages {
		for _, text := range messages {
			var m kept
			if err := json.Unmarshal(text, &m); err != nil || seqOf(t, m.ID) >= seqOf(t, id) {
				t.Errorf("%s has %s, the next id is %s: %v", name, m.ID, id, err)
			}
		}
	}
}

// sameMessage reports whether a message is what it was in an older format: chunks of
// format 1 had no offset.
func sameMessage(got, old json.RawMessage) bool {
	if !bytes.Contains(old, []byte(`,"offset":`)) {
		got = offsetMember.ReplaceAll(got, nil)
	}
	return bytes.Equal(got, old)
}

var offsetMember = regexp.MustCompile(`,"offset":[0-9]+`)

func expectRunStatus(t testing.TB, s *server, channel, want string) {
	t.Helper()
	var info struct{ Run struct{ Status string } }
	if s.call(t, http.MethodGet, "/v1/channels/"+channel, "", &info); info.Run.Status != want {
		t.Errorf("%s is %q, want %q", channel, info.Run.Status, want)
	}
}

func pack(t testing.TB, name string, files map[string]string) {
	t.Helper()
	var text bytes.Buffer
	compressed := gzip.NewWriter(&text)
	out := tar.NewWriter(compressed)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name]))})
		if err == nil {
			_, err = io.WriteString(out, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), compressed.Close(), os.MkdirAll(filepath.Dir(name), 0o755)); err != nil {
		t.Fatal(err)
	}
	replace(t, name, text.Bytes())
}

func unpack(t testing.TB, name string) map[string]string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for in := tar.NewReader(compressed); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(text)
	}
}
