package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/internal/origin"
)

// cors lets pages of other origins use the service (Fetch standard, section 3.2). Listed
// origins may send credentials; those that only "*" allows may not.
func (a *api) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		page := c.Request().Header.Get(echo.HeaderOrigin)
		h := c.Response().Header()
		h.Add(echo.HeaderVary, "Origin")
		if page == "" || len(c.Request().Header[echo.HeaderOrigin]) > 1 {
			return next(c)
		}
		request(c).origin = page
		allowed := a.allow(page, h.Set)
		if c.Request().Method != http.MethodOptions || c.Request().Header.Get("Access-Control-Request-Method") == "" {
			return next(c)
		}
		h.Add(echo.HeaderVary, "Access-Control-Request-Headers")
		if allowed {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
			h.Set("Access-Control-Allow-Headers", requestHeaders(c.Request().Header.Values("Access-Control-Request-Headers")))
			h.Set("Access-Control-Max-Age", "600")
		}
		return c.NoContent(http.StatusNoContent)
	}
}

// allow sets the headers of an answer to a page of an origin, and reports whether the page
// may read it.
func (a *api) allow(page string, set func(name, value string)) bool {
	allowed, credentials := a.allows(page)
	if allowed != "" {
		set("Access-Control-Allow-Origin", allowed)
		set("Access-Control-Expose-Headers", "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, Stream-Attempt, Stream-Offset, Stream-State, WWW-Authenticate, X-Request-Id")
	}
	if credentials {
		set("Access-Control-Allow-Credentials", "true")
	}
	return allowed != ""
}

// ownHeaders are the request headers that the API uses.
const ownHeaders = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, X-Request-Id"

// requestHeaders returns the headers that a page may send: all that it asks for. Tracing
// adds some to each request (traceparent, baggage, sentry-trace), and headers without a
// meaning here do no harm. A * would not include Authorization.
func requestHeaders(asked []string) string {
	if list := strings.Join(asked, ", "); strings.Trim(list, ", ") != "" {
		return list
	}
	return ownHeaders
}

// allows returns the origin to allow, "" for none, and whether it may send credentials.
func (a *api) allows(page string) (allowed string, credentials bool) {
	switch {
	case slices.ContainsFunc(a.CORSOrigins, func(p string) bool { return origin.Matches(p, page) }), a.Dev && origin.Loopback(page):
		return page, true
	case slices.Contains(a.CORSOrigins, origin.Any):
		return origin.Any, false
	}
	return "", false
}
