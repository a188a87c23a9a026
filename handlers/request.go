package handlers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/internal/origin"
	"github.com/sluicehq/sluice/internal/tracing"
)

// Keys of log lines, each declared once.
const (
	keyError     = "error"
	keyRequestID = "request_id"
	keyMethod    = "method"
	keyRoute     = "route"
	keyStatus    = "status"
	keySeconds   = "seconds"
	keyAddress   = "address"
	keySubject   = "subject"
	keyKey       = "key" // the name of an API key
	keyProblem   = "problem"
	keyChannels  = "channels"
	keyMessages  = "messages"
	keyBytes     = "bytes"
	keyCode      = "code"
	keyReason    = "reason"
	keyStack     = "stack"
	keyTraceID   = "trace_id"
)

// answerTimeout is how long, in addition to the write time-out, a client may take to
// receive an answer that is not a stream.
const answerTimeout = 20 * time.Second

const requestKey = "sluice.request"

// requestInfo is what is known about one request, for its log line.
type requestInfo struct {
	id         string
	origin     string           // of the page that sent it, "" for none
	who        *auth.Principal  // nil until authenticated
	credential bool             // one was sent
	holder     string           // stands for the subject of a token that has none
	problem    kind             // of the answer, "" if the request succeeded
	cause      error            // of the problem
	stream     bool             // logged by the stream itself
	gone       bool             // the client has left, or does not accept the answer
	cut        bool             // the answer cannot be finished
	stack      []byte           // of a panic
	body       requestBody      // without a reader if there is none, and over HTTP/2
	taken      bool             // the connection is no longer net/http's
	limited    *limitedCaller   // nil: its publishes are not limited
	rest       *streamWriter    // with which the answer goes on; nil if it is complete
	trace      *tracing.Request // nil: there is no tracing
}

// statusGone is the status in logs and metrics for an answer that the client did not
// accept. No client ever sees it.
const statusGone = 499

// errPanic is the error of a request whose handler panicked.
var errPanic = errors.New("handlers: panic")

func (r *requestInfo) failed(k kind, cause error) { r.problem, r.cause = k, cause }

// request returns what is known about the request.
func request(c echo.Context) *requestInfo {
	if r, ok := c.Get(requestKey).(*requestInfo); ok {
		return r
	}
	return &requestInfo{}
}

func requestID(c echo.Context) string { return request(c).id }

// identify gives the request an id, which every answer carries. It keeps the client's own
// id if that is short and plain.
func (a *api) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !plain(id) {
			id = newRequestID()
		}
		info := &requestInfo{id: id}
		c.Set(requestKey, info)
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.Response().Header().Set(echo.HeaderXContentTypeOptions, "nosniff")
		c.Response().Before(func() { // one for all: each costs a request two allocations
			if info.body.present() {
				info.body.beforeAnswer(c)
			}
			// A stream sets its own deadline with each write.
			if policy, state := a.quotas(info); policy != "" {
				c.Response().Header().Set(policyHeader, policy)
				c.Response().Header().Set(quotaHeader, state)
			}
			_ = controller(c).SetWriteDeadline(time.Now().Add(a.WriteTimeout + answerTimeout))
		})
		return next(c)
	}
}

// newRequestID returns 80 random bits as text: streams keep it as long as they live.
func newRequestID() string { return rand.Text()[:16] }

// plain reports whether id is safe in a header and in a log line.
func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// observe counts the request and logs it: faults of the server as errors, everything else
// at the debug level. It logs the route, not the path, which names channels.
func (a *api) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		if a.Tracer != nil {
			a.trace(c, began)
		}
		if err := next(c); err != nil {
			c.Error(err)
		}
		r, x := request(c), exchange{c.Request().Method, c.Path(), c.Response().Status, time.Since(began)}
		if x.route == "" {
			x.route = "none"
		}
		if r.gone {
			x.status = statusGone
		}
		a.metrics.request(x, r)
		r.answered(x)
		if level := r.level(x.status); (!r.stream || r.cause != nil) && a.Log.Enabled(c.Request().Context(), level) {
			a.logRequest(c.Request().Context(), level, x, r, c.RealIP())
		}
		if r.cut {
			panic(http.ErrAbortHandler) // abort the connection, or the answer would look complete
		}
		return nil
	}
}

// trace begins the span of a request that publishes or subscribes. If its body has messages with all that is
// known of them, the span begins with the first of these.
func (a *api) trace(c echo.Context, began time.Time) {
	r, operation, whole := c.Request(), tracing.Publish, false
	switch c.Path() {
	case publishRoute, textRoute, runRoute:
	case manyRoute:
		whole = true
	case subscribeRoute:
		operation = tracing.Subscribe
	default:
		return
	}
	if r.Method == http.MethodHead || r.Method == http.MethodDelete {
		return
	}
	// Several fields of that name are one list.
	parent := tracing.Parent{Traceparent: traceparent(c), Tracestate: strings.Join(r.Header["Tracestate"], ",")}
	request(c).trace = a.Tracer.Request(operation, parent, began)
	if !whole {
		request(c).trace.Begin()
	}
}

// answered ends the span of a request.
func (r *requestInfo) answered(x exchange) {
	r.trace.Answered(tracing.Answer{Method: x.method, Route: x.route, Status: x.status, Problem: string(r.problem)})
}

// exchange is a request that was answered, as metrics and logs see it.
type exchange struct {
	method, route string
	status        int
	took          time.Duration
}

// level is the level of the log line of a request.
func (r *requestInfo) level(status int) slog.Level {
	switch {
	case r.problem == internal || r.cut:
		return slog.LevelError
	case status == http.StatusUnauthorized:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (a *api) logRequest(ctx context.Context, level slog.Level, x exchange, r *requestInfo, address string) {
	attrs := []slog.Attr{
		slog.String(keyRequestID, r.id), slog.String(keyMethod, x.method), slog.String(keyRoute, x.route),
		slog.Int(keyStatus, x.status), slog.Float64(keySeconds, seconds(x.took)), slog.String(keyAddress, address),
	}
	if r.who != nil && r.who.KeyName != "" {
		attrs = append(attrs, slog.String(keyKey, r.who.KeyName))
	}
	if r.problem != "" {
		attrs = append(attrs, slog.String(keyProblem, string(r.problem)))
	}
	if r.problem == unauthorized || r.problem == internal || r.cut {
		// The client does not learn the cause of these. It learns that of other
		// problems, whose text may repeat what it sent.
		attrs = append(attrs, slog.Any(keyError, r.cause))
	}
	if id := r.trace.Span().TraceID(); id != "" {
		attrs = append(attrs, slog.String(keyTraceID, id))
	}
	if r.stack != nil {
		attrs = append(attrs, slog.String(keyStack, string(r.stack)))
	}
	a.Log.LogAttrs(ctx, level, "request", attrs...)
}

// seconds returns d for a log line, to the tenth of a millisecond.
func seconds(d time.Duration) float64 { return d.Round(100 * time.Microsecond).Seconds() }

// recover turns a panic into a 500 and keeps the server up.
func (a *api) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v) // this is how net/http aborts the connection
			default:
				request(c).stack = debug.Stack()
				err = fmt.Errorf("%w: %v", errPanic, v)
			}
		}()
		return next(c)
	}
}

// guardHost refuses, in development, requests for a host that is neither this machine nor
// allowed. Such a request comes from a site whose name an attacker has pointed at 127.0.0.1.
func (a *api) guardHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !a.answersFor(c.Request().Host) {
			return fmt.Errorf("%w: in development only requests to localhost are answered, and to the hosts in --dev-allow-hosts", ErrMisdirected)
		}
		return next(c)
	}
}

// answersFor reports whether requests with this Host header are answered.
func (a *api) answersFor(hostport string) bool {
	host := origin.Hostname(hostport)
	return !a.Dev || origin.LoopbackHost(host) || slices.Contains(a.DevHosts, strings.ToLower(host))
}
