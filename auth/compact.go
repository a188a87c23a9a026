package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MaxTokenBytes bounds a token. A longer one is neither minted nor accepted.
const MaxTokenBytes = 16 << 10

// parsedToken is a token in its parts. Nothing in it can be believed before the
// signature was verified.
type parsedToken struct {
	alg       string
	kid       string // "" when the token names no key
	claims    object
	input     []byte // what was signed
	signature []byte
}

// parseCompact reads the compact serialization (RFC 7515, section 7.1). The JSON
// serializations have no such three parts and are refused with everything else.
func parseCompact(token string) (*parsedToken, error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found { // a fourth part shows in the signature: a dot is no base64url
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

// readHeader takes alg and kid from the header. It looks at no other parameter
// but those that would change what the token means.
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
	if _, ok := header["typ"]; ok && !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, tokenType) {
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

// decodePart decodes base64url as RFC 7515 wants it: no padding, no line breaks
// (which the standard library skips), one spelling for every value.
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
