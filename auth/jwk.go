package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Sizes of keys. The upper bound keeps one key of a foreign set from making
// every verification expensive.
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	minSecretBytes = 32
)

// verifyingKey is what verifies the tokens that name its kid.
type verifyingKey struct {
	kid string
	alg Algorithm
	key any // ed25519.PublicKey, *ecdsa.PublicKey, *rsa.PublicKey or, for HS256, []byte
}

// signingKey is an own key with its private part.
type signingKey struct {
	verifyingKey
	private   any
	signsFrom time.Time       // "nbf"; the zero Unix time if there is none
	document  json.RawMessage // as it stands in the file, to be written back
}

// parsePrivateJWK reads one key of an own key file. Its errors quote nothing
// but names.
func parsePrivateJWK(document json.RawMessage) (*signingKey, error) {
	o, err := parseObject(document)
	if err != nil {
		return nil, err
	}
	var kty, crv, alg, use, kid string
	for name, field := range map[string]*string{"kty": &kty, "crv": &crv, "alg": &alg, "use": &use, "kid": &kid} {
		if *field, err = o.optionalText(name); err != nil {
			return nil, err
		}
	}
	if err := Algorithm(alg).fit(kty, crv); err != nil {
		return nil, err
	}
	if use != "" && use != "sig" {
		return nil, errors.New(`use is not "sig"`)
	}
	key := &signingKey{document: document}
	key.alg = Algorithm(alg)
	if key.signsFrom, err = parseSignsFrom(o["nbf"]); err != nil {
		return nil, err
	}
	if err := key.load(o); err != nil {
		return nil, err
	}
	if err := key.name(kid); err != nil {
		return nil, err
	}
	return key, nil
}

// load fills in the private and the public part.
func (k *signingKey) load(o object) error {
	if k.alg.symmetric() {
		secret, err := materialOf(o, "k")
		if err != nil {
			return err
		}
		b, ok := secret.([]byte)
		if !ok || len(b) < minSecretBytes {
			return fmt.Errorf("the secret has fewer than %d bytes", minSecretBytes)
		}
		k.private, k.key = b, b
		return nil
	}
	if _, ok := o["d"]; !ok {
		return errors.New("it has no private part")
	}
	private, err := materialOf(o, "crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi")
	if err != nil {
		return err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return errors.New("it is not a valid key")
	}
	k.private, k.key = private, signer.Public()
	if err := checkPublic(k.key); err != nil {
		return err
	}
	// The two halves of an EC key stand in the file side by side; nothing but
	// a signature shows that they belong together.
	probe := []byte("probe")
	if signature, err := sign(k.alg, k.private, probe); err != nil || !signed(k.alg, k.key, probe, signature) {
		return errors.New("its private and public parts do not belong together")
	}
	return nil
}

// name sets the kid: the thumbprint of RFC 7638. A secret is never published,
// so it may have any name; without one it gets a name that tells less about it
// than any token that it signs.
func (k *signingKey) name(given string) error {
	secret, ok := k.key.([]byte)
	if !ok {
		kid, err := thumbprint(k.key)
		if err != nil {
			return err
		}
		if given != "" && given != kid {
			return fmt.Errorf("kid is not its RFC 7638 thumbprint %s; write that or leave it out", kid)
		}
		k.kid = kid
		return nil
	}
	if k.kid = given; given == "" {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("kid"))
		k.kid = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	if !printable(k.kid) {
		return errors.New("kid is not 1 to 255 printable ASCII characters")
	}
	return nil
}

// parseSignsFrom reads the member nbf of a key: whole Unix seconds.
func parseSignsFrom(raw json.RawMessage) (time.Time, error) {
	if raw == nil {
		return time.Unix(0, 0), nil
	}
	var seconds int64
	if err := json.Unmarshal(raw, &seconds); err != nil || raw[0] == 'n' || seconds < 0 || seconds > maxUnixSeconds {
		return time.Time{}, errors.New("nbf is not a time in whole Unix seconds")
	}
	return time.Unix(seconds, 0), nil
}

// materialOf returns the key that kty and the named members make. Others, such
// as certificates, are not looked at.
func materialOf(o object, names ...string) (any, error) {
	bare := object{"kty": o["kty"]}
	for _, name := range names {
		if value, ok := o[name]; ok {
			bare[name] = value
		}
	}
	document, err := json.Marshal(bare)
	if err != nil {
		return nil, err
	}
	// The library's errors may quote the key.
	key, err := jwk.ParseKey(document)
	if err != nil {
		return nil, errors.New("it is not a valid key")
	}
	var material any
	if err := key.Raw(&material); err != nil {
		return nil, errors.New("it is not a valid key")
	}
	if private, ok := material.(*rsa.PrivateKey); ok && private.Validate() != nil {
		return nil, errors.New("it is not a valid key")
	}
	return material, nil
}

// checkPublic refuses keys that are weak, or that the standard library would
// panic on.
func checkPublic(key any) error {
	switch key := key.(type) {
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return nil
		}
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err == nil {
			return nil
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("the RSA modulus has %d bits, %d to %d are allowed", bits, minRSABits, maxRSABits)
		}
		if key.N.Bit(0) == 1 && key.E > 2 && key.E%2 == 1 && key.E <= math.MaxInt32 {
			return nil
		}
	}
	return errors.New("it is not a valid key")
}

// thumbprint names a public key as RFC 7638 does.
func thumbprint(public any) (string, error) {
	key, err := jwk.FromRaw(public)
	if err != nil {
		return "", errors.New("it is not a valid key")
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errors.New("it is not a valid key")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
