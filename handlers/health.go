package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/schemas"
)

type health struct {
	Status string `json:"status"`
}

// healthz answers GET /healthz: the process is alive.
func (a *api) healthz(c echo.Context) error { return answer(c, http.StatusOK, health{"ok"}) }

// readyz answers GET /readyz: traffic may be sent here.
func (a *api) readyz(c echo.Context) error {
	if err := a.Broker.Ready(); err != nil {
		return &notReadyError{err}
	}
	return answer(c, http.StatusOK, health{"ready"})
}

// notReadyError is why the server may not be sent traffic; its text is told.
type notReadyError struct{ error }

// Unwrap returns the cause.
func (e *notReadyError) Unwrap() error { return e.error }

// openAPI answers GET /openapi.yaml.
func (a *api) openAPI(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/yaml", schemas.OpenAPI())
}
