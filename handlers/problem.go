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
	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/schemas"
)

// Errors of the handlers themselves.
var (
	ErrMalformed            = errors.New("handlers: malformed request")
	ErrForbidden            = errors.New("handlers: not granted")
	ErrNotFound             = errors.New("handlers: not found")
	ErrMethodNotAllowed     = errors.New("handlers: method not allowed")
	ErrTooLarge             = errors.New("handlers: too large")
	ErrUnsupportedMediaType = errors.New("handlers: unsupported media type")
	ErrMisdirected          = errors.New("handlers: not a loopback host")
)

// kind is one kind of problem, by the last part of its type.
type kind string

// Every kind of problem that is ever answered.
const (
	malformed         kind = "malformed"
	unauthorized      kind = "unauthorized"
	forbidden         kind = "forbidden"
	notFound          kind = "not-found"
	methodNotAllowed  kind = "method-not-allowed"
	conflict          kind = "conflict"
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

// spec is how a kind is answered.
type spec struct {
	kind       kind
	status     int
	title      string
	retryAfter int    // seconds; 0 for none
	when       string // for the README's table
}

// specs has every kind, in the order of the statuses.
func specs() []spec {
	return []spec{
		{malformed, 400, "The request is not understood", 0, "not JSON, a bad name, an unknown value in the query"},
		{unauthorized, 401, "A valid credential is needed", 0, "no credential, or a bad one: one text for all defects, the cause is in the log"},
		{forbidden, 403, "The credential does not grant this", 0, "a valid credential; the answer names the channel and the topic that it does not grant"},
		{notFound, 404, "There is no such thing", 0, "no such route, channel or definition"},
		{methodNotAllowed, 405, "The method is not allowed here", 0, "with `Allow`"},
		{conflict, 409, "The run is finished", 0, "a final run status would become another one"},
		{tooLarge, 413, "Too large", 0, "a body, a line or a message over its limit"},
		{unsupportedMedia, 415, "The media type is not supported", 0, "a body of another `Content-Type`"},
		{schemaViolation, 422, "The message does not match its schema", 0, "with the `pointer` of each fault"},
		{unknownTopic, 422, "The channel has no such topic", 0, "the channel's definition is strict"},
		{badSchema, 422, "The definition cannot be used", 0, "a schema that does not compile, a definition that is malformed or ties with another"},
		{rateLimited, 429, "A limit is reached", 5, "channels, revocations or definitions; with `Retry-After`"},
		{tooManyStreams, 429, "Too many streams", 5, "with `Retry-After`; a Server-Sent Events request gets `$close` 4029 instead"},
		{internal, 500, "Something went wrong here", 0, "the cause is in the log, under the request's id"},
		{draining, 503, "The server is about to stop", 1, "with `Retry-After`; a Server-Sent Events request gets `$close` 4002 instead"},
		{engineUnavailable, 503, "The engine cannot be reached", 2, "the engine that keeps the messages cannot be reached or cannot write, the keys of a token's issuer could not be fetched yet, or a publish waited too long for the server to write to readers; with `Retry-After`; a Server-Sent Events request gets `$close` 4005 instead"},
		{engineTimeout, 504, "The engine did not answer in time", 0, "unlike with 503, the message may have been published: a retry under the same `Idempotency-Key` finds out"},
	}
}

// spec returns how k is answered.
func (k kind) spec() spec {
	all := specs()
	return all[slices.IndexFunc(all, func(s spec) bool { return s.kind == k })]
}

// mapping says what an error becomes.
type mapping struct {
	err  error
	kind kind
}

// mappings is the one place where errors become answers; the first that matches
// counts. An error that is not here is a 500, and its cause is logged and never
// sent.
func mappings() []mapping {
	return []mapping{
		{auth.ErrIssuerUnavailable, engineUnavailable}, // also unauthorized; it may be good yet
		{auth.ErrUnauthorized, unauthorized},
		{auth.ErrBadTTL, malformed},
		{auth.ErrBadSubject, malformed},
		{auth.ErrNoGrant, malformed},
		{auth.ErrBadTokenID, malformed},
		{auth.ErrTooManyRevocations, rateLimited},

		{schemas.ErrSchemaViolation, schemaViolation},
		{schemas.ErrUnknownTopic, unknownTopic},
		{schemas.ErrBadSchema, badSchema},
		{schemas.ErrBadDefinition, badSchema},
		{schemas.ErrTooManyDefinitions, rateLimited},
		{schemas.ErrNoDefinition, notFound},
		{schemas.ErrBadGrant, malformed},
		{schemas.ErrBadChannel, malformed},
		{schemas.ErrBadTopic, malformed},
		{schemas.ErrBadRunID, malformed},
		{schemas.ErrBadKey, malformed},
		{schemas.ErrBadID, malformed},
		{schemas.ErrBadSize, malformed},
		{schemas.ErrBadDuration, malformed},

		{broker.ErrTooLarge, tooLarge},
		{broker.ErrRunFinished, conflict},
		{broker.ErrBadRunStatus, malformed},
		{broker.ErrBadReplay, malformed},
		{broker.ErrNoChannel, notFound},
		{broker.ErrTooManyInStream, malformed},
		{broker.ErrTooManyChannels, rateLimited},
		{broker.ErrBusy, engineUnavailable},
		{broker.ErrUnavailable, engineUnavailable},
		{broker.ErrUncertain, engineTimeout},
		{facts.ErrUnavailable, engineUnavailable},
		{broker.ErrTooManyStreams, tooManyStreams},
		{broker.ErrDraining, draining},
		{broker.ErrClosed, draining},

		{ErrMalformed, malformed},
		{ErrForbidden, forbidden},
		{ErrMisdirected, forbidden},
		{ErrNotFound, notFound},
		{ErrMethodNotAllowed, methodNotAllowed},
		{ErrTooLarge, tooLarge},
		{ErrUnsupportedMediaType, unsupportedMedia},
	}
}

// kindOf returns what err becomes.
func kindOf(err error) kind { return mappingOf(err).kind }

func mappingOf(err error) mapping {
	for _, m := range mappings() {
		if errors.Is(err, m.err) {
			return m
		}
	}
	return mapping{err, internal}
}

// problemOf returns the answer to err. Its detail is for the caller to read, but
// for 401, which has one text for all defects, and for 500.
func problemOf(err error, requestID string) schemas.Problem {
	k := kindOf(err).spec()
	p := schemas.Problem{Type: "/problems/" + string(k.kind), Title: k.title, Status: k.status, Instance: requestID}
	switch k.kind {
	case unauthorized:
		p.Detail = "Send a valid API key or token as Authorization: Bearer …"
	case engineUnavailable:
		p.Detail = unavailableDetail(err)
	case engineTimeout:
		p.Detail = "The message may have been published. Under an Idempotency-Key, a retry finds out, and publishes it if it has not been."
	case internal:
		p.Detail = "The cause is in the server's log under this request's id."
	default:
		p.Detail = detailOf(err)
	}
	var violation *schemas.Violation
	var definition *schemas.DefinitionError
	var fields *fieldsError
	switch {
	case errors.As(err, &violation):
		p.Errors = violation.Errors
	case errors.As(err, &definition):
		p.Errors = definition.Errors
	case errors.As(err, &fields):
		p.Errors = fields.fields
	}
	return p
}

// unavailableDetail says whether anything was done. Why the engine is unavailable is
// for the operator, who asks whether the server is ready.
func unavailableDetail(err error) string {
	var unready *notReadyError
	if errors.As(err, &unready) {
		return detailOf(err)
	}
	return "What this needs cannot be reached now; nothing was done."
}

// detailOf returns the text of err, without what the title says already.
func detailOf(err error) string {
	m := mappingOf(err)
	if m.kind == malformed && !errors.Is(m.err, ErrMalformed) {
		return sentence(err) // the title does not say which part is
	}
	return sentence(errors.New(strings.TrimPrefix(err.Error(), m.err.Error()+": ")))
}

// sentence returns the text of err without the names of our packages.
func sentence(err error) string {
	return strings.NewReplacer("handlers: ", "", "schemas: ", "", "broker: ", "", "auth: ", "", "disk: ", "", "nats: ", "").Replace(err.Error())
}

// fieldsError is a malformed body with the places of its faults.
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

// fail is the one function through which an error becomes an answer.
func (a *api) fail(err error, c echo.Context) {
	err = fromEcho(err)
	r := request(c)
	cut := c.Response().Committed
	if gone := errors.Is(err, context.Canceled); (gone || cut) && !errors.Is(err, errPanic) {
		r.gone = true // it is nobody's fault, and there is nobody to be told
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
	if k.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(k.retryAfter))
	}
	if challenge := challengeFor(k.kind, r); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	h.Set("Cache-Control", "no-store")
	if unbounded(c.Request()) {
		_ = http.NewResponseController(c.Response()).EnableFullDuplex()
		defer linger(c)
	}
	_ = c.Blob(k.status, "application/problem+json", encodeProblem(p))
}

func encodeProblem(p schemas.Problem) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic("handlers: problem does not marshal: " + err.Error()) // it has nothing but strings and numbers
	}
	return body
}

// fromEcho turns the router's own errors into ours.
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

// challengeFor returns the WWW-Authenticate of an answer, RFC 6750, section 3.
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
