package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Defaults and limits.
const (
	// DefaultHeartbeat is the default interval of a server's heartbeats.
	DefaultHeartbeat = 15 * time.Second
	// DefaultRetries is the default number of retries after transient failures.
	DefaultRetries = 5
	// MaxEventBytes is the largest event that a subscription reads: the largest message that a
	// server can be configured for, 1 MiB, and room for the fields around it.
	MaxEventBytes = 1<<20 + 4<<10
	// MaxTextBytes is how much of a text [Texts] and [Client.PublishStream] keep. Of a longer
	// text they keep the end.
	MaxTextBytes = 1 << 20
)

// Client holds the URL of a server and a credential for it.
//
// Make one with [New] and reuse it, since it keeps connections open. All methods are safe
// for concurrent use. An answer of the server may have at most 1 MiB, and 64 MiB if it answers
// a batch or lists definitions.
type Client struct {
	// Static after construction.
	base        string // without a slash at its end; "": that of each token
	credential  func(context.Context) (Token, error)
	renewable   bool // another call of credential may return another one
	located     bool // credential returns tokens with URLs
	http        *http.Client
	ownHTTP     bool          // http was made here, so Close may close its connections
	silence     time.Duration // after which a connection counts as dead; 0: never
	silenceSet  bool          // by the caller: the server is not asked
	retries     int
	traceparent func(context.Context) string // nil: requests name no span
	gather      *bool                        // nil: unless something may depend on the context of one message
	gatherer    *gatherer                    // nil: each message is sent by itself
}

// Option configures a [Client] in [New].
type Option func(*Client)

// WithHTTPClient makes the client send its requests through h, which the caller still
// owns. A [http.Client.Timeout] would end every subscription when it elapses. Default: a
// client with its own transport. Redirects are restricted in either case
// ([ErrRedirected]); the CheckRedirect of h can restrict them further.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { c.http, c.ownHTTP = h, false }
}

// WithHeartbeat sets the interval at which the server sends heartbeats. A subscription
// that receives nothing for two and a half times as long considers its connection dead
// and reconnects. Default: the interval that the server announces at the beginning of the
// stream, and [DefaultHeartbeat] until then. With zero or less, a silent connection never
// counts as dead.
func WithHeartbeat(interval time.Duration) Option {
	return func(c *Client) { c.silence, c.silenceSet = patienceFor(interval), true }
}

// WithCredentials makes the client call source for an API key or token before each request
// and each reconnection, instead of using a fixed one. So a subscription outlives its
// token. An error of source ends the call or the subscription with that error. A
// subscription that is refused with 401 calls source once more before it gives up. source
// must be safe for concurrent use.
func WithCredentials(source func(context.Context) (string, error)) Option {
	return func(c *Client) {
		c.renewable, c.located = true, false
		c.credential = func(ctx context.Context) (Token, error) {
			key, err := source(ctx)
			return Token{Token: key}, err
		}
	}
}

// WithTokens is [WithCredentials] for a source that returns whole answers of the server to
// a request for a token, such as a backend that passes them on. If [New] is given no URL,
// each request goes to the URL of its token, and fails with [ErrBadURL] if there is none.
func WithTokens(source func(context.Context) (Token, error)) Option {
	return func(c *Client) { c.credential, c.renewable, c.located = source, true, true }
}

// WithTraceparent makes the client call source for the span of each request's context, in the
// form of the header traceparent (W3C Trace Context); "" for none. Messages carry it to their
// readers, also those that share a request, and the spans of a server that traces are its
// children. With OpenTelemetry, source lets its propagator TraceContext inject the context into a
// map, and returns what that has. It must be safe for concurrent use. Default: requests name no
// span.
func WithTraceparent(source func(context.Context) string) Option {
	return func(c *Client) { c.traceparent = source }
}

// New returns a client of the server at rawURL. The URL is http or https, and its path is
// kept as a prefix; or it is unix: and the path of a socket, unless [WithHTTPClient] has
// its own way to connect. It may be empty beside [WithTokens]. The credential is an API key
// or a token; "" sends none. New makes no request. It returns [ErrBadURL].
func New(rawURL, key string, opts ...Option) (*Client, error) {
	if rawURL == "" {
		c := newClient("", key, opts, newTransport)
		if !c.located {
			return nil, fmt.Errorf("%w: it is empty", ErrBadURL)
		}
		return c, nil
	}
	if u, err := url.Parse(rawURL); err == nil && u.Scheme == "unix" {
		return newOverSocket(u, key, opts)
	}
	base, err := baseOf(rawURL)
	if err != nil {
		return nil, err
	}
	return newClient(base, key, opts, newTransport), nil
}

// baseOf checks the URL of a server and returns it without a slash at its end.
func baseOf(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: it does not parse", ErrBadURL) // the cause would repeat a password
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%w %q: it must begin with http://, https:// or unix:/", ErrBadURL, u.Redacted())
	case u.Host == "":
		return "", fmt.Errorf("%w %q: it names no host", ErrBadURL, u.Redacted())
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", fmt.Errorf("%w %q: only scheme, host and path are allowed", ErrBadURL, u.Redacted())
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// newOverSocket is [New] for the path of a Unix socket.
func newOverSocket(u *url.URL, key string, opts []Option) (*Client, error) {
	path := u.Path
	if !strings.HasPrefix(path, "/") || u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w %q: after unix: there must be an absolute path", ErrBadURL, u.Redacted())
	}
	return newClient("http://localhost", key, opts, func() *http.Transport {
		transport := newTransport()
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		return transport
	}), nil
}

func newClient(base, key string, opts []Option, transport func() *http.Transport) *Client {
	c := &Client{
		base:       base,
		credential: func(context.Context) (Token, error) { return Token{Token: key}, nil },
		retries:    DefaultRetries,
		silence:    patienceFor(DefaultHeartbeat),
	}
	for _, opt := range opts {
		opt(c)
	}
	if c.http == nil {
		c.http, c.ownHTTP = &http.Client{Transport: transport()}, true
	}
	if on := c.gather; on != nil && *on || on == nil && c.ownHTTP && !c.renewable {
		c.gatherer = newGatherer(c)
	}
	c.http = guarded(c.http)
	return c
}

// Close closes idle connections, unless they belong to the client of [WithHTTPClient].
// Running calls and subscriptions continue, and the client can still be used.
func (c *Client) Close() {
	if c.ownHTTP {
		c.http.CloseIdleConnections()
	}
}

// Health checks whether the server is alive. It needs no credential and never retries.
func (c *Client) Health(ctx context.Context) error {
	return c.call(ctx, request{method: http.MethodGet, path: "/healthz"}, nil)
}
