package client

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxIdle is the most idle connections: a program that publishes from many goroutines
	// at once needs that many time and again.
	maxIdle = 256
	// idleTimeout is how long they stay open, which is less than at servers and proxies.
	idleTimeout = 55 * time.Second
	// maxRedirects is the most redirects that are followed on one server.
	maxRedirects = 10
)

// newTransport returns a transport that keeps connections open.
func newTransport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = maxIdle, maxIdle
	transport.IdleConnTimeout = idleTimeout
	return transport
}

// guarded returns h without redirects that would send the credential elsewhere. For
// net/http, another port, http instead of https, and every subdomain are the same host.
func guarded(h *http.Client) *http.Client {
	copied, allowed := *h, h.CheckRedirect
	copied.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		switch {
		case req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host || req.Method != first.Method:
			return fmt.Errorf("%w: %s %s", ErrRedirected, req.Method, address(req.URL))
		case allowed != nil:
			return allowed(req, via)
		case len(via) >= maxRedirects:
			return fmt.Errorf("%w: %d times", ErrRedirected, len(via))
		}
		return nil
	}
	return &copied
}

// address returns u without the parts that may be secret.
func address(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
