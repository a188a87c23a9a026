package handlers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/internal/origin"
)

// pagePolicy lets the page load its own files and talk to this server, and nothing else.
// It keeps markup in a message from running.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page answers requests for a file of the page.
func (a *api) page(name string) echo.HandlerFunc {
	return func(c echo.Context) error {
		protect(c)
		return a.file(c, name, mime.TypeByExtension(path.Ext(name)))
	}
}

// protect sets the headers that all files of the page have.
func protect(c echo.Context) {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
}

// index answers GET /. On a developer's machine, the page finds an API key in itself.
func (a *api) index(c echo.Context) error {
	if a.PageKey == "" || !openedHere(c.Request()) {
		return a.page("index.html")(c)
	}
	data, err := fs.ReadFile(a.Page, "index.html")
	if err != nil {
		return ErrNotFound
	}
	protect(c)
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	const end = "</head>"
	data = bytes.Replace(data, []byte(end), []byte(`<meta name="sluice-key" content="`+a.PageKey+`">`+end), 1)
	return respond(c, http.StatusOK, mime.TypeByExtension(".html"), data)
}

// openedHere reports whether the request comes from this machine, is for it, and is not one
// whose answer a page of another origin could read. What a proxy or a tunnel passes on comes
// from elsewhere.
func openedHere(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() || !origin.LoopbackHost(origin.Hostname(r.Host)) {
		return false
	}
	for _, name := range []string{echo.HeaderOrigin, echo.HeaderXForwardedFor, "Forwarded", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return true
}

// sdk answers GET /sdk/sluice.js. Pages of all origins may import it, whatever
// --cors-origins says: it is public, and browsers always load modules with CORS.
func (a *api) sdk(c echo.Context) error {
	if h := c.Response().Header(); h.Get("Access-Control-Allow-Origin") == "" {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	return a.file(c, "sdk/sluice.js", "text/javascript; charset=utf-8")
}

// sdkPackage answers GET /sdk/sluice.tgz, which npm can install.
func (a *api) sdkPackage(c echo.Context) error {
	return a.file(c, "sdk/sluice.tgz", "application/gzip")
}

// file answers with a file, or with 304 if the client already has it. A new binary has
// new files at the same URLs, so clients must revalidate each time.
func (a *api) file(c echo.Context, name, media string) error {
	data, err := fs.ReadFile(a.Page, name)
	if err != nil {
		return ErrNotFound
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	h := c.Response().Header()
	h.Set("ETag", tag)
	h.Set(echo.HeaderCacheControl, "no-cache")
	if matchesTag(c.Request().Header.Values("If-None-Match"), tag) {
		return c.NoContent(http.StatusNotModified)
	}
	return respond(c, http.StatusOK, media, data)
}

// matchesTag does the weak comparison that If-None-Match requires (RFC 9110, section
// 13.1.2).
func matchesTag(values []string, tag string) bool {
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.TrimPrefix(item, "W/") == tag {
			return true
		}
	}
	return false
}

// files returns the names of the page's files, which are in one directory. Each has its
// own route: a route for any name would answer 405 instead of 404 to unknown paths.
func files(in fs.FS) []string {
	var names []string
	entries, _ := fs.ReadDir(in, ".") // what cannot be read is not served
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}
