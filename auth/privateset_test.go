package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
)

// Two servers that share the keys accept each other's tokens.
func TestKeyring_PrivateSet(t *testing.T) {
	for _, alg := range auth.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			ring, err := auth.GenerateKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			data, err := ring.PrivateSet()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "keys.json")
			if err := auth.WriteKeyFile(path, ring); err != nil {
				t.Fatal(err)
			}
			if file, _ := os.ReadFile(path); string(file) != string(data) {
				t.Error("it is not what WriteKeyFile writes")
			}
			same, err := auth.ParseKeyring(data)
			if err != nil {
				t.Fatal(err)
			}
			here, there := newAuthority(t, auth.Options{Keys: ring}), newAuthority(t, auth.Options{Keys: same})
			mustAccept(t, there, mint(t, here, time.Minute).Token)
			mustAccept(t, here, mint(t, there, time.Minute).Token)
			if string(here.JWKS()) != string(there.JWKS()) {
				t.Error("they publish different keys")
			}
		})
	}
}

// What a file may not hold may not be kept elsewhere either, and no error quotes
// a key.
func TestParseKeyring_refuses(t *testing.T) {
	good := newKey(t, auth.EdDSA).secret(t)
	bad := newKey(t, auth.ES256).secret(t).with(object{"alg": "none"})
	_, err := auth.ParseKeyring(marshal(t, keySetOf(good, bad)))
	if err == nil || !strings.Contains(err.Error(), "the kept keys: key 1") {
		t.Fatalf("got %v", err)
	}
	mustNotQuote(t, err.Error(), good, bad)
	for _, data := range []string{"", "{}", `{"keys":[]}`} {
		if _, err := auth.ParseKeyring([]byte(data)); err == nil {
			t.Errorf("%q accepted", data)
		}
	}
}
