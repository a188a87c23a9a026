package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/schemas"
)

type health struct {
	Status string `json:"status"`
}

// healthz answers GET /healthz, which says that the process is alive.
func (a *api) healthz(c echo.Context) error { return answer(c, http.StatusOK, health{"ok"}) }

// readyz answers GET /readyz, which says whether this server can take traffic.
func (a *api) readyz(c echo.Context) error {
	if err := a.Broker.Ready(); err != nil {
		return &notReadyError{err}
	}
	return answer(c, http.StatusOK, health{"ready"})
}

// notReadyError says why the server cannot take traffic. Its text is sent to the client.
type notReadyError struct{ error }

// Unwrap returns the cause.
func (e *notReadyError) Unwrap() error { return e.error }

// openAPI answers GET /openapi.yaml.
func (a *api) openAPI(c echo.Context) error {
	return respond(c, http.StatusOK, "application/yaml", schemas.OpenAPI())
}
