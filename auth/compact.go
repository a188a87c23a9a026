package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MaxTokenBytes limits a token. A longer one is neither minted nor accepted.
const MaxTokenBytes = 16 << 10

// parsedToken is a token split into its parts. Nothing in it can be trusted before the
// signature has been verified.
type parsedToken struct {
	alg       string
	kid       string // "" when the token names no key
	claims    object
	input     []byte // what was signed
	signature []byte
}

// parseCompact reads the compact serialization (RFC 7515, section 7.1). The JSON
// serializations do not have these three parts, so they are refused like anything else.
func parseCompact(token string) (*parsedToken, error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found { // a fourth part makes the signature invalid: base64url has no dot
		return nil, errors.New("it has not three parts")
	}
	var t parsedToken
	headerJSON, err := decodePart(header)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := t.readHeader(headerJSON); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	payloadJSON, err := decodePart(payload)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if t.claims, err = parseObject(payloadJSON); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if t.signature, err = decodePart(signature); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	t.input = []byte(token[:len(header)+1+len(payload)])
	return &t, nil
}

// readHeader takes alg and kid from the header. Of the other parameters, it looks only at
// those that would change the meaning of the token.
func (t *parsedToken) readHeader(data []byte) error {
	header, err := parseObject(data)
	if err != nil {
		return err
	}
	for _, name := range []string{"crit", "b64"} {
		if _, ok := header[name]; ok {
			return fmt.Errorf("parameter %s is not supported", name)
		}
	}
	typ, err := header.optionalText("typ")
	if err != nil {
		return err
	}
	if typ = mediaSubtype(typ); header["typ"] != nil && !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, tokenType) {
		return fmt.Errorf("typ is neither JWT nor %s", tokenType)
	}
	if t.alg, err = header.optionalText("alg"); err != nil {
		return err
	}
	if t.kid, err = header.optionalText("kid"); err != nil {
		return err
	}
	if _, ok := header["kid"]; ok && t.kid == "" {
		return errors.New("kid is empty")
	}
	return nil
}

// mediaSubtype removes the prefix that a typ may have (RFC 7515, section 4.1.9; RFC 9068,
// section 4). Media types are case-insensitive.
func mediaSubtype(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) {
		return typ[len(prefix):]
	}
	return typ
}

// decodePart decodes base64url as RFC 7515 requires: no padding, no line breaks (which the
// standard library skips), and only one spelling for each value.
func decodePart(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("it is not base64url")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("it is not base64url")
	}
	return b, nil
}
