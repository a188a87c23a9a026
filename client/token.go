package client

import (
	"context"
	"net/http"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// TokenRequest says what a token should allow. Channel and Topics are the short form, for
// one channel to subscribe to; Subscribe and Publish are the long form.
type TokenRequest struct {
	Channel   string
	Topics    []string // nil: all
	Sub       string   // the user or service that the token is for
	Subscribe []schemas.Grant
	Publish   []schemas.Grant
	TTL       time.Duration // 0: the server's default, 10 minutes
}

// Token is the answer to [Client.Token]. It is a secret.
type Token = schemas.Token

// Token makes a token. It needs an API key. Transient failures are retried: a token that
// nobody received does no harm.
func (c *Client) Token(ctx context.Context, req TokenRequest) (Token, error) {
	question := struct {
		Channel   string          `json:"channel,omitempty"`
		Topics    []string        `json:"topics,omitzero"` // an empty list is refused, and must not become nil
		Sub       string          `json:"sub,omitempty"`
		Subscribe []schemas.Grant `json:"subscribe,omitempty"`
		Publish   []schemas.Grant `json:"publish,omitempty"`
		TTL       string          `json:"ttl,omitempty"`
	}{req.Channel, req.Topics, req.Sub, req.Subscribe, req.Publish, ""}
	if req.TTL != 0 {
		question.TTL = req.TTL.String()
	}
	var token Token
	err := c.callJSON(ctx, request{method: http.MethodPost, path: "/v1/tokens", repeat: ifTransient}, question, &token)
	return token, err
}
