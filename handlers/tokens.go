package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/schemas"
)

// tokenBody is the body of POST /v1/tokens, in the long form with grants or in the short
// form for reading one channel.
type tokenBody struct {
	Channel schemas.Pattern `json:"channel"`
	Topics  []string        `json:"topics"` // nil: all

	Subject   string            `json:"sub"`
	Subscribe []json.RawMessage `json:"subscribe"` // of strictGrant
	Publish   []json.RawMessage `json:"publish"`

	TTL string `json:"ttl"` // as in 90s, 10m, 24h
}

func (*tokenBody) members() []string {
	return []string{"channel", "topics", "sub", "subscribe", "publish", "ttl"}
}

// strictGrant is a grant whose members must all be known: a misspelt one must not make a
// token that grants something other than intended.
type strictGrant schemas.Grant

func (*strictGrant) members() []string { return []string{"channel", "topics"} }

// readGrants reads the list of grants at the pointer.
func readGrants(pointer string, list []json.RawMessage) (grants schemas.Grants, faults []schemas.FieldError) {
	for i, raw := range list {
		if len(faults) >= maxFaults {
			break
		}
		at := pointer + "/" + strconv.Itoa(i)
		var g strictGrant
		err := decodeStrict(raw, &g)
		var fields *fieldsError
		switch {
		case errors.As(err, &fields):
			for _, f := range fields.fields {
				faults = append(faults, schemas.FieldError{Pointer: at + f.Pointer, Detail: f.Detail})
			}
			continue
		case err == nil:
			err = schemas.Grant(g).Check()
		}
		if err != nil {
			faults = append(faults, schemas.FieldError{Pointer: at, Detail: sentence(err)})
			continue
		}
		grants = append(grants, schemas.Grant(g))
	}
	return grants, faults
}

// mintToken answers POST /v1/tokens.
func (a *api) mintToken(c echo.Context) error {
	var body tokenBody
	if err := a.readJSON(c, &body); err != nil {
		return err
	}
	req, err := body.request()
	if err != nil {
		return err
	}
	token, err := a.Auth.Mint(req)
	if err != nil {
		return err
	}
	address := a.address(c)
	return answer(c, http.StatusCreated, schemas.Token{
		Token: token.Token, TokenType: "Bearer", JTI: token.ID, ExpiresAt: schemas.TimeOf(token.ExpiresAt),
		URL: address, SubscribeURL: subscribeURL(address, token.Token, req.Subscribe),
	})
}

// request returns the request in the long form.
func (b *tokenBody) request() (auth.TokenRequest, error) {
	req := auth.TokenRequest{Subject: b.Subject}
	var faults, more []schemas.FieldError
	req.Subscribe, faults = readGrants("/subscribe", b.Subscribe)
	req.Publish, more = readGrants("/publish", b.Publish)
	faults = append(faults, more...)
	switch short := b.Channel != "" || b.Topics != nil; {
	case short && b.Subscribe != nil:
		faults = append(faults, schemas.FieldError{Pointer: "/channel", Detail: "stands beside subscribe; only one of them may be there"})
	case short:
		topics := b.Topics
		if topics == nil {
			topics = []string{schemas.AnyTopic}
		}
		req.Subscribe = schemas.Grants{{Channel: b.Channel, Topics: topics}}
	}
	if b.TTL != "" {
		ttl, err := time.ParseDuration(b.TTL)
		if err != nil || ttl == 0 {
			faults = append(faults, schemas.FieldError{Pointer: "/ttl", Detail: "is not a time such as 90s, 10m or 24h"})
		}
		req.TTL = ttl
	}
	if len(faults) > 0 {
		return req, &fieldsError{faults}
	}
	return req, nil
}

// subscribeURL returns a URL that a browser's EventSource can open as it is, for the
// channels in the grants.
func subscribeURL(address, token string, grants schemas.Grants) string {
	q := url.Values{"access_token": {token}}
	for _, g := range grants {
		q.Add("channel", string(g.Channel))
	}
	return address + "/v1/subscribe?" + q.Encode()
}

// revokeToken answers DELETE /v1/tokens/{jti}.
func (a *api) revokeToken(c echo.Context) error {
	jti, err := pathParam(c, "jti")
	if err != nil {
		return err
	}
	until, err := a.Auth.Revocable(jti)
	if err != nil {
		return err
	}
	if err := a.ClusterState.Put(c.Request().Context(), clusterstate.Item{Kind: kindRevocation, Name: jti, ExpiresAt: until}); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// jwks answers GET /.well-known/jwks.json. Caches may keep it for a minute, which is less
// than a new key is published before it signs.
func (a *api) jwks(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=60")
	return respond(c, http.StatusOK, "application/jwk-set+json", a.Auth.JWKS())
}
