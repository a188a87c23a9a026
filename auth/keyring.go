package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Keyring has the own keys of a server, which sign its tokens. It never changes; an
// [Authority] with a keyring from a file reads a changed file into a new one.
//
// One key signs at a time: the one with the latest "nbf" that is not in the future. The
// others are published and verify tokens: future keys from the beginning, former keys
// until the last token that they may have signed has expired.
type Keyring struct {
	path string        // "" if it is not from a file
	keys []*signingKey // by signsFrom, all different; at least one
}

// NewKeyring returns a keyring with a random [EdDSA] key. Its tokens become invalid when the
// process ends, unless [Keyring.PrivateSet] is stored.
func NewKeyring() (*Keyring, error) { return GenerateKey(EdDSA) }

// GenerateKey returns a keyring with one random key, which signs immediately.
func GenerateKey(alg Algorithm) (*Keyring, error) {
	key, err := generate(alg, time.Time{})
	if err != nil {
		return nil, err
	}
	return newKeyring([]*signingKey{key})
}

// KeyringFromSecret returns a keyring with one [HS256] key. The secret must have at least 32
// bytes and be as random as a key. It is never published.
func KeyringFromSecret(secret []byte) (*Keyring, error) {
	document, err := json.Marshal(map[string]string{
		"kty": "oct", "alg": string(HS256), "k": base64.RawURLEncoding.EncodeToString(secret),
	})
	if err != nil {
		return nil, err
	}
	key, err := parsePrivateJWK(document)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return newKeyring([]*signingKey{key})
}

// newKeyring sorts the keys and refuses those between which the signing key is ambiguous.
func newKeyring(keys []*signingKey) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key")
	}
	slices.SortStableFunc(keys, func(a, b *signingKey) int { return a.signsFrom.Compare(b.signsFrom) })
	for i, key := range keys[1:] {
		if key.signsFrom.Equal(keys[i].signsFrom) {
			return nil, fmt.Errorf("keys %s and %s would sign from the same moment; give one another nbf", keys[i].kid, key.kid)
		}
	}
	if keys[0].signsFrom.After(time.Now()) {
		return nil, errors.New("no key signs yet: every nbf is in the future")
	}
	return &Keyring{keys: keys}, nil
}

// KeyInfo is the part of a key that may be shown.
type KeyInfo struct {
	ID        string // its kid: the RFC 7638 thumbprint, or the name of a secret
	Algorithm Algorithm
	SignsFrom time.Time // zero: from the beginning
}

// Keys describes the keys in the order in which they sign.
func (r *Keyring) Keys() []KeyInfo {
	keys := make([]KeyInfo, len(r.keys))
	for i, key := range r.keys {
		keys[i] = KeyInfo{key.kid, key.alg, key.signsFrom}
	}
	return keys
}

// String returns the ids of the keys, without secrets.
func (r *Keyring) String() string {
	kids := make([]string, len(r.keys))
	for i, key := range r.keys {
		kids[i] = key.kid
	}
	return fmt.Sprintf("auth.Keyring%v", kids)
}

// LogValue implements [slog.LogValuer] with [Keyring.String].
func (r *Keyring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// retires returns when the key at i expires, and whether it ever does: when the last token
// has expired that it can have signed before its successor took over.
func (r *Keyring) retires(i int, maxTTL time.Duration) (time.Time, bool) {
	if i+1 == len(r.keys) {
		return time.Time{}, false
	}
	return r.keys[i+1].signsFrom.Add(maxTTL + leeway), true
}

// live returns the keys that have not expired at now.
func (r *Keyring) live(now time.Time, maxTTL time.Duration) []*signingKey {
	var keys []*signingKey
	for i, key := range r.keys {
		if end, ends := r.retires(i, maxTTL); !ends || now.Before(end) {
			keys = append(keys, key)
		}
	}
	return keys
}

// signer returns the key that signs at now.
func (r *Keyring) signer(now time.Time) *signingKey {
	signer := r.keys[0]
	for _, key := range r.keys[1:] {
		if !key.signsFrom.After(now) {
			signer = key
		}
	}
	return signer
}

// nextChange returns the first time after now at which the result of live or signer changes,
// and whether there is one.
func (r *Keyring) nextChange(now time.Time, maxTTL time.Duration) (next time.Time, ok bool) {
	consider := func(t time.Time) {
		if t.After(now) && (!ok || t.Before(next)) {
			next, ok = t, true
		}
	}
	for i, key := range r.keys {
		consider(key.signsFrom)
		if end, ends := r.retires(i, maxTTL); ends {
			consider(end)
		}
	}
	return next, ok
}

// generate makes a random key that signs from the given time, or from the beginning if that
// is zero.
func generate(alg Algorithm, signsFrom time.Time) (*signingKey, error) {
	material, err := randomMaterial(alg)
	if err != nil {
		return nil, err
	}
	key, err := jwk.FromRaw(material)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{jwk.AlgorithmKey: string(alg), jwk.KeyUsageKey: "sig"}
	if !signsFrom.IsZero() {
		fields["nbf"] = signsFrom.Unix()
	}
	for name, value := range fields {
		if err := key.Set(name, value); err != nil {
			return nil, err
		}
	}
	document, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	return parsePrivateJWK(document)
}

func randomMaterial(alg Algorithm) (any, error) {
	switch alg {
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256, PS256:
		return rsa.GenerateKey(rand.Reader, minRSABits)
	case HS256:
		secret := make([]byte, minSecretBytes)
		_, err := rand.Read(secret)
		return secret, err
	}
	return nil, fmt.Errorf("auth: alg %q is not one of %v", string(alg), Algorithms())
}
