package handlers

import (
	"io/fs"
	"mime"
	"net/http"
	"path"

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
		return err
	}
	return answer(c, http.StatusOK, health{"ready"})
}

// openAPI answers GET /openapi.yaml.
func (a *api) openAPI(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/yaml", schemas.OpenAPI())
}

// pagePolicy lets the page load its own files and talk to this server, and
// nothing else. It is what keeps a message with markup in it from running.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page answers GET / and each of the files that it loads.
func (a *api) page(name string) echo.HandlerFunc {
	return func(c echo.Context) error {
		data, err := fs.ReadFile(a.Page, name)
		if err != nil {
			return ErrNotFound
		}
		h := c.Response().Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set(echo.HeaderCacheControl, "no-cache")
		return c.Blob(http.StatusOK, mime.TypeByExtension(path.Ext(name)), data)
	}
}

// files returns the names of all files. Each has a route of its own: a route for
// any name would answer 405, and not 404, to what is nowhere.
func files(in fs.FS) []string {
	var names []string
	_ = fs.WalkDir(in, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return nil // what cannot be read is not served
	})
	return names
}
