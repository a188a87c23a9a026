package handlers

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/schemas"
)

// Options are what the handlers work with. All pointers are required.
type Options struct {
	// Stopping ends when the server is about to stop; bodies that would go on for
	// ever are cut then. Default: never.
	Stopping context.Context
	Broker   *broker.Broker
	Auth     *auth.Authority
	Catalog  *schemas.Catalog
	// Facts bring what is revoked, defined or disconnected here to every node;
	// [Service.Watch] must be called before the first request. Default: this node
	// is the only one, and Watch need not be called.
	Facts facts.Store
	Page  fs.FS // index.html and what it loads, side by side, and sdk/sluice.js
	Log   *slog.Logger

	MaxMessageBytes int           // longest event; bodies and lines are bounded by multiples of it
	WriteTimeout    time.Duration // how long a stream's socket may take nothing
	CORSOrigins     []string      // exact origins, or "*"
	TrustedProxies  []netip.Prefix
	// Dev allows any origin on localhost, and only requests that name a loopback
	// host, so that no foreign site reaches a developer's server.
	Dev bool
}

// api is the receiver of all handlers. Static after construction.
type api struct {
	Options
	metrics *metrics
	buffers buffers
	tally   tally
	done    func(s *broker.Stream, sent int64, err error) // finished, made once for all streams
}

// Service is the handler of the whole service.
type Service struct {
	http.Handler
	api *api
}

// New returns the service.
func New(o Options) *Service {
	if o.Stopping == nil {
		o.Stopping = context.Background()
	}
	alone := new(facts.Local)
	if o.Facts == nil {
		o.Facts = alone
	}
	a := &api{Options: o, metrics: newMetrics(o.Broker, o.Auth)}
	_ = alone.Watch(context.Background(), a.apply) // there is nothing yet that could be refused
	a.done = a.finished
	e := echo.New()
	e.HTTPErrorHandler = a.fail
	e.IPExtractor = extractIP(o.TrustedProxies)

	// Outermost first. Nothing here wraps or buffers a response.
	e.Use(a.identify, a.observe, a.recover, a.guardHost, a.cors, checkQuery)
	a.routes(e)
	return &Service{Handler: e, api: a}
}

// routes is the route table. A handler's last argument says who may call it:
// open to everybody, with any valid credential, or with an API key.
func (a *api) routes(e *echo.Echo) {
	open, token, key := a.open, a.token, a.key
	get := func(path string, h echo.HandlerFunc, who echo.MiddlewareFunc) { // HEAD is answered by net/http: the same without the body
		e.Match([]string{http.MethodGet, http.MethodHead}, path, h, who)
	}

	e.POST("/v1/publish/:channel/:topic", a.publish, token)
	e.POST("/v1/publish", a.publishMany, token)
	e.POST("/v1/publish/:channel/:topic/stream", a.publishBody, token)
	e.PUT("/v1/publish/:channel/:topic/stream", a.publishBody, token)
	e.PUT("/v1/channels/:channel/run", a.setRun, token)

	get("/v1/subscribe", a.subscribe, a.tokenOrQuery)
	get("/v1/channels/:channel/messages", a.history, token)

	e.POST("/v1/tokens", a.mintToken, key)
	e.DELETE("/v1/tokens/:jti", a.revokeToken, key)
	get("/.well-known/jwks.json", a.jwks, open)
	get("/v1/subscribers", a.listSubscribers, key)
	e.DELETE("/v1/subscribers", a.disconnect, key)

	get("/v1/channels", a.listChannels, key)
	get("/v1/channels/:channel", a.getChannel, token)
	e.DELETE("/v1/channels/:channel", a.deleteChannel, key)
	get("/v1/schemas", a.listSchemas, token)
	get("/v1/schemas/:name", a.getSchema, token)
	e.PUT("/v1/schemas/:name", a.putSchema, key)
	e.DELETE("/v1/schemas/:name", a.deleteSchema, key)

	get("/healthz", a.healthz, open)
	get("/readyz", a.readyz, open)
	get("/metrics", a.serveMetrics, open)
	get("/openapi.yaml", a.openAPI, open)
	get("/sdk/sluice.js", a.sdk, open)
	get("/", a.page("index.html"), open)
	for _, name := range files(a.Page) {
		get("/"+name, a.page(name), open)
	}
}
