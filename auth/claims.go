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

	// leeway is how far the clock of an issuer may be ahead. It applies to iat and nbf. exp
	// is exact, since it is also the second in which streams end.
	leeway = 30 * time.Second

	maxNameBytes   = 255          // of sub and jti
	maxUnixSeconds = 253402300799 // the end of the year 9999
)

// readClaims checks every claim with a meaning here and returns the principal of the token.
// The signature has already been verified.
func readClaims(claims object, src *issuerKeys, now time.Time) (*Principal, error) {
	p := &Principal{Issuer: src.name}
	if err := checkAudience(claims, src); err != nil {
		return nil, err
	}
	if err := readTimes(claims, p, src, now); err != nil {
		return nil, err
	}
	var err error
	if p.Subject, err = src.claims.readSubject(claims); err != nil {
		return nil, err
	}
	if p.TokenID, err = claims.optionalText("jti"); err != nil {
		return nil, err
	}
	// Nobody could revoke a token whose id Revoke does not accept.
	if _, ok := claims["jti"]; ok && !printable(p.TokenID) {
		return nil, errors.New("jti is not 1 to 255 printable ASCII characters")
	}
	if p.Subscribe, err = readGrants(claims, src.claims.Subscribe, claimSubscribe); err != nil {
		return nil, err
	}
	p.Publish, err = readGrants(claims, src.claims.Publish, claimPublish)
	return p, err
}

// checkAudience requires that aud is this server or contains it. A token for other audiences
// is refused even if aud may be missing (RFC 7519, section 4.1.3).
func checkAudience(claims object, src *issuerKeys) error {
	raw, ok := claims["aud"]
	if !ok && src.audienceOptional {
		return nil
	}
	audience, err := texts(raw)
	if err != nil {
		var one string
		if one, err = text(raw); err != nil {
			return errors.New("aud is neither a string nor a list of strings")
		}
		audience = []string{one}
	}
	if src.audience == "" || !slices.Contains(audience, src.audience) {
		return errors.New("aud is not this server")
	}
	return nil
}

// readTimes checks exp, nbf and iat.
func readTimes(claims object, p *Principal, src *issuerKeys, now time.Time) error {
	exp, err := claims.optionalDate("exp")
	if err != nil {
		return err
	}
	nbf, err := claims.optionalDate("nbf")
	if err != nil {
		return err
	}
	iat, err := claims.optionalDate("iat")
	if err != nil {
		return err
	}
	_, revocable := claims["jti"]
	switch {
	case exp.IsZero():
		return errors.New("there is no exp")
	case !now.Before(exp):
		return errors.New("it has expired")
	case nbf.After(now.Add(leeway)):
		return errors.New("nbf is in the future")
	case iat.After(now.Add(leeway)):
		return errors.New("iat is in the future")
	// Keys and revocations are forgotten once the last token of their time must have
	// expired. A token that lives longer would outlive them, and not every token shows it:
	// late in its life, its exp is as near as that of any other.
	case exp.After(now.Add(src.maxTTL + leeway)):
		return fmt.Errorf("exp is more than %v away", src.maxTTL)
	case !iat.IsZero() && exp.After(iat.Add(src.maxTTL+leeway)):
		return fmt.Errorf("exp is more than %v after iat", src.maxTTL)
	case revocable && iat.IsZero():
		return errors.New("it has a jti and no iat, so how long it lives is not known")
	}
	p.ExpiresAt = exp
	return nil
}

// optionalDate reads the member name, a numericDate; zero if there is none.
func (o object) optionalDate(name string) (time.Time, error) {
	raw, ok := o[name]
	if !ok {
		return time.Time{}, nil
	}
	t, err := numericDate(raw)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// numericDate reads seconds since the Unix epoch (RFC 7519, section 2) and drops a fraction.
func numericDate(raw json.RawMessage) (time.Time, error) {
	// The JSON is valid, so a value that begins like this is a number.
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return time.Time{}, errors.New("it is not a number")
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds > maxUnixSeconds {
		return time.Time{}, errors.New("it is not a time between 1970 and 9999")
	}
	return time.Unix(int64(math.Floor(seconds)), 0), nil
}

// validSubject reports whether s can be the sub of a token. It may be empty.
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

// Limits of the grants of a token, for each direction.
const (
	maxGrants      = 256
	maxGrantTopics = 256
)

// readGrants reads the claim with the given or the standard name, a list of
// {"channel","topics"}. It ignores nothing: an unknown member could be a restriction.
func readGrants(claims object, given, standard string) (schemas.Grants, error) {
	name, raw, err := claims.grantList(given, standard)
	if err == nil && raw == nil {
		return nil, nil
	}
	var items []json.RawMessage
	if err == nil {
		items, err = list(raw)
	}
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

// checkGrants checks the grants of a token, wherever they come from. Every fault is
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
