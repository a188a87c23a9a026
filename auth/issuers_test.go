package auth_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/auth"
)

const foreignName = "https://login.test"

func foreignClaims() object { return goodClaims().with(object{"iss": foreignName, "aud": "app"}) }

// published is the JWK as an issuer publishes it.
func (k key) published(t testing.TB) object {
	t.Helper()
	return k.public(t).with(object{"kid": k.kid(t), "alg": k.alg, "use": "sig"})
}

func foreignFile(t testing.TB, keys ...key) auth.Issuer {
	t.Helper()
	var jwks []object
	for _, k := range keys {
		jwks = append(jwks, k.published(t))
	}
	return auth.Issuer{Issuer: foreignName, Audience: "app", Algorithms: []auth.Algorithm{auth.EdDSA, auth.ES256, auth.RS256}, JWKSFile: keyFile(t, jwks...)}
}

func TestAuthority_Authenticate_foreign(t *testing.T) {
	own, foreign, stranger := newKey(t, auth.EdDSA), newKey(t, auth.RS256), newKey(t, auth.EdDSA)
	third := foreignFile(t, stranger)
	third.Issuer = "https://third.test"
	a := newAuthority(t, auth.Options{
		Keys:    loadKeys(t, keyFile(t, own.secret(t))),
		Issuers: []auth.Issuer{foreignFile(t, foreign), third},
	})
	p := mustAccept(t, a, foreign.token(t, foreign.header(t), foreignClaims()))
	if p.Issuer != foreignName || p.Subject != "user-7" || p.Admin {
		t.Errorf("got %+v", p)
	}
	noID := mustAccept(t, a, foreign.token(t, foreign.header(t), foreignClaims().with(object{"jti": nil})))
	if noID.TokenID != "" {
		t.Errorf("got %+v", noID)
	}

	noKid := func(k key) object { return k.header(t).with(object{"kid": nil}) }
	attacks := []struct{ name, token, cause string }{
		{"claims the own iss", foreign.token(t, foreign.header(t), goodClaims()), "has no key with kid"},
		{"claims the own iss without kid", foreign.token(t, noKid(foreign), goodClaims()), "is not EdDSA"},
		{"own token that claims a foreign iss", own.token(t, own.header(t), foreignClaims()), "has no key with kid"},
		{"signed by another issuer's key", stranger.token(t, stranger.header(t), foreignClaims()), "has no key with kid"},
		{"signed by another issuer's key without kid", stranger.token(t, noKid(stranger), foreignClaims()), "is not RS256"},
		{"signed by another issuer's key with a borrowed kid", stranger.token(t, foreign.header(t).with(object{"alg": "EdDSA"}), foreignClaims()), "is not RS256"},
		{"a life of a year", foreign.token(t, foreign.header(t), foreignClaims().with(object{"exp": time.Now().Add(9000 * time.Hour).Unix()})), "exp is more than 24h0m0s away"},
		{"own audience", foreign.token(t, foreign.header(t), foreignClaims().with(object{"aud": "sluice"})), "aud is not"},
		{"no audience", foreign.token(t, foreign.header(t), foreignClaims().with(object{"aud": nil})), "aud is neither"},
		{"no exp", foreign.token(t, foreign.header(t), foreignClaims().with(object{"exp": nil})), "no exp"},
		{"PS256 with an RS256 key", foreign.tokenAs(t, auth.PS256, foreign.header(t).with(object{"alg": "PS256"}), foreignClaims()), "is not RS256"},
	}
	for _, tt := range attacks {
		t.Run(tt.name, func(t *testing.T) { mustRefuse(t, a, tt.token, tt.cause) })
	}
}

// A set in which almost everything is wrong still serves its good keys.
func TestAuthority_foreignSet_badKeysAreLeftOut(t *testing.T) {
	good, bare, second := newKey(t, auth.EdDSA), newKey(t, auth.RS256), newKey(t, auth.ES256)
	secret, private, other := newKey(t, auth.HS256), newKey(t, auth.ES256), newKey(t, auth.EdDSA)
	weak := newKey(t, auth.RS256).published(t).with(object{"n": b64(bytes.Repeat([]byte{0xff}, 128)), "kid": "weak"})
	named := newKey(t, auth.RS256)
	issuer := foreignFile(t)
	issuer.Algorithms = []auth.Algorithm{auth.EdDSA, auth.PS256, auth.RS256, auth.ES256}
	issuer.JWKSFile = keyFile(t,
		object{"kty": "nonsense", "kid": "n"}, object{"kty": 1}, object{},
		good.published(t),
		other.published(t).with(object{"kid": good.kid(t)}), // duplicate: the first one stays
		secret.secret(t).with(object{"kid": "secret"}),
		private.secret(t).with(object{"kid": "private"}),
		weak,
		second.published(t).with(object{"use": "enc", "kid": "enc"}),
		second.published(t).with(object{"x": "AAAA", "kid": "bad-point"}),
		other.published(t).with(object{"x": "AAAA", "kid": "short"}),
		second.published(t).with(object{"alg": nil, "kid": nil, "x5c": []int{1}}), // named by its thumbprint
		named.published(t), // its own alg, though PS256 comes first and would fit
		other.published(t).with(object{"alg": "Ed25519"}),
		bare.published(t).with(object{"alg": nil}), // pinned to PS256, the first that fits
	)
	var log bytes.Buffer
	a := newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustAccept(t, a, good.token(t, good.header(t), foreignClaims()))
	mustAccept(t, a, second.token(t, second.header(t), foreignClaims()))
	mustAccept(t, a, bare.tokenAs(t, auth.PS256, bare.header(t).with(object{"alg": "PS256"}), foreignClaims()))
	mustAccept(t, a, named.token(t, named.header(t), foreignClaims()))
	mustRefuse(t, a, other.token(t, other.header(t), foreignClaims()), "has no key with kid")
	mustRefuse(t, a, bare.token(t, bare.header(t), foreignClaims()), "is not PS256")
	mustRefuse(t, a, other.token(t, other.header(t).with(object{"kid": good.kid(t)}), foreignClaims()), "signature is wrong")
	for _, kid := range []string{"secret", "private", "weak", "enc", "bad-point", "short", "n"} {
		mustRefuse(t, a, good.token(t, good.header(t).with(object{"kid": kid}), foreignClaims()), "has no key with kid")
	}
	mustRefuse(t, a, secret.token(t, object{"alg": "HS256", "kid": "secret"}, foreignClaims()), "has no key with kid")
	if n := strings.Count(log.String(), "left out"); n != 11 {
		t.Errorf("%d keys left out:\n%s", n, log.String())
	}
	mustNotQuote(t, log.String(), secret.secret(t), private.secret(t))
}

func TestAuthority_foreignFile_changes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newKey(t, auth.EdDSA), newKey(t, auth.ES256)
		issuer := foreignFile(t, first)
		a := newAuthority(t, auth.Options{Issuers: []auth.Issuer{issuer}})
		byFirst, bySecond := first.token(t, first.header(t), foreignClaims()), second.token(t, second.header(t), foreignClaims())
		ownToken := mint(t, a, time.Hour).Token
		for _, token := range []string{byFirst, byFirst, ownToken} {
			mustAccept(t, a, token)
		}
		for _, broken := range []string{`{"keys":[]}`, `{"keys":[{"kty":"oct"}]}`, `{}`, ``} {
			writeJSON(t, issuer.JWKSFile, broken)
			time.Sleep(5 * time.Second)
			mustAccept(t, a, byFirst)
		}
		writeJSON(t, issuer.JWKSFile, keySetOf(second.published(t)))
		time.Sleep(5 * time.Second)
		mustRefuse(t, a, byFirst, "has no key with kid")
		mustAccept(t, a, bySecond)
		hits := a.Stats().CacheHits
		mustAccept(t, a, ownToken) // not touched by another issuer's change
		if a.Stats().CacheHits != hits+1 {
			t.Error("the own token was verified again")
		}
	})
}

func TestNew_foreignFileMissing(t *testing.T) {
	ring, err := auth.NewKeyring()
	if err != nil {
		t.Fatal(err)
	}
	issuer := foreignFile(t, newKey(t, auth.EdDSA))
	issuer.JWKSFile += ".none"
	if a, err := auth.New(auth.Options{Keys: ring, Issuers: []auth.Issuer{issuer}}); err == nil || a != nil {
		t.Errorf("got %v, %v", a, err)
	}
}

func TestLoadIssuers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "issuers")
	want := []auth.Issuer{
		{Issuer: "https://a.test", Audience: "app", Algorithms: []auth.Algorithm{"RS256", "ES256"}, JWKSURL: "https://a.test/jwks.json", Claims: auth.ClaimNames{Subject: "user", Subscribe: "https://a.test/read"}},
		{Issuer: "c", AudienceOptional: true, Algorithms: []auth.Algorithm{"EdDSA"}, JWKSFile: "/c.json"},
		{Issuer: "b", Audience: "app", Algorithms: []auth.Algorithm{"EdDSA"}, JWKSFile: filepath.Join(dir, "b.json"), MaxTTL: time.Hour},
	}
	files := map[string]string{
		"YAML": `
issuers:
  - issuer: https://a.test
    audience: app
    algorithms: [RS256, ES256]
    jwks_url: https://a.test/jwks.json
    claims: {sub: user, subscribe: "https://a.test/read"}
  - {issuer: c, audience_optional: true, algorithms: [EdDSA], jwks_file: /c.json}
  - {issuer: b, audience: app, algorithms: [EdDSA], jwks_file: b.json, max_ttl: 1h}
`,
		"JSON": `{"issuers": [
	{"issuer": "https://a.test", "audience": "app", "algorithms": ["RS256", "ES256"], "jwks_url": "https://a.test/jwks.json", "claims": {"sub": "user", "subscribe": "https://a.test/read"}},
	{"issuer": "c", "audience_optional": true, "algorithms": ["EdDSA"], "jwks_file": "/c.json"},
	{"issuer": "b", "audience": "app", "algorithms": ["EdDSA"], "jwks_file": "b.json", "max_ttl": "60m"}
]}`,
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := auth.LoadIssuers(path); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestLoadIssuers_refuses(t *testing.T) {
	one := func(more string) string {
		return "issuers: [{issuer: a, audience: b, algorithms: [ES256], " + more + "}]"
	}
	tests := []struct {
		name, file string
		causes     []string
	}{
		{"empty", "", []string{"no issuers"}},
		{"no list", "issuers:", []string{"no issuers"}},
		{"not YAML", "\t{", []string{"yaml"}},
		{"a string", "hello", []string{"yaml"}},
		{"unknown field", one("jwks_url: https://a.test/, jwks_uri: x"), []string{"jwks_uri"}},
		{"unknown field at the top", "issuer: a", []string{"issuer"}},
		{"two documents", one("jwks_url: https://a.test/") + "\n---\n" + one("jwks_url: https://a.test/"), []string{"more than one document"}},
		{"all at once", "issuers: [{}, {issuer: a, audience: b, algorithms: [HS256, none], jwks_url: https://a.test/, jwks_file: x}]", []string{
			"issuer 0: issuer is missing", "issuer 0: audience is missing", "issuer 0: algorithms are missing", "issuer 0: either jwks_url or jwks_file",
			`issuer 1: algorithms: "HS256"`, `issuer 1: algorithms: "none"`, "issuer 1: either jwks_url or jwks_file",
		}},
		{"twice", "issuers: [{issuer: a, audience: b, algorithms: [ES256], jwks_file: x}, {issuer: a, audience: c, algorithms: [ES256], jwks_file: y}]", []string{`issuer 1: issuer "a" stands twice`}},
		{"http", one("jwks_url: http://a.test/"), []string{"only https"}},
		{"http to a private address", one("jwks_url: http://10.0.0.1/"), []string{"only https"}},
		{"http to a name like loopback", one("jwks_url: http://localhost.test/"), []string{"only https"}},
		{"max_ttl without a unit", one("jwks_file: x, max_ttl: 3600"), []string{"into time.Duration"}},
		{"claims that are unknown", one("jwks_file: x, claims: {subject: s}"), []string{"subject"}},
		{"a claim that is two things", one("jwks_file: x, claims: {subscribe: s, publish: s}"), []string{`claims: "s" is to be two things`}},
		{"a claim that is another by default", one("jwks_file: x, claims: {publish: subscribe}"), []string{`claims: "subscribe" is to be two things`}},
		{"a claim that has a meaning", one("jwks_file: x, claims: {sub: jti, publish: aud}"), []string{`claims: "jti" has a meaning of its own`, `claims: "aud" has a meaning of its own`}},
		{"max_ttl too short", one("jwks_file: x, max_ttl: 3ms"), []string{"max_ttl: 3ms is not between 1s and 8784h0m0s"}},
		{"max_ttl too long", one("jwks_file: x, max_ttl: 8785h"), []string{"max_ttl: 8785h0m0s is not between"}},
		{"max_ttl negative", one("jwks_file: x, max_ttl: -1h"), []string{"max_ttl: -1h0m0s is not between"}},
		{"max_ttl no time", one("jwks_file: x, max_ttl: long"), []string{"time.Duration"}},
		{"file URL", one("jwks_url: file:///etc/passwd"), []string{"absolute URL"}},
		{"no host", one("jwks_url: https:///x"), []string{"absolute URL"}},
		{"password", one("jwks_url: https://u:hunter2@a.test/"), []string{"password"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "issuers.yaml")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			issuers, err := auth.LoadIssuers(path)
			if err == nil {
				t.Fatalf("accepted: %+v", issuers)
			}
			for _, cause := range append(tt.causes, path) {
				if !strings.Contains(err.Error(), cause) {
					t.Errorf("%q is not in %q", cause, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error quotes a password")
			}
		})
	}
	for _, good := range []string{"http://localhost:1/", "http://127.0.0.9/", "http://[::1]:8080/x", "HTTPS://a.test/"} {
		path := filepath.Join(t.TempDir(), "issuers.yaml")
		if err := os.WriteFile(path, []byte(one("jwks_url: '"+good+"'")), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := auth.LoadIssuers(path); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
