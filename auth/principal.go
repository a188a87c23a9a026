package auth

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Principal is the verified holder of a credential. Callers may share one, so they must not
// modify it.
type Principal struct {
	Admin     bool           // an API key that may do everything
	KeyName   string         // of an API key from [Options.APIKeyFile]; "" for a plain one and for a token
	KeyID     string         // 16 bytes that stand for an API key; "" for a token
	Subject   string         // the token's sub; "" for an API key
	TokenID   string         // the token's jti; "" for an API key and for a token without one, which cannot be revoked
	Issuer    string         // the token's iss; "" for an API key
	ExpiresAt time.Time      // the token is invalid from this second; zero for an API key
	Subscribe schemas.Grants // grants to read; [schemas.AllowAll] for an API key that may do everything
	Publish   schemas.Grants // grants to publish; the same

	key *namedKey // nil unless it has a KeyName
}

// APIKey reports whether the credential is an API key, not a token.
func (p *Principal) APIKey() bool { return p.KeyID != "" }

// KeyFate returns what has become of a named API key since [Authority.Authenticate] has
// returned p. It is [KeyUnchanged] for any other credential.
func (p *Principal) KeyFate() KeyFate {
	if p.key == nil {
		return KeyUnchanged
	}
	return KeyFate(p.key.fate.Load())
}
