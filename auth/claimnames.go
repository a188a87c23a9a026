package auth

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// ClaimNames names the claims that Sluice reads from the tokens of an issuer that cannot use
// the standard names. A claim with the standard name is ignored then.
//
// Grants under a name that is set here may also be a string that contains the JSON of the
// list, since some issuers have only string claims. A list of words is not a grant: it
// would not say which topics it grants.
type ClaimNames struct {
	// Subject is the claim with the user. Every token must have it. Default: sub, which may
	// be missing.
	Subject string `yaml:"sub"`

	// Subscribe is the claim with the grants to read. Default: subscribe.
	Subscribe string `yaml:"subscribe"`

	// Publish is the claim with the grants to publish. Default: publish.
	Publish string `yaml:"publish"`
}

// standardClaims have a fixed meaning, so they cannot be used for anything else.
var standardClaims = []string{"iss", "aud", "exp", "nbf", "iat", "jti"}

// faults returns the faults of the names.
func (n ClaimNames) faults() (faults []error) {
	names := []string{n.subject(), cmp.Or(n.Subscribe, claimSubscribe), cmp.Or(n.Publish, claimPublish)}
	for i, name := range names {
		switch {
		case slices.Contains(standardClaims, name):
			faults = append(faults, fmt.Errorf("claims: %q has a meaning of its own", name))
		case slices.Contains(names[:i], name):
			faults = append(faults, fmt.Errorf("claims: %q is to be two things", name))
		}
	}
	return faults
}

// The claims that an issuer may name differently.
const (
	claimSubject   = "sub"
	claimSubscribe = "subscribe"
	claimPublish   = "publish"
)

func (n ClaimNames) subject() string { return cmp.Or(n.Subject, claimSubject) }

// readSubject returns the subject of the token.
func (n ClaimNames) readSubject(claims object) (string, error) {
	name := n.subject()
	subject, err := claims.optionalText(name)
	switch {
	case err != nil:
		return "", err
	case !validSubject(subject):
		return "", fmt.Errorf("%s has more than %d bytes", name, maxNameBytes)
	case subject == "" && n.Subject != "":
		// Without it, limits by subject would apply to nobody.
		return "", fmt.Errorf("%s is missing", name)
	}
	return subject, nil
}

// grantList returns the list of grants in the claim with the given name, or with the
// standard name if none is given; nil if there is none.
func (o object) grantList(given, standard string) (name string, raw json.RawMessage, err error) {
	name = cmp.Or(given, standard)
	raw = o[name]
	if given == "" || len(raw) == 0 || raw[0] != '"' {
		return name, raw, nil
	}
	held, err := text(raw)
	if err != nil {
		return name, nil, err
	}
	raw, err = parseValue([]byte(held))
	if errors.Is(err, errNotJSON) {
		err = errors.New("it is a string that does not hold JSON")
	}
	return name, raw, err
}
