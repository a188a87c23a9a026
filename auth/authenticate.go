package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Errors of [Authority.Authenticate].
var (
	// ErrUnauthorized stands for every defect of a credential. The text of a returned error
	// continues with the cause, which is for the log only.
	ErrUnauthorized = errors.New("auth: unauthorized")

	// ErrIssuerUnavailable is the cause if the keys of a foreign issuer could not be fetched
	// yet, so the token cannot be verified. The error is an [ErrUnauthorized], too.
	ErrIssuerUnavailable = errors.New("the issuer's keys were not fetched yet")
)

// Authenticate returns the principal of a credential, which is an API key or a token.
//
// For a token it may wait up to 5 s, or until ctx ends, for the keys of a foreign
// issuer. The error is [ErrUnauthorized]. Safe for concurrent use.
func (a *Authority) Authenticate(ctx context.Context, credential string) (*Principal, error) {
	if credential == "" {
		return nil, unauthorized(errors.New("there is no credential"))
	}
	if len(credential) > MaxTokenBytes {
		return nil, unauthorized(fmt.Errorf("the credential has more than %d bytes", MaxTokenBytes))
	}
	digest := sha256.Sum256([]byte(credential))
	if i := a.apiKeys.find(digest); i >= 0 {
		return a.admins[i], nil
	}
	if key := a.named.find(digest); key != nil {
		key.requests.Add(1)
		return key.principal, nil
	}
	p, err := a.token(ctx, credential, digest)
	if err != nil {
		return nil, unauthorized(err)
	}
	if p.TokenID != "" && a.revocations.has(p.TokenID) {
		return nil, unauthorized(errors.New("the token was revoked"))
	}
	return p, nil
}

func unauthorized(cause error) error { return fmt.Errorf("%w: %w", ErrUnauthorized, cause) }

// token returns the principal of a token, from the cache if it is still valid there.
func (a *Authority) token(ctx context.Context, credential string, digest [sha256.Size]byte) (*Principal, error) {
	if t, ok := a.cache.get(digest); ok && a.holds(t, time.Now()) {
		a.counts.cacheHits.Add(1)
		return t.principal, nil
	}
	a.counts.cacheMisses.Add(1)
	t, err := a.verify(ctx, credential)
	if err != nil {
		a.counts.verificationsFailed.Add(1)
		return nil, fmt.Errorf("token: %w", err)
	}
	a.counts.verificationsOK.Add(1)
	a.cache.put(digest, t)
	return t.principal, nil
}

// holds reports whether verifying a cached token again would have the same outcome.
// Revocation is checked in any case.
func (a *Authority) holds(t cachedToken, now time.Time) bool {
	return now.Before(t.principal.ExpiresAt) &&
		t.source < len(a.issuers) && t.generation == a.issuers[t.source].keys.current(now).generation
}

// verify finds the key of the issuer that the token names, verifies the
// signature and then reads the claims.
func (a *Authority) verify(ctx context.Context, credential string) (cachedToken, error) {
	parsed, err := parseCompact(credential)
	if err != nil {
		return cachedToken{}, err
	}
	name, err := text(parsed.claims["iss"])
	if err != nil {
		return cachedToken{}, fmt.Errorf("iss: %w", err)
	}
	source, ok := a.byName[name]
	if !ok {
		return cachedToken{}, fmt.Errorf("unknown iss %.128q", name)
	}
	src := a.issuers[source]
	set := src.keys.current(time.Now())
	key, ok := set.find(parsed.kid)
	if !ok {
		set = src.keys.renewed(ctx)
		key, ok = set.find(parsed.kid)
	}
	switch {
	case set.generation == 0:
		return cachedToken{}, fmt.Errorf("iss %q: %w", name, ErrIssuerUnavailable)
	case !ok:
		return cachedToken{}, fmt.Errorf("iss %q has no key with kid %.128q", name, parsed.kid)
	case parsed.alg != string(key.alg):
		return cachedToken{}, fmt.Errorf("alg %.32q is not %s, which the key is for", parsed.alg, key.alg)
	case !signed(key.alg, key.key, parsed.input, parsed.signature):
		return cachedToken{}, errors.New("the signature is wrong")
	}
	p, err := readClaims(parsed.claims, src, time.Now())
	return cachedToken{source: source, generation: set.generation, principal: p}, err
}
