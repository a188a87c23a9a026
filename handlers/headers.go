package handlers

import (
	"fmt"

	"github.com/labstack/echo/v4"
)

// singular are the headers that may have one value only. If there are two, each reader on
// the way may use a different one: the proxy that checks a credential, and the service
// that acts on it.
var singular = [...]string{
	echo.HeaderAuthorization, echo.HeaderContentType, echo.HeaderOrigin, "Idempotency-Key", "Last-Event-Id",
}

// Headers that tell publishers of their limits (draft-ietf-httpapi-ratelimit-headers-11), in the
// form in which net/http writes them.
const (
	policyHeader = "Ratelimit-Policy"
	quotaHeader  = "Ratelimit"
)

// checkHeaders refuses requests in which a singular header occurs more than once.
func checkHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Request().Header
		for _, name := range singular {
			if len(h[name]) > 1 {
				return fmt.Errorf("%w: more than one %s", ErrMalformed, name)
			}
		}
		return next(c)
	}
}
