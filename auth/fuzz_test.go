package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// No credential that was not signed by the key is accepted, and none panics.
func FuzzAuthority_Authenticate(f *testing.F) {
	k, stranger := newKey(f, auth.EdDSA), newKey(f, auth.EdDSA)
	a := authorityOf(f, k.secret(f))
	f.Add(stranger.token(f, k.header(f), goodClaims()))
	f.Add(unsigned(f, k.header(f).with(object{"alg": "none"}), goodClaims(), func([]byte) []byte { return nil }))
	f.Add(`{"protected":"e30","payload":"e30","signature":""}`)
	f.Add("e30.e30.")
	f.Add("...")
	f.Fuzz(func(t *testing.T, credential string) {
		if p, err := a.Authenticate(t.Context(), credential); p != nil || !errors.Is(err, auth.ErrUnauthorized) {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}

// The same behind a good signature: header and claims are the fuzzer's, who
// shares the key. Whatever is accepted is bounded and legal.
func FuzzAuthority_Authenticate_signed(f *testing.F) {
	k := newKey(f, auth.HS256)
	a := newAuthority(f, auth.Options{Keys: loadKeys(f, keyFile(f, k.secret(f))), CacheBytes: 1})
	header := marshal(f, object{"alg": "HS256", "typ": "JWT"})
	f.Add(header, marshal(f, goodClaims()))
	f.Add(header, []byte(`{"iss":"sluice","aud":["sluice"],"exp":9e9,"publish":[{"channel":"user:1*","topics":["*"]}]}`))
	f.Fuzz(func(t *testing.T, header, claims []byte) {
		token := k.token(t, string(header), string(claims))
		p, err := a.Authenticate(t.Context(), token)
		if err != nil {
			if p != nil || !errors.Is(err, auth.ErrUnauthorized) {
				t.Errorf("got %+v, %v", p, err)
			}
			return
		}
		mustReadLikeTheStandardLibrary(t, p, claims)
		if p.Admin || p.ExpiresAt.IsZero() || len(p.Subject) > 255 || len(p.TokenID) > 255 || p.Issuer != "sluice" {
			t.Errorf("got %+v", p)
		}
		for _, grant := range append(p.Subscribe, p.Publish...) {
			if err := grant.Check(); err != nil {
				t.Error(err)
			}
		}
		if again, err := a.Authenticate(t.Context(), token); err != nil || again.Subject != p.Subject || len(again.Publish) != len(p.Publish) {
			t.Errorf("from the cache: %+v, %v", again, err)
		}
	})
}

// The package splits JSON by itself; encoding/json must see the same in it.
func mustReadLikeTheStandardLibrary(t *testing.T, p *auth.Principal, claims []byte) {
	t.Helper()
	var want map[string]any // keeps the case of names
	if err := json.Unmarshal(claims, &want); err != nil {
		t.Fatalf("accepted %q: %v", claims, err)
	}
	got := map[string]any{"sub": p.Subject, "jti": p.TokenID}
	for _, name := range []string{"sub", "jti"} {
		if s, _ := want[name].(string); s != got[name] {
			t.Errorf("%s: got %q, want %q", name, got[name], s)
		}
	}
	for name, grants := range map[string]schemas.Grants{"subscribe": p.Subscribe, "publish": p.Publish} {
		wanted, _ := want[name].([]any)
		if len(wanted) != len(grants) {
			t.Errorf("%s: got %v, want %v", name, grants, wanted)
			continue
		}
		for i, grant := range grants {
			if g, w := fmt.Sprint(grant.Channel, grant.Topics), fmt.Sprint(wanted[i].(map[string]any)["channel"], wanted[i].(map[string]any)["topics"]); g != w {
				t.Errorf("%s: got %s, want %s", name, g, w)
			}
		}
	}
}

// Grants in text: whatever is accepted says what the standard library reads in it, and
// is the same as the list by itself would be.
func FuzzAuthority_Authenticate_mapped(f *testing.F) {
	k := newKey(f, auth.EdDSA)
	issuer := foreignFile(f, k)
	plain := issuer
	plain.Issuer = "https://plain.test"
	issuer.Claims = auth.ClaimNames{Subject: "user", Subscribe: "https://a.test/read", Publish: "custom:write"}
	a := newAuthority(f, auth.Options{Issuers: []auth.Issuer{issuer, plain}, CacheBytes: -1})
	f.Add(`[{"channel":"user:7:*","topics":["*"]}]`, "user-7")
	f.Add(` [ ] `, "u")
	f.Add(`[{"channel":"c","topics":["a"],"topics":["*"]}]`, "")
	f.Add(`pipeline:42 user:7`, "u")
	f.Add(`"[]"`, "u")
	f.Fuzz(func(t *testing.T, grants, subject string) {
		claims := foreignClaims().with(object{"sub": "other", "user": subject, "subscribe": "ignored", "https://a.test/read": grants, "custom:write": []object{}})
		p, err := a.Authenticate(t.Context(), k.token(t, k.header(t), claims))
		if !json.Valid([]byte(grants)) || subject == "" {
			if err == nil {
				t.Fatalf("accepted %+v", p)
			}
			return
		}
		same, sameErr := a.Authenticate(t.Context(), k.token(t, k.header(t), foreignClaims().with(object{"iss": "https://plain.test", "sub": subject, "subscribe": json.RawMessage(grants)})))
		if (err == nil) != (sameErr == nil) {
			t.Fatalf("as text %v, as a list %v", err, sameErr)
		}
		if err == nil && (p.Subject != same.Subject || fmt.Sprint(p.Subscribe) != fmt.Sprint(same.Subscribe)) {
			t.Errorf("as text %+v, as a list %+v", p, same)
		}
	})
}

// What is loaded is safe to use: no other scheme, no secret's algorithm.
func FuzzLoadIssuers(f *testing.F) {
	f.Add("issuers:\n  - issuer: https://a.test\n    audience: app\n    algorithms: [RS256, ES256]\n    jwks_url: https://a.test/jwks.json\n")
	f.Add(`{"issuers":[{"issuer":"b","audience":"app","algorithms":["EdDSA"],"jwks_file":"b.json"}]}`)
	f.Add("issuers: &a [*a]")
	f.Add(`{"issuers":[{"issuer":"c","audience_optional":true,"algorithms":["PS256"],"jwks_file":"c.json","max_ttl":"1h","claims":{"sub":"user","subscribe":"https://c.test/read","publish":"custom:write"}}]}`)
	path := filepath.Join(f.TempDir(), "issuers.yaml")
	f.Fuzz(func(t *testing.T, file string) {
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		issuers, err := auth.LoadIssuers(path)
		if err != nil {
			return
		}
		for _, issuer := range issuers {
			if issuer.Issuer == "" || issuer.Audience == "" && !issuer.AudienceOptional || len(issuer.Algorithms) == 0 || (issuer.JWKSURL == "") == (issuer.JWKSFile == "") {
				t.Errorf("got %+v", issuer)
			}
			if u := strings.ToLower(issuer.JWKSURL); u != "" && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
				t.Errorf("URL %q", u)
			}
			if names := issuer.Claims; slices.Contains([]string{"exp", "iat", "jti", "aud", "iss"}, names.Subject) || names.Subscribe != "" && names.Subscribe == names.Publish {
				t.Errorf("claims %+v", names)
			}
			if issuer.MaxTTL != 0 && (issuer.MaxTTL < auth.MinTTL || issuer.MaxTTL > auth.MaxTTLLimit) {
				t.Errorf("max_ttl %v", issuer.MaxTTL)
			}
			for _, alg := range issuer.Algorithms {
				if alg == auth.HS256 || alg == "none" {
					t.Errorf("algorithm %q", alg)
				}
			}
		}
	})
}

// A private key file can be any file; it never panics and is never quoted.
func FuzzLoadKeyring(f *testing.F) {
	for _, alg := range []auth.Algorithm{auth.EdDSA, auth.ES256, auth.HS256} {
		f.Add(marshal(f, keySetOf(newKey(f, alg).secret(f))))
	}
	path := filepath.Join(f.TempDir(), "keys.json")
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		ring, err := auth.LoadKeyring(path)
		if err != nil {
			return
		}
		a := newAuthority(t, auth.Options{Keys: ring})
		mustAccept(t, a, mint(t, a, 0).Token)
		if strings.Contains(string(a.JWKS()), `"d"`) || strings.Contains(string(a.JWKS()), `"k"`) {
			t.Errorf("published: %s", a.JWKS())
		}
	})
}
