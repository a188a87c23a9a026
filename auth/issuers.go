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

	"go.yaml.in/yaml/v3"
)

// Issuer is a foreign issuer of tokens that this server accepts.
type Issuer struct {
	// Issuer is the iss of its tokens.
	Issuer string `yaml:"issuer"`

	// Audience is what the aud of its tokens must be or contain.
	Audience string `yaml:"audience"`

	// Algorithms are those that its keys may have: any but [HS256]. A key of its
	// set that names none gets the first one here that fits its type.
	Algorithms []Algorithm `yaml:"algorithms"`

	// JWKSURL has its public keys: https, or http to a loopback host. Exclusive
	// with JWKSFile.
	JWKSURL string `yaml:"jwks_url"`

	// JWKSFile has its public keys. The file is read again when it has changed.
	JWKSFile string `yaml:"jwks_file"`
}

// LoadIssuers reads a YAML or JSON file with a list of [Issuer] under "issuers".
// A relative jwks_file is taken from the directory of the file. The error joins
// all faults; a field that is not known is one.
func LoadIssuers(path string) ([]Issuer, error) {
	data, err := readFile(path)
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

// checkIssuers returns all faults of the list. No issuer may have the name own.
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
	if i.Audience == "" {
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
