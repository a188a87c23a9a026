package handlers

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/internal/proxies"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/internal/system"
	"github.com/sluicehq/sluice/internal/tracing"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/webhooks"
)

// Options are what the handlers need. All pointers are required.
type Options struct {
	// Stopping ends when the server is about to stop. Endless bodies are cut off then.
	// Default: never.
	Stopping context.Context
	Broker   *broker.Broker
	Auth     *auth.Authority
	Catalog  *schemas.Catalog
	// Presence is the audience of Broker. Default: it knows no reader.
	Presence *presence.Registry
	// ClusterState brings revocations, definitions and orders to disconnect to every
	// node. [Service.Watch] must be called before the first request. Default: this
	// node is the only one, and Watch need not be called.
	ClusterState clusterstate.Store
	Page         fs.FS // index.html and what it loads, side by side, sdk/sluice.js and sdk/sluice.tgz
	Log          *slog.Logger
	// Node is told to those who read the channel $system.
	Node system.Node
	// NodeBus connects the node with the others, which are told there, too. Default: it is
	// alone.
	NodeBus system.Bus
	// LogLost returns the number of lines that Log had to drop. Default: 0.
	LogLost func() uint64

	// Webhooks sends events. Default: there are no webhooks.
	Webhooks *webhooks.Sender

	// Connections returns figures about connections before their first request. Default:
	// all 0.
	Connections func() ConnectionStats

	MaxMessageBytes int           // largest event; the limits of bodies and lines are multiples of it
	WriteTimeout    time.Duration // how long the socket of a stream may accept nothing
	CORSOrigins     []string      // as origin.Parse returns them
	TrustedProxies  proxies.Trusted
	// Limits limit what one caller may publish in a second. Default: no limits.
	Limits *ratelimit.Limits
	// PublicURL is the URL at which clients reach the service, including the path that a
	// proxy puts in front, without a slash at the end. Default: the URL of each request.
	PublicURL string
	// TokenCookie is the name of a cookie that may carry the token of GET
	// /v1/subscribe. Default: none.
	TokenCookie string
	// Dev allows any origin on localhost, and only requests to a loopback host or one of
	// DevHosts, so that no other site reaches a developer's server.
	Dev      bool
	DevHosts []string // in lower case, without ports
	// PageKey is an API key that the page at / finds in itself if it is opened on this
	// machine. Default: whoever opens the page enters a credential.
	PageKey string
	// Tracer makes spans of requests that publish. Default: none are made.
	Tracer *tracing.Tracer
}

// ConnectionStats are counters since the start.
type ConnectionStats struct {
	AcceptFailures int64 // times that a connection could not be accepted because descriptors had run out
	Shed           int64 // idle connections that were closed to free descriptors
}

// api is the receiver of all handlers. Static after construction.
type api struct {
	Options
	metrics  *metrics
	buffers  buffers
	outgoing sync.Pool // of *outgoing
	tally    tally
	system   *system.System
	clientOf echo.IPExtractor
	asks     map[string]parameter                                     // of GET /v1/subscribe
	done     [carriages]func(s *broker.Stream, sent int64, err error) // finished, made once for all streams
}

// Service is the handler of the whole service.
type Service struct {
	// Static after construction.
	api   *api
	echo  *echo.Echo       // the routes
	every echo.HandlerFunc // what all requests pass
}

// ServeHTTP implements [http.Handler]. A stream over HTTP/2 begins when everything that
// its request needed is gone again, including most of the stack: there may be very many.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := s.answer(w, r)
	if out == nil {
		return
	}
	defer out.close()
	r.Header, r.URL, r.Host, r.RequestURI = nil, nil, "", "" // net/http keeps the request
	for out.writeReady() {
		out.err = out.stream.Wait(r.Context()) // nothing may stand between this and net/http, see there
	}
}

// answer answers a request, or returns the stream with which its answer goes on.
func (s *Service) answer(w http.ResponseWriter, r *http.Request) *streamWriter {
	c := s.echo.AcquireContext()
	defer s.echo.ReleaseContext(c)
	c.Reset(r, w)
	s.echo.Router().Find(r.Method, echo.GetPath(r), c)
	if err := s.every(c); err != nil {
		s.api.fail(err, c)
	}
	return request(c).rest
}

// New returns the service. The caller must close it before the broker.
func New(o Options) *Service {
	if o.Stopping == nil {
		o.Stopping = context.Background()
	}
	if o.LogLost == nil {
		o.LogLost = func() uint64 { return 0 }
	}
	if o.Connections == nil {
		o.Connections = func() ConnectionStats { return ConnectionStats{} }
	}
	if o.Presence == nil {
		o.Presence = presence.New(presence.Options{})
	}
	alone := new(clusterstate.Local)
	if o.ClusterState == nil {
		o.ClusterState = alone
	}
	a := &api{Options: o, metrics: newMetrics(o), clientOf: o.TrustedProxies.ClientOf, asks: parameters(subscribeQuery)}
	_ = alone.Watch(context.Background(), a.apply) // nothing is stored yet, so nothing can be refused
	for by := range a.done {
		a.done[by] = func(s *broker.Stream, sent int64, err error) { a.finished(s, carriage(by), sent, err) }
	}
	a.system = system.New(system.Options{Broker: o.Broker, Node: o.Node, Bus: o.NodeBus, Requests: a.requests, Log: o.Log})
	o.Auth.OnKeyChange(a.endStreamsOf)
	e := echo.New()
	e.HTTPErrorHandler = a.fail
	e.IPExtractor = a.clientOf

	// Outermost first. Nothing here wraps or buffers a response.
	every := chain(func(c echo.Context) error { return c.Handler()(c) },
		a.identify, a.spare, a.linger, a.observe, a.recover, a.guardHost, a.cors, checkHeaders, checkQuery)
	a.routes(e)
	return &Service{api: a, echo: e, every: every}
}

// chain returns h behind middleware, outermost first. Echo would build the chain for each
// request, with one allocation for every part.
func chain(h echo.HandlerFunc, middleware ...echo.MiddlewareFunc) echo.HandlerFunc {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// routes is the route table. After the handler comes who may call it: everybody (open),
// holders of any valid credential, or holders of an API key that may do everything; then
// whether it counts for the limits of publishing (limited), and, for all routes of the API, the
// parameters of its query.
func (a *api) routes(e *echo.Echo) {
	open, token, admin, limited := a.open, a.token, a.admin, a.limited
	add := func(method, path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
		e.Add(method, path, chain(h, m...))
	}
	get := func(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) { // net/http answers HEAD with the same headers and no body
		add(http.MethodGet, path, h, m...)
		add(http.MethodHead, path, h, m...)
	}

	add(http.MethodPost, publishRoute, a.publish, token, limited, query("run_id?"))
	add(http.MethodPost, manyRoute, a.publishMany, token, limited, query(""))
	add(http.MethodPost, textRoute, a.publishBody, token, limited, query("run_id? stream_id attempt offset"))
	add(http.MethodPut, textRoute, a.publishBody, token, limited, query("run_id? stream_id attempt offset"))
	add(http.MethodHead, textRoute, a.textStatus, token, query("run_id? stream_id attempt offset"))
	add(http.MethodDelete, textRoute, a.abortText, token, query("stream_id attempt"))
	add(http.MethodPut, runRoute, a.setRun, token, limited, query(""))

	get(subscribeRoute, a.subscribe, a.tokenOrQuery, query(subscribeQuery))
	add(http.MethodPost, subscribeRoute, a.subscribePost, token, query(""))
	get("/v1/channels/:channel/messages", a.history, token, query("topic* after before limit order"))
	get("/v1/channels/:channel/presence", a.getPresence, token, query(""))

	add(http.MethodPost, "/v1/tokens", a.mintToken, admin, query(""))
	add(http.MethodDelete, "/v1/tokens/:jti", a.revokeToken, admin, query(""))
	get("/v1/subscribers", a.listSubscribers, admin, query("channel sub limit"))
	add(http.MethodDelete, "/v1/subscribers", a.disconnect, admin, query("channel sub"))
	get("/v1/webhooks", a.listWebhooks, admin, query(""))

	get("/v1/channels", a.listChannels, admin, query("prefix? after limit"))
	get("/v1/channels/:channel", a.getChannel, token, query(""))
	add(http.MethodDelete, "/v1/channels/:channel", a.deleteChannel, admin, query(""))
	get("/v1/schemas", a.listSchemas, token, query(""))
	get("/v1/schemas/:name", a.getSchema, token, query(""))
	add(http.MethodPut, "/v1/schemas/:name", a.putSchema, admin, query("dry_run"))
	add(http.MethodDelete, "/v1/schemas/:name", a.deleteSchema, admin, query(""))

	get("/.well-known/jwks.json", a.jwks, open)
	get("/healthz", a.healthz, open)
	get("/readyz", a.readyz, open)
	get("/metrics", a.serveMetrics, open)
	get("/openapi.yaml", a.openAPI, open)
	get("/sdk/sluice.js", a.sdk, open)
	get("/sdk/sluice.tgz", a.sdkPackage, open)
	get("/", a.index, open)
	for _, name := range files(a.Page) {
		get("/"+name, a.page(name), open)
	}
}
