package auth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Lifetimes of tokens.
const (
	MinTTL        = time.Second
	DefaultTTL    = 10 * time.Minute // or the maximum if that is shorter
	DefaultMaxTTL = 24 * time.Hour
	MaxTTLLimit   = 366 * 24 * time.Hour // of [Options.MaxTTL]
)

// Errors of [Authority.Mint], besides [schemas.ErrBadGrant].
var (
	ErrBadTTL     = errors.New("auth: bad ttl")
	ErrBadSubject = errors.New("auth: a subject is UTF-8 of at most 255 bytes")
	ErrNoGrant    = errors.New("auth: the token would grant nothing")
)

// TokenRequest describes the token to mint.
type TokenRequest struct {
	Subject   string         // at most 255 bytes of UTF-8; may be empty
	Subscribe schemas.Grants // at most 256, of at most 256 topics each
	Publish   schemas.Grants // the same
	TTL       time.Duration  // [MinTTL] to [Options.MaxTTL]; 0: [DefaultTTL]
}

// Token is a minted token. If printed or logged, it shows only its id.
type Token struct {
	Token     string // the credential itself
	ID        string // its jti
	ExpiresAt time.Time
}

// String returns the id of the token.
func (t Token) String() string { return "auth.Token(" + t.ID + ")" }

// LogValue implements [slog.LogValuer] with [Token.String].
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Mint signs a token. It lives for the TTL, rounded up to the next full second
// of the clock.
//
// Errors: [ErrBadTTL], [ErrBadSubject], [ErrNoGrant], and [schemas.ErrBadGrant],
// also when the grants would make a token of more than [MaxTokenBytes]. Safe for
// concurrent use.
func (a *Authority) Mint(req TokenRequest) (Token, error) {
	if req.TTL == 0 {
		req.TTL = min(DefaultTTL, a.maxTTL)
	}
	if err := a.checkRequest(req); err != nil {
		return Token{}, err
	}
	now := time.Now()
	claims := mintedClaims{
		Issuer:    a.issuers[ownIssuer].name,
		Audience:  a.issuers[ownIssuer].audience,
		Subject:   req.Subject,
		IssuedAt:  now.Unix(),
		ExpiresAt: now.Add(req.TTL + time.Second - 1).Unix(),
		ID:        rand.Text(),
		Subscribe: req.Subscribe,
		Publish:   req.Publish,
	}
	token, err := signClaims(a.own.at(now).signer, claims)
	if err != nil {
		return Token{}, fmt.Errorf("auth: mint: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return Token{}, fmt.Errorf("%w: the token would have %d bytes, at most %d are accepted", schemas.ErrBadGrant, len(token), MaxTokenBytes)
	}
	return Token{Token: token, ID: claims.ID, ExpiresAt: time.Unix(claims.ExpiresAt, 0)}, nil
}

func (a *Authority) checkRequest(req TokenRequest) error {
	switch {
	case req.TTL < MinTTL || req.TTL > a.maxTTL:
		return fmt.Errorf("%w: %v is not between %v and %v", ErrBadTTL, req.TTL, MinTTL, a.maxTTL)
	case !validSubject(req.Subject):
		return ErrBadSubject
	case len(req.Subscribe) == 0 && len(req.Publish) == 0:
		return ErrNoGrant
	}
	if err := checkGrants(req.Subscribe); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := checkGrants(req.Publish); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// mintedClaims is the payload of an own token.
type mintedClaims struct {
	Issuer    string         `json:"iss"`
	Audience  string         `json:"aud"`
	Subject   string         `json:"sub,omitempty"`
	IssuedAt  int64          `json:"iat"`
	ExpiresAt int64          `json:"exp"`
	ID        string         `json:"jti"`
	Subscribe schemas.Grants `json:"subscribe,omitempty"`
	Publish   schemas.Grants `json:"publish,omitempty"`
}

// signClaims returns the compact serialization.
func signClaims(key *signingKey, claims mintedClaims) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": string(key.alg), "kid": key.kid, "typ": tokenType})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encoding := base64.RawURLEncoding
	input := encoding.AppendEncode(nil, header)
	input = encoding.AppendEncode(append(input, '.'), payload)
	signature, err := sign(key.alg, key.private, input)
	if err != nil {
		return "", err
	}
	return string(encoding.AppendEncode(append(input, '.'), signature)), nil
}
