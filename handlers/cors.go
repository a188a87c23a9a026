package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

// cors lets pages of other origins use the service, Fetch standard, section 3.2.
// Listed origins may send credentials; with "*" none may.
func (a *api) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		origin := c.Request().Header.Get(echo.HeaderOrigin)
		h := c.Response().Header()
		h.Add(echo.HeaderVary, "Origin")
		if origin == "" {
			return next(c)
		}
		allowed, credentials := a.allows(origin)
		if allowed != "" {
			h.Set("Access-Control-Allow-Origin", allowed)
			h.Set("Access-Control-Expose-Headers", "Idempotent-Replayed, Retry-After, WWW-Authenticate, X-Request-Id")
		}
		if credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		if c.Request().Method != http.MethodOptions || c.Request().Header.Get("Access-Control-Request-Method") == "" {
			return next(c)
		}
		if allowed != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id")
			h.Set("Access-Control-Max-Age", "600")
		}
		return c.NoContent(http.StatusNoContent)
	}
}

// allows returns the origin to allow, "" for none, and whether with credentials.
func (a *api) allows(origin string) (allowed string, credentials bool) {
	switch {
	case slices.Contains(a.CORSOrigins, origin), a.Dev && loopbackOrigin(origin):
		return origin, true
	case slices.Contains(a.CORSOrigins, "*"):
		return "*", false
	}
	return "", false
}
