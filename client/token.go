package client

import (
	"context"
	"net/http"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// TokenRequest says what a token shall allow. Channel and Topics are the short
// form for one channel to subscribe to; Subscribe and Publish are the long one.
type TokenRequest struct {
	Channel   string
	Topics    []string
	Sub       string // whom the token is for, such as a user's id
	Subscribe []schemas.Grant
	Publish   []schemas.Grant
	TTL       time.Duration // 0: the server's default, 10 minutes
}

// Token is a token with what is known about it. The token is a secret.
type Token struct {
	Token        string       `json:"token"`
	TokenType    string       `json:"token_type"`
	JTI          string       `json:"jti"` // its id, by which it can be revoked
	ExpiresAt    schemas.Time `json:"expires_at"`
	SubscribeURL string       `json:"subscribe_url"` // with the token in it, for EventSource
}

// Token makes a token. The client's credential must be an API key. What fails in
// passing is tried again: a token that nobody got does no harm.
func (c *Client) Token(ctx context.Context, req TokenRequest) (Token, error) {
	question := struct {
		Channel   string          `json:"channel,omitempty"`
		Topics    []string        `json:"topics,omitempty"`
		Sub       string          `json:"sub,omitempty"`
		Subscribe []schemas.Grant `json:"subscribe,omitempty"`
		Publish   []schemas.Grant `json:"publish,omitempty"`
		TTL       string          `json:"ttl,omitempty"`
	}{req.Channel, req.Topics, req.Sub, req.Subscribe, req.Publish, ""}
	if req.TTL != 0 {
		question.TTL = req.TTL.String()
	}
	var token Token
	err := c.callJSON(ctx, request{method: http.MethodPost, path: "/v1/tokens", repeat: ifPassing}, question, &token)
	return token, err
}
