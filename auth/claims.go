package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice/schemas"
)

const (
	tokenType = "at+jwt" // RFC 9068, section 2.1

	// leeway is how far the clock of an issuer may be ahead. It is granted to iat
	// and nbf; exp is exact, since it is also the second in which streams end.
	leeway = 30 * time.Second

	maxNameBytes   = 255          // of sub and jti
	maxUnixSeconds = 253402300799 // the end of the year 9999
)

// readClaims checks every claim that means something here, and returns who the
// token speaks for. The signature has been verified.
func readClaims(claims object, src *issuerKeys, now time.Time) (*Principal, error) {
	p := &Principal{Issuer: src.name}
	if err := checkAudience(claims["aud"], src.audience); err != nil {
		return nil, err
	}
	if err := readTimes(claims, p, src, now); err != nil {
		return nil, err
	}
	var err error
	if p.Subject, err = claims.optionalText("sub"); err != nil {
		return nil, err
	}
	if !validSubject(p.Subject) {
		return nil, fmt.Errorf("sub has more than %d bytes", maxNameBytes)
	}
	if p.TokenID, err = claims.optionalText("jti"); err != nil {
		return nil, err
	}
	// What could not be given to Revoke would be a token that nobody can stop.
	if _, ok := claims["jti"]; ok && !printable(p.TokenID) {
		return nil, errors.New("jti is not 1 to 255 printable ASCII characters")
	}
	if p.Subscribe, err = readGrants(claims, "subscribe"); err != nil {
		return nil, err
	}
	p.Publish, err = readGrants(claims, "publish")
	return p, err
}

// checkAudience wants want to be aud or one of its entries.
func checkAudience(raw json.RawMessage, want string) error {
	audience, err := texts(raw)
	if err != nil {
		var one string
		if one, err = text(raw); err != nil {
			return errors.New("aud is neither a string nor a list of strings")
		}
		audience = []string{one}
	}
	if !slices.Contains(audience, want) {
		return errors.New("aud is not this server")
	}
	return nil
}

// readTimes checks exp, nbf and iat.
func readTimes(claims object, p *Principal, src *issuerKeys, now time.Time) error {
	raw, ok := claims["exp"]
	if !ok {
		return errors.New("there is no exp")
	}
	exp, err := numericDate(raw)
	if err != nil {
		return fmt.Errorf("exp: %w", err)
	}
	if !now.Before(exp) {
		return errors.New("it has expired")
	}
	// Keys and revocations are forgotten when the last token of their time must
	// be over: an own token that lives longer would outlive them.
	if src.maxTTL > 0 && exp.After(now.Add(src.maxTTL+leeway)) {
		return fmt.Errorf("exp is more than %v away", src.maxTTL)
	}
	for _, name := range []string{"nbf", "iat"} {
		raw, ok := claims[name]
		if !ok {
			continue
		}
		t, err := numericDate(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if t.After(now.Add(leeway)) {
			return fmt.Errorf("%s is in the future", name)
		}
	}
	p.ExpiresAt = exp
	return nil
}

// numericDate reads seconds since the Unix epoch (RFC 7519, section 2). A
// fraction is cut off.
func numericDate(raw json.RawMessage) (time.Time, error) {
	// A JSON value that begins so is a number: the decoder has seen to it.
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return time.Time{}, errors.New("it is not a number")
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds > maxUnixSeconds {
		return time.Time{}, errors.New("it is not a time between 1970 and 9999")
	}
	return time.Unix(int64(math.Floor(seconds)), 0), nil
}

// validSubject reports whether s may be the sub of a token; it may be empty.
func validSubject(s string) bool { return len(s) <= maxNameBytes && utf8.ValidString(s) }

// printable reports whether s is 1 to 255 printable ASCII characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= maxNameBytes
}

// Bounds of the grants of a token, for each direction.
const (
	maxGrants      = 256
	maxGrantTopics = 256
)

// readGrants reads the claim name, a list of {"channel","topics"}. Nothing in it
// is passed over: a member that is not understood could be a restriction.
func readGrants(claims object, name string) (schemas.Grants, error) {
	raw, ok := claims[name]
	if !ok {
		return nil, nil
	}
	items, err := list(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	grants := make(schemas.Grants, 0, min(len(items), maxGrants))
	for i, item := range items {
		grant, err := readGrant(item)
		if err != nil {
			return nil, fmt.Errorf("%s: grant %d: %w", name, i, err)
		}
		grants = append(grants, grant)
	}
	if err := checkGrants(grants); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return grants, nil
}

func readGrant(raw json.RawMessage) (schemas.Grant, error) {
	o, err := members(raw)
	if err != nil {
		return schemas.Grant{}, err
	}
	for member := range o {
		if member != "channel" && member != "topics" {
			return schemas.Grant{}, fmt.Errorf("unknown member %.64q", member)
		}
	}
	channel, err := text(o["channel"])
	if err != nil {
		return schemas.Grant{}, fmt.Errorf("channel: %w", err)
	}
	topics, err := texts(o["topics"])
	if err != nil {
		return schemas.Grant{}, fmt.Errorf("topics: %w", err)
	}
	return schemas.Grant{Channel: schemas.Pattern(channel), Topics: topics}, nil
}

// checkGrants holds for grants of a token whatever way they came. Every fault is
// [schemas.ErrBadGrant].
func checkGrants(grants schemas.Grants) error {
	if len(grants) > maxGrants {
		return fmt.Errorf("%w: there are more than %d", schemas.ErrBadGrant, maxGrants)
	}
	for i, grant := range grants {
		if len(grant.Topics) > maxGrantTopics {
			return fmt.Errorf("%w: grant %d has more than %d topics", schemas.ErrBadGrant, i, maxGrantTopics)
		}
		if err := grant.Check(); err != nil {
			return fmt.Errorf("grant %d: %w", i, err)
		}
	}
	return nil
}
