package auth

import (
	"fmt"
	"slices"
)

// Algorithm is the signature algorithm of a key, by its name in [RFC 7518] and
// [RFC 8037]. A key has one, and a token never chooses it.
//
// [RFC 7518]: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
// [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037#section-3.1
type Algorithm string

// The algorithms that keys may have. HS256 is for own keys only.
const (
	EdDSA Algorithm = "EdDSA" // Ed25519
	ES256 Algorithm = "ES256" // P-256
	RS256 Algorithm = "RS256" // RSA, PKCS #1 v1.5
	PS256 Algorithm = "PS256" // RSA, PSS
	HS256 Algorithm = "HS256" // a secret of 32 bytes or more
)

// Algorithms returns every algorithm, the default first.
func Algorithms() []Algorithm { return []Algorithm{EdDSA, ES256, RS256, PS256, HS256} }

// keyType returns the kty of the keys that a can sign with, and their crv if the kty has
// several.
func (a Algorithm) keyType() (kty, crv string) {
	switch a {
	case EdDSA:
		return "OKP", "Ed25519"
	case ES256:
		return "EC", "P-256"
	case RS256, PS256:
		return "RSA", ""
	case HS256:
		return "oct", ""
	}
	return "", ""
}

// fit returns why a key of the given type cannot use a, or nil.
func (a Algorithm) fit(kty, crv string) error {
	if !slices.Contains(Algorithms(), a) {
		return fmt.Errorf("alg %q is not one of %v", string(a), Algorithms())
	}
	if k, c := a.keyType(); k != kty || c != "" && c != crv {
		return fmt.Errorf("alg %s does not fit a key with kty %q and crv %q", a, kty, crv)
	}
	return nil
}

// symmetric reports whether verifying and signing use the same key.
func (a Algorithm) symmetric() bool { return a == HS256 }
