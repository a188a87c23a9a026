package auth_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// hashOf returns the SHA-256 of an API key, in hexadecimal.
func hashOf(key string) string {
	hash := sha256.Sum256([]byte(key))
	return hex.EncodeToString(hash[:])
}

// apiKeyFile writes a file of named API keys and returns its path.
func apiKeyFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	rewrite(t, path, content)
	return path
}

// rewrite replaces a file as editors and tools do it: at once.
func rewrite(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// entry is an entry of the file: a key, named like itself, with what it may do.
func entry(key, rights string) string {
	return fmt.Sprintf("  - {name: %s, sha256: %s, %s}\n", key, hashOf(key), rights)
}

const (
	mayPublish = `publish: [{channel: "pipeline:*", topics: [status]}]`
	mayRead    = `subscribe: [{channel: "pipeline:*", topics: ["*"]}]`
)

func TestAPIKeyFile(t *testing.T) {
	block := "# ours\nkeys:\n  - name: worker.1\n    sha256: " + strings.ToUpper(hashOf("worker-key")) + "\n    publish: &all\n      - channel: pipeline:*\n        topics: [status]\n    subscribe: *all\n"
	json := `{"keys":[{"name":"worker.1","sha256":"` + hashOf("worker-key") + `","publish":[{"channel":"pipeline:*","topics":["status"]}],"subscribe":[{"channel":"pipeline:*","topics":["status"]}],"admin":false}]}`
	grants := schemas.Grants{{Channel: "pipeline:*", Topics: []string{"status"}}}
	for name, content := range map[string]string{"YAML": block, "JSON": json, "byte order mark": "\ufeff" + json, "document marks": "---\n" + block + "...\n"} {
		t.Run(name, func(t *testing.T) {
			if !auth.HasNamedKeys([]byte(content)) {
				t.Error("taken for plain keys")
			}
			a := newAuthority(t, auth.Options{APIKeys: []string{"plain-key"}, APIKeyFile: apiKeyFile(t, content)})
			p := mustAccept(t, a, "worker-key")
			if p.KeyName != "worker.1" || len(p.KeyID) != 16 || p.Admin || !p.APIKey() || p.KeyFate() != auth.KeyUnchanged || p.Subject != "" || p.TokenID != "" {
				t.Errorf("got %+v", p)
			}
			if !slices.EqualFunc(p.Publish, grants, sameGrant) || !slices.EqualFunc(p.Subscribe, grants, sameGrant) {
				t.Errorf("grants %v, %v", p.Publish, p.Subscribe)
			}
			if p := mustAccept(t, a, "plain-key"); !p.Admin || p.KeyName != "" || !p.APIKey() {
				t.Errorf("the plain key is %+v", p)
			}
			mustRefuse(t, a, "worker-key2", "")
			mustRefuse(t, a, hashOf("worker-key"), "")
			if n := a.Stats().KeyRequests; !maps.Equal(n, map[string]uint64{"worker.1": 1}) {
				t.Errorf("requests %v", n)
			}
		})
	}
}

func sameGrant(a, b schemas.Grant) bool {
	return a.Channel == b.Channel && slices.Equal(a.Topics, b.Topics)
}

func TestAPIKeyFile_admin(t *testing.T) {
	a := newAuthority(t, auth.Options{APIKeyFile: apiKeyFile(t, "keys:\n"+entry("deploy", "admin: true"))})
	p := mustAccept(t, a, "deploy")
	if !p.Admin || p.KeyName != "deploy" || !p.Publish.Allows("any", "topic") || !p.Subscribe.Allows("any", "topic") {
		t.Errorf("got %+v", p)
	}
}

// All faults of a file are reported at once, each with its line, and none quotes what may be a
// secret.
func TestCheckAPIKeyFile(t *testing.T) {
	const secret = "sk_0123456789abcdef"
	good := "sha256: " + hashOf("good")
	for _, tt := range []struct {
		name, content string
		want          []string
	}{
		{"good", "keys:\n" + entry("a", mayPublish) + entry("b", mayRead+", "+mayPublish) + entry("c", "admin: true"), nil},
		{"none", "keys: []", nil},
		{"empty", "", []string{"it is empty"}},
		{"comment", "# keys", []string{"it is empty"}},
		{"not YAML", "keys: [", []string{"yaml:"}},
		{"two documents", "keys: []\n---\nkeys: []", []string{"more than one document"}},
		{"a list", "- name: a", []string{"line 1: the document: want a mapping"}},
		{"another member", "key: []\n", []string{`line 1: the document: unknown member "key"`}},
		{"twice", "keys: []\nkeys: []", []string{"line 2: the document: keys stands twice"}},
		{"no list", "keys: {}", []string{"line 1: keys: want a list"}},
		{"no mapping", "keys: [" + secret + "]", []string{"line 1: key 0: want a mapping", "key 0: name is missing", "key 0: sha256 is missing", "key 0: it may do nothing"}},
		{"everything missing", "keys:\n  - {}", []string{"line 2: key 0: name is missing", "line 2: key 0: sha256 is missing", "line 2: key 0: it may do nothing"}},
		{"the key itself", "keys:\n  - {name: a, sha256: " + secret + ", admin: true}", []string{"line 2: key a: sha256: want 64 hexadecimal digits"}},
		{"too long a hash", "keys:\n  - {name: a, " + good + "00, admin: true}", []string{"line 2: key a: sha256: want 64 hexadecimal digits"}},
		{"plain text member", "keys:\n  - {name: a, key: " + secret + ", " + good + ", admin: true}", []string{`line 2: key 0: unknown member "key"`}},
		{"bad names", "keys:\n  - {name: a b, " + good + ", admin: true}\n  - {name: 7, sha256: " + hashOf("b") + ", admin: true}", []string{"line 2: key 0: name: want 1 to 64", "line 2: key 0: name is missing", "line 3: key 1: name: want 1 to 64", "line 3: key 1: name is missing"}},
		{"same name", "keys:\n" + entry("a", "admin: true") + "  - {name: a, " + good + ", admin: true}", []string{"line 3: key 1: name: a stands twice"}},
		{"same hash", "keys:\n" + entry("a", "admin: true") + "  - {name: b, sha256: " + hashOf("a") + ", admin: true}", []string{"line 3: key b: sha256: another key has the same"}},
		{"plain, too", "keys:\n" + entry("plain-key", mayRead), []string{"line 2: key plain-key: sha256: the key is also a plain one"}},
		{"nothing granted", "keys:\n" + entry("a", "publish: [], admin: false"), []string{"line 2: key a: it may do nothing"}},
		{"admin and more", "keys:\n" + entry("a", "admin: true, "+mayRead), []string{"line 2: key a: admin allows everything"}},
		{"admin in words", "keys:\n" + entry("a", `admin: "true"`), []string{"line 2: key a: admin: want true or false", "it may do nothing"}},
		{"no list of grants", "keys:\n" + entry("a", "publish: x"), []string{"line 2: key a: publish: want a list", "it may do nothing"}},
		{"bad channel", "keys:\n" + entry("a", `publish: [{channel: "a*", topics: ["*"]}]`), []string{"line 2: key a: publish: grant 0"}},
		{"no topics", "keys:\n" + entry("a", `publish: [{channel: a}]`), []string{"line 2: key a: publish: grant 0", "no topics"}},
		{"a number for a topic", "keys:\n" + entry("a", `publish: [{channel: a, topics: [1]}]`), []string{"line 2: key a: publish: grant 0: topics: want a string"}},
		{"unknown member of a grant", "keys:\n" + entry("a", `publish: [{channel: a, topics: ["*"], only: b}]`), []string{`line 2: key a: publish: grant 0: unknown member "only"`}},
		{"too many grants", "keys:\n" + entry("a", "publish: ["+strings.Repeat(`{channel: a, topics: [t]}, `, 257)+"]"), []string{"line 2: key a: publish: there are more than 256"}},
		{"several", "keys:\n  - {name: a, sha256: x, admin: 1}\n  - {name: b}", []string{"line 2: key a: sha256", "line 2: key a: admin", "line 2: key a: it may do nothing", "line 3: key b: sha256 is missing", "line 3: key b: it may do nothing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := apiKeyFile(t, tt.content)
			text := ""
			for _, fault := range auth.CheckAPIKeyFile(path, []string{"plain-key"}) {
				text += fault.Error() + "\n"
			}
			if strings.Contains(text, secret) || strings.Contains(text, hashOf("good")) {
				t.Errorf("a secret is quoted: %s", text)
			}
			rest := text
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("no %q in\n%s", want, text)
					continue
				}
				rest = after
			}
			if tt.want == nil && text != "" {
				t.Errorf("faults: %s", text)
			}
			a, err := auth.New(auth.Options{APIKeys: []string{"plain-key"}, APIKeyFile: path, Keys: newRing(t), Logger: slog.New(slog.DiscardHandler)})
			if (err == nil) != (tt.want == nil) {
				t.Errorf("New: %v", err)
			}
			if a != nil {
				a.Close()
			}
		})
	}
}

func newRing(t testing.TB) *auth.Keyring {
	t.Helper()
	ring, err := auth.NewKeyring()
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestHasNamedKeys(t *testing.T) {
	for content, want := range map[string]bool{
		"keys:\n": true, "# comment\n\n  keys: []": true, "{\n\"keys\": []}": true, "--- \nkeys:": true, "\ufeffkeys:": true,
		"": false, "sk_abc\nsk_def\n": false, "sk_abc,sk_def": false, "#sk_abc": false, "mykeys:": false, "keysandmore": false,
	} {
		if got := auth.HasNamedKeys([]byte(content)); got != want {
			t.Errorf("%q: %t", content, got)
		}
	}
}

// keyChange is what an Authority reports of a key.
type keyChange struct {
	name string // or its id
	fate auth.KeyFate
}

// journal is a log that a goroutine of the package writes and a test reads.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
}

// Every change of the file is in force within a second, and nothing but the keys that it is
// about is disturbed.
func TestAPIKeyFile_changes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log journal
		path := apiKeyFile(t, "keys:\n"+entry("worker", mayPublish)+entry("reader", mayRead)+entry("narrowed", "admin: true"))
		a := newAuthority(t, auth.Options{APIKeyFile: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		names := make(map[string]string)
		var mu sync.Mutex
		var reported []keyChange // guarded by mu
		a.OnKeyChange(func(id string, fate auth.KeyFate) {
			mu.Lock()
			defer mu.Unlock()
			reported = append(reported, keyChange{id, fate})
		})
		holders := make(map[string]*auth.Principal)
		for _, key := range []string{"worker", "reader", "narrowed"} {
			holders[key] = mustAccept(t, a, key)
			names[holders[key].KeyID] = key
		}
		change := func(content string, want ...keyChange) {
			t.Helper()
			rewrite(t, path, content)
			time.Sleep(time.Second)
			synctest.Wait()
			mu.Lock()
			changes := reported
			reported = nil
			mu.Unlock()
			for i := range changes {
				changes[i].name = names[changes[i].name]
			}
			slices.SortFunc(changes, func(a, b keyChange) int { return strings.Compare(a.name, b.name) })
			if !slices.Equal(changes, want) {
				t.Errorf("changes %v, want %v", changes, want)
			}
		}
		fates := func(want map[string]auth.KeyFate) {
			t.Helper()
			for key, fate := range want {
				if got := holders[key].KeyFate(); got != fate {
					t.Errorf("%s: fate %d, want %d", key, got, fate)
				}
			}
		}

		change("keys:\n" + entry("new", "admin: true") + entry("narrowed", "admin: true") + entry("reader", mayRead) + entry("worker", mayPublish))
		if p := mustAccept(t, a, "new"); !p.Admin {
			t.Errorf("the new key is %+v", p)
		}
		fates(map[string]auth.KeyFate{"worker": auth.KeyUnchanged, "reader": auth.KeyUnchanged, "narrowed": auth.KeyUnchanged})

		change("keys:\n"+entry("worker", mayPublish)+entry("narrowed", mayRead), keyChange{"", auth.KeyRemoved}, keyChange{"narrowed", auth.KeyChanged}, keyChange{"reader", auth.KeyRemoved})
		mustRefuse(t, a, "reader", "")
		mustRefuse(t, a, "new", "")
		mustAccept(t, a, "worker")
		fates(map[string]auth.KeyFate{"worker": auth.KeyUnchanged, "reader": auth.KeyRemoved, "narrowed": auth.KeyChanged})
		if _, err := a.Current(holders["reader"]); err == nil {
			t.Error("the removed key is still good")
		}
		now, err := a.Current(holders["narrowed"])
		if err != nil || now.Admin || now != mustAccept(t, a, "narrowed") {
			t.Errorf("the changed key is %+v, %v", now, err)
		}
		if now, err := a.Current(holders["worker"]); err != nil || now != holders["worker"] {
			t.Errorf("the other key is %+v, %v", now, err)
		}

		for _, broken := range []string{"", "keys: [", "keys:\n" + entry("worker", "admin: perhaps"), "sk_plain"} {
			change(broken)
			mustAccept(t, a, "worker")
			if n := strings.Count(log.String(), "changed file refused"); n != 1 {
				t.Errorf("%q is logged %d times: %s", broken, n, &log)
			}
			log.reset()
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mustAccept(t, a, "worker")
		if n := strings.Count(log.String(), "changed file refused"); n != 1 {
			t.Errorf("a missing file is logged %d times: %s", n, &log)
		}

		before := a.Stats().KeyRequests["worker"]
		change("keys:\n  - {name: worker, sha256: "+hashOf("worker-2")+", admin: true}\n", keyChange{"narrowed", auth.KeyRemoved}, keyChange{"worker", auth.KeyRemoved})
		mustRefuse(t, a, "worker", "")
		mustAccept(t, a, "worker-2")
		if n := a.Stats().KeyRequests; n["worker"] != before+1 || len(n) != 1 {
			t.Errorf("requests %v, %d before", n, before)
		}
		if !strings.Contains(log.String(), "API keys read again") || strings.Contains(log.String(), hashOf("worker-2")[:8]) {
			t.Errorf("log: %s", &log)
		}
		change("keys: []\n", keyChange{"", auth.KeyRemoved})
		mustRefuse(t, a, "worker-2", "")
	})
}

// A file is not read while it is being written: half of it may be a good file, too.
func TestAPIKeyFile_halfWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := "keys:\n" + entry("first", "admin: true") + entry("second", "admin: true")
		path := apiKeyFile(t, content)
		a := newAuthority(t, auth.Options{APIKeyFile: path})
		second := mustAccept(t, a, "second")
		var text strings.Builder
		for line := range strings.Lines(content) { // in place, with less than two looks between the lines
			text.WriteString(line)
			if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(150 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if second.KeyFate() != auth.KeyUnchanged || mustAccept(t, a, "second") != second {
			t.Error("the second key was gone for a moment")
		}
	})
}

func TestAuthority_namedKeys_none(t *testing.T) {
	a := newAuthority(t, auth.Options{APIKeys: []string{"plain-key"}})
	a.OnKeyChange(func(string, auth.KeyFate) {})
	p := mustAccept(t, a, "plain-key")
	if now, err := a.Current(p); now != p || err != nil || p.KeyFate() != auth.KeyUnchanged || len(a.Stats().KeyRequests) != 0 {
		t.Errorf("%+v, %v", now, err)
	}
}

func FuzzCheckAPIKeyFile(f *testing.F) {
	f.Add("keys:\n" + entry("a", mayPublish) + entry("b", "admin: true"))
	f.Add(`{"keys":[{"name":"a","sha256":"00","publish":[{"channel":"*","topics":[]}]}]}`)
	f.Add("keys: &k\n  - *k\n")
	f.Add("keys: [<<: {}]")
	path := filepath.Join(f.TempDir(), "keys.yaml")
	f.Fuzz(func(t *testing.T, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		faults := auth.CheckAPIKeyFile(path, nil)
		a, err := auth.New(auth.Options{APIKeyFile: path, Keys: newRing(t), CacheBytes: -1, Logger: slog.New(slog.DiscardHandler)})
		if (err == nil) != (len(faults) == 0) {
			t.Errorf("faults %v, but %v", faults, err)
		}
		if a != nil {
			a.Close()
		}
	})
}
