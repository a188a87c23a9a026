package auth

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Principal is the verified holder of a credential. Callers may share one, so they must not
// modify it.
type Principal struct {
	Admin     bool           // an API key: may do everything
	Subject   string         // the token's sub; "" for an API key
	TokenID   string         // the token's jti; "" for an API key and for a token without one, which cannot be revoked
	Issuer    string         // the token's iss; "" for an API key
	ExpiresAt time.Time      // the token is invalid from this second; zero for an API key
	Subscribe schemas.Grants // grants to read; [schemas.AllowAll] for an API key
	Publish   schemas.Grants // grants to publish; [schemas.AllowAll] for an API key
}
