package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/broker/texts"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/schemas"
)

// Errors of the handlers themselves.
var (
	ErrMalformed            = errors.New("handlers: malformed request")
	ErrForbidden            = errors.New("handlers: not granted")
	ErrNotFound             = errors.New("handlers: not found")
	ErrMethodNotAllowed     = errors.New("handlers: method not allowed")
	ErrBodyTimeout          = errors.New("handlers: the body did not arrive in time")
	ErrTooLarge             = errors.New("handlers: too large")
	ErrUnsupportedMediaType = errors.New("handlers: unsupported media type")
	ErrMisdirected          = errors.New("handlers: not a loopback host")
)

// problemType is the media type of problems (RFC 9457).
const problemType = "application/problem+json"

// kind is one kind of problem, by the last part of its type.
type kind string

// Every kind of problem that is ever answered.
const (
	malformed         kind = "malformed"
	unauthorized      kind = "unauthorized"
	forbidden         kind = "forbidden"
	notFound          kind = "not-found"
	methodNotAllowed  kind = "method-not-allowed"
	requestTimeout    kind = "request-timeout"
	conflict          kind = "conflict"
	superseded        kind = "superseded"
	tooLarge          kind = "too-large"
	unsupportedMedia  kind = "unsupported-media-type"
	schemaViolation   kind = "schema-violation"
	unknownTopic      kind = "unknown-topic"
	badSchema         kind = "bad-schema"
	rateLimited       kind = "rate-limited"
	tooManyStreams    kind = "too-many-streams"
	internal          kind = "internal"
	draining          kind = "draining"
	engineUnavailable kind = "engine-unavailable"
	engineTimeout     kind = "engine-timeout"
)

//go:generate env UPDATE_REFERENCE=1 go test -run TestProblemTable_reference .

// spec says how a kind is answered.
type spec struct {
	kind       kind
	status     int
	title      string
	retryAfter int    // seconds; 0 for none
	when       string // for the table in docs/reference.md
}

// specs has every kind, in the order of the statuses.
var specs = []spec{
	{malformed, 400, "The request is not understood", 0, "the request is not JSON, nests it more than 500 levels deep, or has an invalid name, or an unknown or invalid parameter in the query"},
	{unauthorized, 401, "A valid credential is needed", 0, "the credential is missing or invalid. The answer is the same for every defect; the log has the cause"},
	{forbidden, 403, "The credential does not grant this", 0, "the credential is valid but does not grant this. The answer names the channel and the topic"},
	{notFound, 404, "Not found", 0, "no such route, channel or definition"},
	{methodNotAllowed, 405, "The method is not allowed here", 0, "the address exists, but not with this method; `Allow` lists the methods"},
	{requestTimeout, 408, "The request did not arrive in time", 0, "the body took more than 20 seconds. Stream what takes longer, as NDJSON or as text"},
	{conflict, 409, "Conflict with the current state", 0, "the run has already ended, with another status; or a text cannot be continued like this: it differs from what the server has, begins beyond its end (which is at `offset`), was aborted (`state`), or another connection has taken it over"},
	{superseded, 409, "A later attempt has taken the text", 0, "the text is published by a higher attempt"},
	{tooLarge, 413, "Too large", 0, "the body, a line or a message exceeds its limit"},
	{unsupportedMedia, 415, "The media type is not supported", 0, "the route does not accept the `Content-Type` of the body"},
	{schemaViolation, 422, "The message does not match its schema", 0, "the message breaks its schema, and `errors` points to the first 32 faults; or checking it took too much work"},
	{unknownTopic, 422, "The channel has no such topic", 0, "the channel's definition is strict and does not have this topic"},
	{badSchema, 422, "The definition cannot be used", 0, "the schema does not compile, or the definition is malformed or conflicts with another one"},
	{rateLimited, 429, "A limit is reached", 5, "the caller publishes too much, or there are too many channels, revocations or definitions; with `Retry-After`"},
	{tooManyStreams, 429, "Too many streams", 5, "there are too many streams; with `Retry-After`. A Server-Sent Events request gets `$close` 4029 instead"},
	{internal, 500, "Internal server error", 0, "something failed in the server. The log has the cause, under the `instance` of the answer"},
	{draining, 503, "The server is about to stop", 1, "the server is shutting down; with `Retry-After`. A Server-Sent Events request gets `$close` 4002 instead"},
	{engineUnavailable, 503, "The engine cannot be reached", 2, "the engine cannot be reached or cannot write, the keys of a token's issuer could not be fetched yet, or the server was too busy writing to readers to accept a publish; with `Retry-After`. A Server-Sent Events request gets `$close` 4005 instead"},
	{engineTimeout, 504, "The engine did not answer in time", 0, "the engine did not answer in time, so the request may have taken effect. Retry a publish with the same `Idempotency-Key`; repeat anything else"},
}

// spec returns how k is answered.
func (k kind) spec() spec {
	return specs[slices.IndexFunc(specs, func(s spec) bool { return s.kind == k })]
}

// mapping says what an error becomes.
type mapping struct {
	err  error
	kind kind
}

// mappings is the only place where errors become answers. The first match counts. Any
// other error is a 500, whose cause is logged and never sent.
var mappings = []mapping{
	{auth.ErrIssuerUnavailable, engineUnavailable}, // also unauthorized; it may be good yet
	{auth.ErrUnauthorized, unauthorized},
	{auth.ErrBadTTL, malformed},
	{auth.ErrBadSubject, malformed},
	{auth.ErrNoGrant, malformed},
	{auth.ErrBadTokenID, malformed},
	{auth.ErrTooManyRevocations, rateLimited},

	{schemas.ErrSchemaViolation, schemaViolation},
	{schemas.ErrTooMuchWork, schemaViolation},
	{schemas.ErrUnknownTopic, unknownTopic},
	{schemas.ErrBadSchema, badSchema},
	{schemas.ErrBadDefinition, badSchema},
	{schemas.ErrTooManyDefinitions, rateLimited},
	{schemas.ErrNoDefinition, notFound},
	{schemas.ErrBadGrant, malformed},
	{strictjson.ErrTooDeep, malformed},
	{strictjson.ErrNotUTF8, malformed},
	{schemas.ErrBadChannel, malformed},
	{schemas.ErrBadTopic, malformed},
	{schemas.ErrBadRunID, malformed},
	{schemas.ErrBadStreamID, malformed},
	{schemas.ErrBadKey, malformed},
	{schemas.ErrBadID, malformed},
	{schemas.ErrBadSize, malformed},
	{schemas.ErrBadDuration, malformed},

	{engine.ErrTooLarge, tooLarge},
	{engine.ErrRunFinished, conflict},
	{engine.ErrFenced, conflict},
	{texts.ErrSuperseded, superseded},
	{texts.ErrTaken, conflict},
	{texts.ErrAborted, conflict},
	{texts.ErrDiffers, conflict},
	{texts.ErrBadOffset, conflict},
	{broker.ErrBadRunStatus, malformed},
	{ring.ErrBadReplay, malformed},
	{broker.ErrNoChannel, notFound},
	{broker.ErrTooManyInStream, malformed},
	{broker.ErrTooManyChannels, rateLimited},
	{ratelimit.ErrLimited, rateLimited},
	{broker.ErrBusy, engineUnavailable},
	{engine.ErrUnavailable, engineUnavailable},
	{engine.ErrReadOnly, engineUnavailable},
	{engine.ErrUncertain, engineTimeout},
	{clusterstate.ErrUnavailable, engineUnavailable},
	{clusterstate.ErrUncertain, engineTimeout},
	{broker.ErrTooManyStreams, tooManyStreams},
	{broker.ErrDraining, draining},
	{broker.ErrClosed, draining},

	{ErrMalformed, malformed},
	{ErrForbidden, forbidden},
	{ErrMisdirected, forbidden},
	{ErrNotFound, notFound},
	{ErrMethodNotAllowed, methodNotAllowed},
	{ErrBodyTimeout, requestTimeout},
	{ErrTooLarge, tooLarge},
	{ErrUnsupportedMediaType, unsupportedMedia},
}

// kindOf returns the kind of problem for err.
func kindOf(err error) kind { return mappingOf(err).kind }

func mappingOf(err error) mapping {
	for _, m := range mappings {
		if errors.Is(err, m.err) {
			return m
		}
	}
	return mapping{err, internal}
}

// problemOf returns the answer to err. Its detail describes the error, except for 401,
// which has one text for all defects, and for 500.
func problemOf(err error, requestID string) schemas.Problem {
	k := kindOf(err).spec()
	p := schemas.Problem{Type: "/problems/" + string(k.kind), Title: k.title, Status: k.status, Instance: requestID}
	switch k.kind {
	case unauthorized:
		p.Detail = "Send a valid API key or token as Authorization: Bearer …"
	case engineUnavailable:
		p.Detail = unavailableDetail(err)
	case engineTimeout:
		p.Detail = "The request may still have taken effect. It can be retried; a publish without an Idempotency-Key may then appear twice."
	case internal:
		p.Detail = "The cause is in the server's log under this request's id."
	default:
		p.Detail = detailOf(err)
	}
	var violation *schemas.Violation
	var definition *schemas.DefinitionError
	var fields *fieldsError
	var offset *texts.OffsetError
	switch {
	case errors.As(err, &offset):
		p.Offset = &offset.Held
	case errors.Is(err, texts.ErrAborted):
		p.State = engine.TextAborted.String()
	case errors.As(err, &violation):
		p.Errors = violation.Errors
	case errors.As(err, &definition):
		p.Errors = definition.Errors
	case errors.As(err, &fields):
		p.Errors = fields.fields
	}
	return p
}

// unavailableDetail says whether anything was done. It does not say why the engine is
// unavailable: operators see that in /readyz.
func unavailableDetail(err error) string {
	var unready *notReadyError
	if errors.As(err, &unready) {
		return detailOf(err)
	}
	if errors.Is(err, engine.ErrReadOnly) {
		return "The storage that this needs is read-only for now; nothing was done."
	}
	return "What this needs cannot be reached now; nothing was done."
}

// detailOf returns the text of err without the part that the title already says.
func detailOf(err error) string {
	m := mappingOf(err)
	if m.kind == malformed && !errors.Is(m.err, ErrMalformed) {
		return sentence(err) // the title does not say which part is malformed
	}
	return strings.TrimPrefix(sentence(err), sentence(m.err)+": ")
}

// fieldsError is the error of a malformed body, with a pointer to each fault.
type fieldsError struct{ fields []schemas.FieldError }

// Error lists the faults.
func (e *fieldsError) Error() string {
	faults := make([]string, len(e.fields))
	for i, f := range e.fields {
		faults[i] = f.Pointer + ": " + f.Detail
		if f.Pointer == "" {
			faults[i] = "the JSON " + f.Detail // as a whole
		}
	}
	return ErrMalformed.Error() + ": " + strings.Join(faults, "; ")
}

// Unwrap returns [ErrMalformed].
func (e *fieldsError) Unwrap() error { return ErrMalformed }

// fail is the only function that turns an error into an answer.
func (a *api) fail(err error, c echo.Context) {
	err = fromEcho(err)
	r := request(c)
	cut := c.Response().Committed
	if errors.Is(err, errUnsent) || errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		r.gone = true // it is nobody's fault, and nobody is there to be told
		return
	}
	k := kindOf(err).spec()
	r.failed(k.kind, err)
	if cut {
		r.cut = true
		return
	}
	p := problemOf(err, r.id)
	h := c.Response().Header()
	if after := retryAfter(err); after > 0 {
		h.Set("Retry-After", strconv.Itoa(after))
	}
	if challenge := challengeFor(k.kind, r); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	h.Set("Cache-Control", "no-store")
	body := encodeProblem(p)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_ = c.Blob(k.status, problemType, body)
}

// retryAfter returns how many seconds a client has to wait after err, 0 if it does not help to
// wait.
func retryAfter(err error) int {
	var limited *ratelimit.Error
	if errors.As(err, &limited) {
		return limited.Seconds()
	}
	return kindOf(err).spec().retryAfter
}

func encodeProblem(p schemas.Problem) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic("handlers: problem does not marshal: " + err.Error()) // it has nothing but strings and numbers
	}
	return body
}

// fromEcho turns the errors of the router into ours.
func fromEcho(err error) error {
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		return err
	}
	switch he.Code {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusMethodNotAllowed:
		return ErrMethodNotAllowed
	}
	return err
}

// challengeFor returns the WWW-Authenticate header of an answer (RFC 6750, section 3).
func challengeFor(k kind, r *requestInfo) string {
	switch {
	case k == unauthorized && r.credential:
		return `Bearer realm="sluice", error="invalid_token"`
	case k == unauthorized:
		return `Bearer realm="sluice"`
	case k == forbidden && r.credential:
		return `Bearer realm="sluice", error="insufficient_scope"`
	}
	return ""
}
