package auth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
)

func TestLoadKeyring_refuses(t *testing.T) {
	ed, ec, rs, oct := newKey(t, auth.EdDSA), newKey(t, auth.ES256), newKey(t, auth.RS256), newKey(t, auth.HS256)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := ed.secret(t)
	tests := []struct {
		name  string
		bad   object
		cause string
	}{
		{"weak RSA", key{auth.RS256, weak}.secret(t), "1024 bits"},
		{"the same key twice", good.with(object{"nbf": 5}), "has the kid of key 0"},
		{"no private part", ec.secret(t).with(object{"d": nil}), "no private part"},
		{"no private part, RSA", rs.secret(t).with(object{"d": nil}), "no private part"},
		{"no primes", rs.secret(t).with(object{"p": nil, "q": nil}), "not a valid key"},
		{"no alg", ec.secret(t).with(object{"alg": nil}), "is not one of"},
		{"alg none", ec.secret(t).with(object{"alg": "none"}), "is not one of"},
		{"alg ES384", ec.secret(t).with(object{"alg": "ES384"}), "is not one of"},
		{"HS256 for a public key", ec.secret(t).with(object{"alg": "HS256"}), "does not fit"},
		{"RS256 for an oct key", oct.secret(t).with(object{"alg": "RS256"}), "does not fit"},
		{"EdDSA for an EC key", ec.secret(t).with(object{"alg": "EdDSA"}), "does not fit"},
		{"another curve", ec.secret(t).with(object{"crv": "P-384"}), "does not fit"},
		{"X25519", newKey(t, auth.EdDSA).secret(t).with(object{"crv": "X25519"}), "does not fit"},
		{"short secret", oct.secret(t).with(object{"k": b64(make([]byte, 31))}), "fewer than 32 bytes"},
		{"no secret", oct.secret(t).with(object{"k": nil}), "not a valid key"},
		{"halves of two keys", ec.secret(t).with(object{"d": newKey(t, auth.ES256).secret(t)["d"]}), "do not belong together"},
		{"halves of two Ed25519 keys", newKey(t, auth.EdDSA).secret(t).with(object{"d": good["d"]}), "not a valid key"},
		{"not on the curve", ec.secret(t).with(object{"x": b64(make([]byte, 32))}), "not a valid key"},
		{"Ed25519 of the wrong length", newKey(t, auth.EdDSA).secret(t).with(object{"x": "AAAA"}), "not a valid key"},
		{"for encryption", ec.secret(t).with(object{"use": "enc"}), "use is not"},
		{"kid that is not its thumbprint", ec.secret(t).with(object{"kid": "mine"}), "not its RFC 7638 thumbprint"},
		{"nbf a string", ec.secret(t).with(object{"nbf": "0"}), "nbf is not"},
		{"nbf with a fraction", ec.secret(t).with(object{"nbf": 1.5}), "nbf is not"},
		{"nbf null", ec.secret(t).with(object{"nbf": json.RawMessage("null")}), "nbf is not"},
		{"kid of a secret not ASCII", oct.secret(t).with(object{"kid": "é"}), "kid is not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := keyFile(t, good, tt.bad)
			_, err := auth.LoadKeyring(path)
			if err == nil || !strings.Contains(err.Error(), tt.cause) || !strings.Contains(err.Error(), path+": key 1") {
				t.Fatalf("got %v; want %q, the file and the index", err, tt.cause)
			}
			mustNotQuote(t, err.Error(), good, tt.bad)
		})
	}
}

// mustNotQuote fails when text holds a private member of one of the JWKs.
func mustNotQuote(t *testing.T, text string, jwks ...object) {
	t.Helper()
	for _, jwk := range jwks {
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if s, ok := jwk[member].(string); ok && len(s) > 8 && strings.Contains(text, s[:8]) {
				t.Errorf("%q quotes the member %s", text, member)
			}
		}
	}
}

func TestLoadKeyring_refusesFiles(t *testing.T) {
	ed := newKey(t, auth.EdDSA).secret(t)
	later := time.Now().Add(time.Hour).Unix()
	tests := []struct {
		name  string
		file  any
		cause string
	}{
		{"empty", "", "not a JSON object"},
		{"not JSON", "-----BEGIN PRIVATE KEY-----", "not a JSON object"},
		{"a single key", ed, "keys: it is not a list"},
		{"no keys", keySetOf(), "not a list"}, // null
		{"an empty list", `{"keys":[]}`, "there is no key"},
		{"a key that is null", `{"keys":[null]}`, "key 0"},
		{"two that sign at once", keySetOf(ed, newKey(t, auth.EdDSA).secret(t)), "would sign from the same moment"},
		{"none that signs yet", keySetOf(ed.with(object{"nbf": later})), "no key signs yet"},
		{"too long", `{"keys":[]}` + strings.Repeat(" ", 1<<20), "more than 1048576 bytes"},
		{"a member twice", `{"keys":[{"kty":"oct","kty":"oct"}]}`, "stands twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.json")
			writeJSON(t, path, tt.file)
			if _, err := auth.LoadKeyring(path); err == nil || !strings.Contains(err.Error(), tt.cause) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v; want %q", err, tt.cause)
			}
		})
	}
	if _, err := auth.LoadKeyring(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}

func TestKeyringFromSecret(t *testing.T) {
	if _, err := auth.KeyringFromSecret(make([]byte, 31)); err == nil {
		t.Error("31 bytes accepted")
	}
	k := newKey(t, auth.HS256)
	ring, err := auth.KeyringFromSecret(k.private.([]byte))
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, auth.Options{Keys: ring})
	mustAccept(t, a, mint(t, a, time.Minute).Token)
	mustAccept(t, a, k.token(t, object{"alg": "HS256"}, goodClaims()))
	if got := string(a.JWKS()); got != `{"keys":[]}` {
		t.Errorf("published: %s", got)
	}
}

// Another server that shares the secret may name it as it likes.
func TestLoadKeyring_secretWithName(t *testing.T) {
	k := newKey(t, auth.HS256)
	a := authorityOf(t, k.secret(t).with(object{"kid": "shared 1"}))
	mustAccept(t, a, k.token(t, object{"alg": "HS256", "kid": "shared 1"}, goodClaims()))
}

func TestAuthority_JWKS(t *testing.T) {
	keys := []key{newKey(t, auth.EdDSA), newKey(t, auth.ES256), newKey(t, auth.RS256), newKey(t, auth.PS256), newKey(t, auth.HS256)}
	var secrets, want []object
	for i, k := range keys {
		secrets = append(secrets, k.secret(t).with(object{"nbf": time.Now().Add(-time.Duration(len(keys)-i) * time.Minute).Unix()}))
		if k.alg != auth.HS256 {
			want = append(want, k.public(t).with(object{"kid": k.kid(t), "alg": k.alg, "use": "sig"}))
		}
	}
	got := authorityOf(t, secrets...).JWKS()
	var set object
	if err := json.Unmarshal(got, &set); err != nil {
		t.Fatal(err)
	}
	if g, w := string(marshal(t, set)), string(marshal(t, keySetOf(want...))); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
	mustNotQuote(t, string(got), secrets...)
}

// The key and its thumbprint are those of RFC 8037, appendix A.
func TestAuthority_JWKS_thumbprintOfTheRFC(t *testing.T) {
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	a := authorityOf(t, key{auth.EdDSA, ed25519.NewKeyFromSeed(seed)}.secret(t))
	if !strings.Contains(string(a.JWKS()), `"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"`) {
		t.Errorf("got %s", a.JWKS())
	}
}

func TestWriteKeyFile(t *testing.T) {
	for _, alg := range auth.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			ring, err := auth.GenerateKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "keys.json")
			if err := auth.WriteKeyFile(path, ring); err != nil {
				t.Fatal(err)
			}
			if loaded := loadKeys(t, path); loaded.String() != ring.String() {
				t.Errorf("got %v, want %v", loaded, ring)
			}
			if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			before, _ := os.ReadFile(path)
			if err := auth.WriteKeyFile(path, ring); !errors.Is(err, os.ErrExist) {
				t.Errorf("second time: got %v, want os.ErrExist", err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

// Of several that write one file at once, one does, and its file is whole.
func TestWriteKeyFile_atOnce(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "keys.json")
		var writers sync.WaitGroup
		var mu sync.Mutex
		var written []string // guarded by mu
		for range 8 {
			ring, err := auth.GenerateKey(auth.EdDSA)
			if err != nil {
				t.Fatal(err)
			}
			writers.Go(func() {
				err := auth.WriteKeyFile(path, ring)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					written = append(written, ring.String())
				} else if !errors.Is(err, os.ErrExist) && !strings.Contains(err.Error(), "somebody writes it now") {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if got := loadKeys(t, path).String(); len(written) != 1 || got != written[0] {
			t.Fatalf("%v were written, the file has %s", written, got)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("left behind: %v", entries)
		}
	}
}

// An empty file is what a run leaves that was stopped: it is not taken for keys, nor
// for somebody else's to be written over.
func TestWriteKeyFile_empty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := auth.NewKeyring()
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.WriteKeyFile(path, ring); err == nil || errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), path+" is empty") {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("it was written: %v", err)
	}
	for _, bad := range []string{filepath.Join(path, "below"), filepath.Dir(path)} {
		if err := auth.WriteKeyFile(bad, ring); err == nil {
			t.Errorf("%s was written", bad)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// Editors of one system put a mark before a text.
func TestLoadKeyring_byteOrderMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	writeJSON(t, path, "\ufeff"+string(marshal(t, keySetOf(newKey(t, auth.EdDSA).secret(t))))+"\r\n")
	loadKeys(t, path)
}

func TestGenerateKey_unknownAlgorithm(t *testing.T) {
	for _, alg := range []auth.Algorithm{"", "none", "eddsa", "RS512"} {
		if _, err := auth.GenerateKey(alg); err == nil {
			t.Errorf("%q accepted", alg)
		}
	}
}
