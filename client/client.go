package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrBadURL is returned by [New].
var ErrBadURL = errors.New("client: bad server url")

// DefaultHeartbeat is what a server does between two signs of life when it is
// not configured otherwise.
const DefaultHeartbeat = 15 * time.Second

// Client holds the address of a server and the credential for it.
//
// Make one with [New] and keep it: it keeps its connections. All methods may be
// called at the same time from many goroutines.
type Client struct {
	// Static after construction.
	base       string // without a slash at its end
	credential func(context.Context) (string, error)
	renewable  bool // asking credential again may give another one
	http       *http.Client
	ownHTTP    bool // http was made here, so Close may close its connections
	silence    time.Duration
	retries    int
}

// Option changes a [Client] that [New] makes.
type Option func(*Client)

// WithHTTPClient makes the client send its requests through h, which stays the
// caller's. A [http.Client.Timeout] would cut every subscription when it
// elapses. Default: a client with a transport of its own.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { c.http, c.ownHTTP = h, false }
}

// WithHeartbeat tells how often the server shows that it is alive. A
// subscription that hears nothing for two and a half times as long takes its
// connection for dead and makes another. Default: [DefaultHeartbeat], as in the
// server; zero or less: a silent connection is never given up.
func WithHeartbeat(interval time.Duration) Option {
	return func(c *Client) { c.silence = interval * 5 / 2 }
}

// WithCredentials makes the client ask source for an API key or token before
// each request and each reconnection, in place of a fixed one. So a
// subscription lives on when its token expires. An error of source ends the
// call, and a subscription, with that error. A subscription that is refused with
// 401 asks once more before it gives up. source may be called by many goroutines
// at once.
func WithCredentials(source func(context.Context) (string, error)) Option {
	return func(c *Client) { c.credential, c.renewable = source, true }
}

// New returns a client of the server at rawURL (http or https; a path in it is
// kept as a prefix) with an API key or a token as its credential; "" sends none.
// It makes no request. It returns [ErrBadURL].
func New(rawURL, key string, opts ...Option) (*Client, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: it does not parse", ErrBadURL) // the cause would repeat a password
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w %q: it must begin with http:// or https://", ErrBadURL, u.Redacted())
	case u.Host == "":
		return nil, fmt.Errorf("%w %q: it names no host", ErrBadURL, u.Redacted())
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, fmt.Errorf("%w %q: only scheme, host and path are allowed", ErrBadURL, u.Redacted())
	}
	c := &Client{
		base:       strings.TrimRight(u.String(), "/"),
		credential: func(context.Context) (string, error) { return key, nil },
		retries:    DefaultRetries,
	}
	WithHeartbeat(DefaultHeartbeat)(c)
	for _, opt := range opts {
		opt(c)
	}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		c.http, c.ownHTTP = &http.Client{Transport: transport}, true
	}
	return c, nil
}

// Close closes idle connections, unless they belong to [WithHTTPClient]. Calls
// and subscriptions that are under way go on. The client stays usable.
func (c *Client) Close() {
	if c.ownHTTP {
		c.http.CloseIdleConnections()
	}
}

// Health asks whether the server is alive. It needs no credential and is not
// repeated.
func (c *Client) Health(ctx context.Context) error {
	return c.call(ctx, request{method: http.MethodGet, path: "/healthz"}, nil)
}
