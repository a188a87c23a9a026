package handlers

import (
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// address returns the URL at which clients reach the service, without a slash at the end:
// the configured one, or the one of the request. Headers of a trusted proxy override
// those of the request.
func (a *api) address(c echo.Context) string {
	if a.PublicURL != "" {
		return a.PublicURL
	}
	r := c.Request()
	seen := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		seen.Scheme = "https"
	}
	if !a.TrustedProxies.Peer(r.RemoteAddr) {
		return seen.String()
	}
	if scheme := strings.ToLower(firstOf(r.Header.Get(echo.HeaderXForwardedProto))); scheme == "http" || scheme == "https" {
		seen.Scheme = scheme
	}
	// Only a host and a port: anything else would change the URL.
	host := firstOf(r.Header.Get("X-Forwarded-Host"))
	if u, err := url.Parse("//" + host); err == nil && host != "" && u.Host == host {
		seen.Host = host
	}
	return seen.String()
}

// firstOf returns the value that the proxy closest to the client has set, of a header to
// which each proxy may add.
func firstOf(header string) string {
	first, _, _ := strings.Cut(header, ",")
	return strings.TrimSpace(first)
}
