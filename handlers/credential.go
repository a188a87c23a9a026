package handlers

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// open admits everybody.
func (a *api) open(next echo.HandlerFunc) echo.HandlerFunc { return next }

// token admits requests with a valid token or API key in the Authorization header.
func (a *api) token(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := a.authenticate(c.Request().Context(), request(c), bearer(c)); err != nil {
			return err
		}
		return next(c)
	}
}

// tokenOrQuery is like token, but a token may be in the query or a cookie instead, since
// EventSource cannot set headers (RFC 6750, section 2.3). An API key may not: URLs end up
// in the logs of proxies.
func (a *api) tokenOrQuery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header, query := bearer(c), c.QueryParam("access_token")
		if header != "" && query != "" || len(c.QueryParams()["access_token"]) > 1 {
			return fmt.Errorf("%w: more than one credential", ErrMalformed)
		}
		credential := header + query
		if credential == "" {
			credential = a.cookie(c.Request())
		}
		err := a.authenticate(c.Request().Context(), request(c), credential)
		if err != nil {
			return a.turnAway(c, err)
		}
		if header == "" && principal(c).APIKey() {
			return errKeyInURL()
		}
		return next(c)
	}
}

func errKeyInURL() error {
	return fmt.Errorf("%w: an API key in a query string or a cookie", auth.ErrUnauthorized)
}

// cookie returns the token in the configured cookie, "" if there is none. A browser sends
// cookies with the requests of any site's pages, so only pages of this origin and of
// allowed origins may use the cookie.
func (a *api) cookie(r *http.Request) string {
	if a.TokenCookie == "" {
		return ""
	}
	if origin := r.Header.Get(echo.HeaderOrigin); origin != "" {
		if _, credentials := a.allows(origin); !credentials && origin != ownOrigin(r) {
			return ""
		}
	} else if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return ""
	}
	cookies := r.CookiesNamed(a.TokenCookie)
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// ownOrigin returns the origin of the pages that this server serves.
func ownOrigin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// admin admits requests with an API key that may do everything.
func (a *api) admin(next echo.HandlerFunc) echo.HandlerFunc {
	return a.token(func(c echo.Context) error {
		if !principal(c).Admin {
			return fmt.Errorf("%w: only an API key that may do everything may do this", ErrForbidden)
		}
		return next(c)
	})
}

// authenticate determines the principal of the credential of request r.
func (a *api) authenticate(ctx context.Context, r *requestInfo, credential string) error {
	if r.credential = credential != ""; !r.credential {
		return fmt.Errorf("%w: no credential", auth.ErrUnauthorized)
	}
	who, err := a.Auth.Authenticate(ctx, credential)
	r.who = who
	if err == nil && !who.APIKey() && who.Subject == "" && who.TokenID == "" {
		digest := sha256.Sum256([]byte(credential))
		r.holder = string(digest[:16]) // otherwise no limit would count its streams
	}
	return err
}

// principal returns the caller. Only handlers behind token, tokenOrQuery or admin have one.
func principal(c echo.Context) *auth.Principal { return request(c).who }

// bearer returns the credential in the Authorization header, "" if there is none. The
// scheme is case-insensitive (RFC 9110, section 11.1).
func bearer(c echo.Context) string {
	return bearerIn(c.Request().Header.Get(echo.HeaderAuthorization))
}

func bearerIn(header string) string {
	scheme, credential, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(credential)
}

// mayPublish returns an error that names the channel and topic if they are not granted.
func mayPublish(who *auth.Principal, channel schemas.Channel, topic schemas.Topic) error {
	if !who.Publish.Allows(channel, topic) {
		return fmt.Errorf("%w: publishing to channel %q, topic %q", ErrForbidden, channel, topic)
	}
	return nil
}

// mayRead returns the granted topics of the channels, or the requested topics if there
// are any: asked is their set. It leaves out nothing silently: an error names what is not
// granted. Presence must be asked for, unless it is all that is granted.
func mayRead(who *auth.Principal, channels schemas.Pattern, topics []string, asked schemas.TopicSet) (schemas.TopicSet, error) {
	granted, ok := who.Subscribe.TopicsOf(channels)
	if !ok {
		return schemas.TopicSet{}, fmt.Errorf("%w: reading channel %q", ErrForbidden, channels)
	}
	if len(topics) == 0 {
		if rest, some := granted.Without(schemas.TopicPresence); some {
			return rest, nil
		}
		return granted, nil
	}
	for _, topic := range topics {
		switch allowed := granted.Has(schemas.Topic(topic)); topic { // a list of names never contains *
		case string(schemas.TopicRun): // every reader gets it
		case string(schemas.TopicPresence):
			if err := maySeePresence(who, channels); err != nil {
				return schemas.TopicSet{}, err
			}
		default:
			if !allowed {
				return schemas.TopicSet{}, fmt.Errorf("%w: reading channel %q, topic %q", ErrForbidden, channels, topic)
			}
		}
	}
	return asked, nil
}

// maySeePresence returns an error unless the topic of presence is granted by its name. An API
// key that may do everything needs no grant.
func maySeePresence(who *auth.Principal, channels schemas.Pattern) error {
	if !who.Admin && !who.Subscribe.Names(channels, schemas.TopicPresence) {
		return fmt.Errorf("%w: reading channel %q, topic %q, which must be granted by its name", ErrForbidden, channels, schemas.TopicPresence)
	}
	return nil
}
