package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// key is a key pair of a test. Its tokens and its JWKs are made here with the
// standard library alone, so that a fault of the package cannot hide itself.
type key struct {
	alg     auth.Algorithm
	private any
}

func newKey(t testing.TB, alg auth.Algorithm) key {
	t.Helper()
	var private any
	var err error
	switch alg {
	case auth.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case auth.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case auth.RS256, auth.PS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case auth.HS256:
		secret := make([]byte, 32)
		_, err = rand.Read(secret)
		private = secret
	}
	if err != nil {
		t.Fatal(err)
	}
	return key{alg: alg, private: private}
}

// signAs signs with whatever algorithm it is told to.
func (k key) signAs(t testing.TB, alg auth.Algorithm, input []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(input)
	var signature []byte
	var err error
	switch alg {
	case auth.EdDSA:
		signature = ed25519.Sign(k.private.(ed25519.PrivateKey), input)
	case auth.ES256:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, k.private.(*ecdsa.PrivateKey), digest[:])
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case auth.RS256:
		signature, err = rsa.SignPKCS1v15(rand.Reader, k.private.(*rsa.PrivateKey), crypto.SHA256, digest[:])
	case auth.PS256:
		signature, err = rsa.SignPSS(rand.Reader, k.private.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
	case auth.HS256:
		signature = hmacSHA256(k.private.([]byte), input)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func hmacSHA256(secret, input []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(input)
	return mac.Sum(nil)
}

// object is a JSON object.
type object map[string]any

// with returns a copy of o with more members; a nil value removes one.
func (o object) with(more object) object {
	all := maps.Clone(o)
	for name, value := range more {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// public returns the JWK without private part, kid or alg.
func (k key) public(t testing.TB) object {
	t.Helper()
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		return object{"kty": "OKP", "crv": "Ed25519", "x": b64(private.Public().(ed25519.PublicKey))}
	case *ecdsa.PrivateKey:
		point, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return object{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case *rsa.PrivateKey:
		return object{"kty": "RSA", "n": b64(private.N.Bytes()), "e": b64(big.NewInt(int64(private.E)).Bytes())}
	}
	return object{"kty": "oct"}
}

// secret returns the JWK as it stands in a key file.
func (k key) secret(t testing.TB) object {
	t.Helper()
	jwk := k.public(t).with(object{"alg": k.alg})
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		jwk["d"] = b64(private.Seed())
	case *ecdsa.PrivateKey:
		d, err := private.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		jwk["d"] = b64(d)
	case *rsa.PrivateKey:
		jwk["d"] = b64(private.D.Bytes())
		jwk["p"], jwk["q"] = b64(private.Primes[0].Bytes()), b64(private.Primes[1].Bytes())
		jwk["dp"], jwk["dq"] = b64(private.Precomputed.Dp.Bytes()), b64(private.Precomputed.Dq.Bytes())
		jwk["qi"] = b64(private.Precomputed.Qinv.Bytes())
	case []byte:
		jwk["k"] = b64(private)
	}
	return jwk
}

// kid is the thumbprint of RFC 7638: the required members in order of their
// names, which is the order in which encoding/json writes a map.
func (k key) kid(t testing.TB) string {
	t.Helper()
	sum := sha256.Sum256(marshal(t, k.public(t)))
	return b64(sum[:])
}

// header is that of an own token.
func (k key) header(t testing.TB) object {
	t.Helper()
	return object{"alg": k.alg, "kid": k.kid(t), "typ": "at+jwt"}
}

// token signs header and claims with the key's own algorithm.
func (k key) token(t testing.TB, header, claims any) string {
	t.Helper()
	return k.tokenAs(t, k.alg, header, claims)
}

func (k key) tokenAs(t testing.TB, alg auth.Algorithm, header, claims any) string {
	t.Helper()
	input := b64(bytesOf(t, header)) + "." + b64(bytesOf(t, claims))
	return input + "." + b64(k.signAs(t, alg, []byte(input)))
}

// bytesOf lets a test write JSON as text where the text matters.
func bytesOf(t testing.TB, v any) []byte {
	t.Helper()
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	return marshal(t, v)
}

// goodClaims are claims that this server accepts.
func goodClaims() object {
	now := time.Now()
	return object{
		"iss": "sluice", "aud": "sluice", "sub": "user-7", "jti": "token-1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"subscribe": []object{{"channel": "pipeline:*", "topics": []string{"*"}}},
	}
}

func keySetOf(keys ...object) object { return object{"keys": keys} }

// writeJSON replaces the file at once, as an administrator's tool would.
func writeJSON(t testing.TB, path string, v any) {
	t.Helper()
	if err := os.WriteFile(path+".new", bytesOf(t, v), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func keyFile(t testing.TB, keys ...object) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	writeJSON(t, path, keySetOf(keys...))
	return path
}

func newAuthority(t testing.TB, o auth.Options) *auth.Authority {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Keys == nil {
		ring, err := auth.NewKeyring()
		if err != nil {
			t.Fatal(err)
		}
		o.Keys = ring
	}
	a, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// authorityOf has the given keys for its own.
func authorityOf(t testing.TB, keys ...object) *auth.Authority {
	t.Helper()
	return newAuthority(t, auth.Options{Keys: loadKeys(t, keyFile(t, keys...))})
}

func loadKeys(t testing.TB, path string) *auth.Keyring {
	t.Helper()
	ring, err := auth.LoadKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mint(t testing.TB, a *auth.Authority, ttl time.Duration) auth.Token {
	t.Helper()
	token, err := a.Mint(auth.TokenRequest{Subject: "user-7", Subscribe: schemas.AllowAll(), TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return token
}
