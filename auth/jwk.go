package auth

import (
	"bytes"
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
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Sizes of keys. The upper limit prevents a key of a foreign set from making every
// verification expensive.
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	minSecretBytes = 32
)

// verifyingKey verifies the tokens that name its kid.
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
	document  json.RawMessage // as it is in the file, to be written back
}

// parsePrivateJWK reads one key of an own key file. Its errors quote only names.
func parsePrivateJWK(document json.RawMessage) (*signingKey, error) {
	o, err := parseObject(document)
	if err != nil {
		return nil, err
	}
	params, err := o.keyParameters()
	if err != nil {
		return nil, err
	}
	if err := Algorithm(params.alg).fit(params.kty, params.crv); err != nil {
		return nil, err
	}
	if err := checkUse(o, params.use, "sign"); err != nil {
		return nil, err
	}
	key := &signingKey{document: document}
	key.alg = Algorithm(params.alg)
	if key.signsFrom, err = parseSignsFrom(o["nbf"]); err != nil {
		return nil, err
	}
	if err := key.load(o); err != nil {
		return nil, err
	}
	if err := key.name(params.kid); err != nil {
		return nil, err
	}
	return key, nil
}

// keyParameters are the members of a JWK that describe the key (RFC 7517, section 4), ""
// for a missing one.
type keyParameters struct{ kty, crv, alg, use, kid string }

func (o object) keyParameters() (p keyParameters, err error) {
	for name, field := range map[string]*string{"kty": &p.kty, "crv": &p.crv, "alg": &p.alg, "use": &p.use, "kid": &p.kid} {
		if *field, err = o.optionalText(name); err != nil {
			return p, err
		}
	}
	return p, nil
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
	// The file has the two halves of an EC key side by side; only a signature shows that
	// they belong together.
	probe := []byte("probe")
	if signature, err := sign(k.alg, k.private, probe); err != nil || !signed(k.alg, k.key, probe, signature) {
		return errors.New("its private and public parts do not belong together")
	}
	return nil
}

// name sets the kid: the thumbprint of RFC 7638. A secret is never published, so it may have
// any name. Without one, it gets a name that reveals less about it than any token that it
// signs.
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

// materialOf returns the key that consists of kty and the named members. Others, such as
// certificates, are ignored.
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

// checkPublic refuses weak keys and keys on which the standard library would panic.
func checkPublic(key any) error {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return checkPoint(key)
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

// checkExponent refuses an RSA exponent that the library would truncate to an int, which
// would make a different key from the published one.
func checkExponent(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	encoded, err := text(raw)
	if err != nil {
		return err
	}
	e, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(bytes.TrimLeft(e, "\x00")) > 4 {
		return errors.New("it is not a valid key")
	}
	return nil
}

// checkUse refuses a key that is not meant for the operation, which is sign or verify (RFC
// 7517, sections 4.2 and 4.3).
func checkUse(o object, use, operation string) error {
	if use != "" && use != "sig" {
		return errors.New(`use is not "sig"`)
	}
	raw, ok := o["key_ops"]
	if !ok {
		return nil
	}
	operations, err := texts(raw)
	if err != nil {
		return fmt.Errorf("key_ops: %w", err)
	}
	for i, each := range operations {
		switch {
		case slices.Contains(operations[:i], each):
			return fmt.Errorf("key_ops: %.32q stands twice", each)
		case use != "" && each != "sign" && each != "verify":
			return fmt.Errorf("key_ops: %.32q contradicts its use", each)
		}
	}
	if !slices.Contains(operations, operation) {
		return fmt.Errorf("key_ops: it is not to %s with", operation)
	}
	return nil
}

// thumbprint returns the thumbprint of a public key (RFC 7638).
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
