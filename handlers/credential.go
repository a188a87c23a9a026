package handlers

import (
	"fmt"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// open lets everybody in.
func (a *api) open(next echo.HandlerFunc) echo.HandlerFunc { return next }

// token lets in who has a valid token or API key in the Authorization header.
func (a *api) token(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := a.authenticate(c, bearer(c)); err != nil {
			return err
		}
		return next(c)
	}
}

// tokenOrQuery is token, but a token may stand in the query instead: EventSource
// cannot set headers (RFC 6750, section 2.3). An API key may not: addresses end
// up in the logs of proxies.
func (a *api) tokenOrQuery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		inHeader, inQuery := bearer(c), c.QueryParam("access_token")
		if inHeader != "" && inQuery != "" || len(c.QueryParams()["access_token"]) > 1 {
			return fmt.Errorf("%w: more than one credential", ErrMalformed)
		}
		err := a.authenticate(c, inHeader+inQuery)
		if ending, later := notNow(err); later && format(c.Request()) == broker.SSE {
			return a.refuse(c, ending)
		}
		if err != nil {
			return err
		}
		if inQuery != "" && principal(c).Admin {
			return fmt.Errorf("%w: an API key in a query string", auth.ErrUnauthorized)
		}
		return next(c)
	}
}

// key lets in who has an API key.
func (a *api) key(next echo.HandlerFunc) echo.HandlerFunc {
	return a.token(func(c echo.Context) error {
		if !principal(c).Admin {
			return fmt.Errorf("%w: only an API key may do this", ErrForbidden)
		}
		return next(c)
	})
}

// authenticate finds out who the credential speaks for.
func (a *api) authenticate(c echo.Context, credential string) error {
	r := request(c)
	if r.credential = credential != ""; !r.credential {
		return fmt.Errorf("%w: no credential", auth.ErrUnauthorized)
	}
	who, err := a.Auth.Authenticate(c.Request().Context(), credential)
	r.who = who
	return err
}

// principal returns who calls; only behind token, tokenOrQuery or key.
func principal(c echo.Context) *auth.Principal { return request(c).who }

// bearer returns the credential of the Authorization header, "" if there is
// none. The scheme's case does not matter (RFC 9110, section 11.1).
func bearer(c echo.Context) string {
	scheme, credential, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(credential)
}

// mayPublish returns an error that names what is not granted.
func mayPublish(who *auth.Principal, channel schemas.Channel, topic schemas.Topic) error {
	if !who.Publish.Allows(channel, topic) {
		return fmt.Errorf("%w: publishing to channel %q, topic %q", ErrForbidden, channel, topic)
	}
	return nil
}

// mayRead returns the topics of the channels that are granted, those asked for
// if there are any: asked is the set of topics. Nothing is silently left out: an error names what is not
// granted.
func mayRead(who *auth.Principal, channels schemas.Pattern, topics []string, asked schemas.TopicSet) (schemas.TopicSet, error) {
	granted, ok := who.Subscribe.TopicsOf(channels)
	if !ok {
		return schemas.TopicSet{}, fmt.Errorf("%w: reading channel %q", ErrForbidden, channels)
	}
	if len(topics) == 0 {
		return granted, nil
	}
	for _, topic := range topics {
		if topic == string(schemas.TopicRun) {
			continue // every reader is sent it
		}
		if !granted.Has(schemas.Topic(topic)) { // * is in no list of names
			return schemas.TopicSet{}, fmt.Errorf("%w: reading channel %q, topic %q", ErrForbidden, channels, topic)
		}
	}
	return asked, nil
}
