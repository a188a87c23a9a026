package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/internal/watchedfile"
)

// Issuer is a foreign issuer of tokens that this server accepts.
type Issuer struct {
	// Issuer is the iss of its tokens.
	Issuer string `yaml:"issuer"`

	// Audience is what the aud of its tokens must be or contain.
	Audience string `yaml:"audience"`

	// AudienceOptional accepts tokens without an aud, for issuers that set none. A token
	// with an aud must still have Audience in it; if Audience is empty, it is refused.
	AudienceOptional bool `yaml:"audience_optional"`

	// Claims are the names of claims that differ from the standard ones.
	Claims ClaimNames `yaml:"claims"`

	// Algorithms are the allowed algorithms of its keys: any except [HS256]. A key without
	// an algorithm gets the first of them that fits its type.
	Algorithms []Algorithm `yaml:"algorithms"`

	// MaxTTL is the maximum lifetime of its tokens, from iat to exp: 1 s to [MaxTTLLimit].
	// A token with a longer lifetime is refused. So is a token with a jti, which can be
	// revoked, but without an iat, whose lifetime is unknown. Default: [DefaultMaxTTL].
	MaxTTL time.Duration `yaml:"max_ttl"`

	// JWKSURL is the URL of its public keys: https, or http to a loopback host. It excludes
	// JWKSFile.
	JWKSURL string `yaml:"jwks_url"`

	// JWKSFile is the file with its public keys. A changed file is read again.
	JWKSFile string `yaml:"jwks_file"`
}

// LoadIssuers reads a YAML or JSON file with a list of [Issuer] under "issuers".
// A relative jwks_file is relative to the directory of that file. The error joins all
// faults, including unknown fields.
func LoadIssuers(path string) ([]Issuer, error) {
	data, err := watchedfile.ReadAll(path)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	issuers, err := parseIssuers(data)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", path, err)
	}
	for i := range issuers {
		if file := issuers[i].JWKSFile; file != "" && !filepath.IsAbs(file) {
			issuers[i].JWKSFile = filepath.Join(filepath.Dir(path), file)
		}
	}
	return issuers, nil
}

func parseIssuers(data []byte) ([]Issuer, error) {
	var file struct {
		Issuers []Issuer `yaml:"issuers"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	if len(file.Issuers) == 0 {
		return nil, errors.New("there are no issuers")
	}
	return file.Issuers, checkIssuers(file.Issuers, "")
}

// checkIssuers returns all faults of the list. No issuer may have the name own, which is
// that of this server.
func checkIssuers(issuers []Issuer, own string) error {
	var faults []error
	for i, issuer := range issuers {
		for _, fault := range issuer.faults() {
			faults = append(faults, fmt.Errorf("issuer %d: %w", i, fault))
		}
		if issuer.Issuer != "" && issuer.Issuer == own {
			faults = append(faults, fmt.Errorf("issuer %d: issuer %q is this server itself", i, own))
		}
		if slices.ContainsFunc(issuers[:i], func(other Issuer) bool { return other.Issuer == issuer.Issuer }) {
			faults = append(faults, fmt.Errorf("issuer %d: issuer %q stands twice", i, issuer.Issuer))
		}
	}
	return errors.Join(faults...)
}

func (i Issuer) faults() (faults []error) {
	if i.Issuer == "" {
		faults = append(faults, errors.New("issuer is missing"))
	}
	if i.Audience == "" && !i.AudienceOptional {
		faults = append(faults, errors.New("audience is missing"))
	}
	if len(i.Algorithms) == 0 {
		faults = append(faults, errors.New("algorithms are missing"))
	}
	for _, alg := range i.Algorithms {
		if alg.symmetric() || !slices.Contains(Algorithms(), alg) {
			faults = append(faults, fmt.Errorf("algorithms: %q is not one of %v", string(alg), []Algorithm{EdDSA, ES256, RS256, PS256}))
		}
	}
	if i.MaxTTL != 0 && (i.MaxTTL < MinTTL || i.MaxTTL > MaxTTLLimit) {
		faults = append(faults, fmt.Errorf("max_ttl: %v is not between %v and %v", i.MaxTTL, MinTTL, MaxTTLLimit))
	}
	faults = append(faults, i.Claims.faults()...)
	switch {
	case (i.JWKSURL == "") == (i.JWKSFile == ""):
		faults = append(faults, errors.New("either jwks_url or jwks_file is needed"))
	case i.JWKSURL != "":
		if err := checkJWKSURL(i.JWKSURL); err != nil {
			faults = append(faults, fmt.Errorf("jwks_url: %w", err))
		}
	}
	return faults
}

// checkJWKSURL quotes no part of the URL, which may hold a password.
func checkJWKSURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("it is not an absolute URL")
	case u.User != nil:
		return errors.New("it must not hold a user name or password")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("only https is allowed, or http to a loopback host")
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
