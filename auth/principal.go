package auth

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Principal is who a credential speaks for, after it was verified. Several
// callers may hold the same one: it must not be changed.
type Principal struct {
	Admin     bool           // an API key: may do everything
	Subject   string         // the token's sub; "" for an API key
	TokenID   string         // the token's jti; "" for an API key and for a token without one, which cannot be revoked
	Issuer    string         // the token's iss; "" for an API key
	ExpiresAt time.Time      // from this second on the token is worth nothing; zero for an API key
	Subscribe schemas.Grants // what it may read; [schemas.AllowAll] for an API key
	Publish   schemas.Grants // where it may publish; [schemas.AllowAll] for an API key
}
