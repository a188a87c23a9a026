package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/front"
	"github.com/sluicehq/sluice/internal/proxies"
	"github.com/sluicehq/sluice/internal/tracing"
	"github.com/sluicehq/sluice/schemas"
)

const (
	publishPrefix = "/v1/publish/"
	publishRoute  = publishPrefix + ":channel/:topic"
	textRoute     = publishRoute + "/stream"
	manyRoute     = "/v1/publish"
	runRoute      = "/v1/channels/:channel/run"
)

// Answer implements [front.Handler]. It publishes one message, or opens a stream. What is
// wrong without an attempt is left to the route; whatever an attempt shows is answered,
// since there must be only one.
func (s *Service) Answer(ctx context.Context, r *front.Request, out []byte) (answer []byte, o front.Outcome) {
	a, info := s.api, requestInfo{id: string(r.RequestID), origin: string(r.Origin)}
	if r.RequestID == nil {
		info.id = newRequestID()
	}
	switch {
	case !a.answersFor(string(r.Host)), !plain(info.id):
		return nil, front.Declined
	case r.Get:
		return a.answerSubscribe(ctx, r, &info, out)
	}
	return a.answerPublish(ctx, r, &info, out)
}

// answerPublish publishes one message.
func (a *api) answerPublish(ctx context.Context, r *front.Request, info *requestInfo, out []byte) (answer []byte, o front.Outcome) {
	began, data := time.Now(), a.buffers.get()
	defer a.buffers.put(data)
	if a.Limits != nil {
		info.limited = &limitedCaller{network: proxies.NetworkOf(a.addressOf(r))}
	}
	p, ok := a.publication(r, data)
	if !ok {
		return nil, front.Declined
	}
	if a.Tracer != nil {
		info.trace = a.Tracer.Request(tracing.Publish, tracing.Parent{Traceparent: p.Traceparent, Tracestate: string(r.Tracestate)}, began)
		info.trace.Begin()
	}
	var receipt schemas.Receipt
	err := attempt(info, func() (err error) {
		if err = a.authenticate(ctx, info, bearerIn(string(r.Authorization))); err != nil {
			return err
		}
		if err = mayPublish(info.who, p.Channel, p.Topic); err != nil {
			return err
		}
		p.Sub = info.who.Subject
		receipt, err = a.put(ctx, info, p)
		return err
	})
	x := exchange{method: http.MethodPost, route: publishRoute}
	switch {
	case err == nil:
		out, x.status = a.appendReceipt(out, receipt, info)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		x.status = statusGone
	default:
		out, x.status = a.appendRefusal(out, err, info, "")
	}
	x.took = time.Since(began)
	a.note(ctx, r, x, info)
	return out, front.Answered
}

// note is observe for requests of the front.
func (a *api) note(ctx context.Context, r *front.Request, x exchange, info *requestInfo) {
	a.metrics.request(x, info)
	info.answered(x)
	if level := info.level(x.status); (!info.stream || info.cause != nil) && a.Log.Enabled(ctx, level) {
		a.logRequest(ctx, level, x, info, a.addressOf(r))
	}
}

// addressOf returns the address of the client.
func (a *api) addressOf(r *front.Request) string {
	var forwarded []string
	if r.ForwardedFor != nil {
		forwarded = []string{string(r.ForwardedFor)}
	}
	return a.TrustedProxies.Client(r.Remote, forwarded)
}

// attempt calls f. A panic becomes an error: nobody else would answer.
func attempt(info *requestInfo, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			info.stack = debug.Stack()
			err = fmt.Errorf("%w: %v", errPanic, v)
		}
	}()
	return f()
}

// answerSubscribe opens a stream and gives it to a writer loop, together with the
// connection.
func (a *api) answerSubscribe(ctx context.Context, r *front.Request, info *requestInfo, out []byte) (answer []byte, o front.Outcome) {
	began := time.Now()
	asked, credential, ok := a.askedInFront(r)
	if !ok {
		return nil, front.Declined
	}
	format := formatOf(string(r.Accept))
	if a.Tracer != nil {
		parent := tracing.Parent{Traceparent: schemas.ParseTraceparent(string(r.Traceparent)), Tracestate: string(r.Tracestate)}
		info.trace = a.Tracer.Request(tracing.Subscribe, parent, began)
		info.trace.Begin()
	}
	err := attempt(info, func() error { return a.openOn(ctx, r, info, asked, format, credential) })
	x := exchange{method: http.MethodGet, route: subscribeRoute, status: http.StatusOK}
	o = front.Answered
	switch ending, later := notNow(err); {
	case err == nil:
		o, info.stream = front.Taken, true
	case errors.Is(err, errMerges):
		return nil, front.Declined
	case later && !format.Lines():
		a.metrics.turnedAway(ending, err)
		body := ending.Refusal(asked.lastEventID)
		out = a.appendStreamHead(out, format, info, fmt.Sprintf("Content-Length: %d\r\n", len(body)))
		out, o, info.stream = append(out, body...), front.Ended, true
	case later:
		out, x.status = a.appendRefusal(out, err, info, "Connection: close\r\n")
		o = front.Ended
	default:
		out, x.status = a.appendRefusal(out, err, info, "")
	}
	x.took = time.Since(began)
	a.note(ctx, r, x, info)
	return out, o
}

// errMerges is the error of a stream that no writer loop takes.
var errMerges = errors.New("handlers: the stream merges shards")

// askedInFront returns what r asks for and its credential, and false if anything is wrong
// with it or not simple.
func (a *api) askedInFront(r *front.Request) (asked *asking, credential string, ok bool) {
	if string(r.Path) != subscribeRoute || !a.Broker.HasLoops() {
		return nil, "", false
	}
	q, err := url.ParseQuery(string(r.Query))
	if err != nil || checkParameters(q, a.asks, nowhere) != nil {
		return nil, "", false
	}
	header, token := bearerIn(string(r.Authorization)), q.Get("access_token")
	if (header == "") == (token == "") {
		return nil, "", false // none, or one in a cookie, or two
	}
	asked, err = askedInQuery(q, string(r.LastEventID))
	return asked, header + token, err == nil && asked.until == "" && !asked.system()
}

// openOn opens the stream that r asks for, and gives it to a writer loop.
func (a *api) openOn(ctx context.Context, r *front.Request, info *requestInfo, asked *asking, format ring.Format, credential string) error {
	if err := a.authenticate(ctx, info, credential); err != nil {
		return err
	}
	if info.who.APIKey() && bearerIn(string(r.Authorization)) == "" {
		return errKeyInURL()
	}
	sub, err := a.subscription(info, asked, format, a.addressOf(r))
	if err != nil {
		return err
	}
	s, err := a.begin(ctx, sub, info)
	if err != nil {
		return err
	}
	if !a.Broker.TakesOver(s) {
		s.Close()
		return errMerges
	}
	head := a.appendStreamHead(make([]byte, 0, headBytes), s.Format(), info, chunkedFraming)
	err = a.carry(s, onLoop, broker.Takeover{Conn: r.Conn, Head: head, Chunked: true})
	if err != nil {
		s.Close() // whoever is turned away finds the place free
		a.logNotTaken(info.id, err)
		if _, later := notNow(err); !later {
			err = errNoRoom()
		}
	}
	return err
}

// nowhere says that a path has [inQuery] for no name.
func nowhere(string) (bool, error) { return false, nil }

// publication returns what r publishes, with its data in the buffer, and false if anything
// is wrong with it.
func (a *api) publication(r *front.Request, data *bytes.Buffer) (p broker.Publication, ok bool) {
	path, ok := bytes.CutPrefix(r.Path, []byte(publishPrefix))
	channel, topic, found := bytes.Cut(path, []byte("/"))
	switch {
	case !ok, !found, bytes.IndexByte(topic, '/') >= 0,
		r.ContentType != nil && string(r.ContentType) != echo.MIMEApplicationJSON,
		int64(len(r.Body)) > a.bodyLimit():
		return p, false
	}
	var err error
	if p.Channel, err = named(channel, schemas.ParseChannel); err != nil {
		return p, false
	}
	if p.Topic, err = named(topic, schemas.ParseTopic); err != nil {
		return p, false
	}
	if r.IdempotencyKey != nil {
		if p.Key, err = schemas.ParseKey(string(r.IdempotencyKey)); err != nil {
			return p, false
		}
	}
	if r.Traceparent != nil {
		p.Traceparent = schemas.ParseTraceparent(string(r.Traceparent))
	}
	err = compact(data, r.Body)
	p.Data = data.Bytes()
	return p, err == nil
}

// named parses a part of a path. [inQuery] is no name.
func named[T any](part []byte, parse func(string) (T, error)) (name T, err error) {
	text, err := url.PathUnescape(string(part))
	if err != nil {
		return name, err
	}
	return parse(text)
}

// appendReceipt appends the answer to a publish.
func (a *api) appendReceipt(out []byte, r schemas.Receipt, info *requestInfo) (answer []byte, status int) {
	status = http.StatusCreated
	out = append(out, "HTTP/1.1 "...)
	if r.Duplicate {
		status = http.StatusOK
		out = append(out, "200 OK\r\nIdempotent-Replayed: true\r\n"...)
	} else {
		out = append(out, "201 Created\r\n"...)
	}
	var body [512]byte
	return a.appendBody(out, info, echo.MIMEApplicationJSON, append(r.AppendJSON(body[:0]), '\n')), status
}

// appendRefusal is fail for requests of the front.
func (a *api) appendRefusal(out []byte, err error, info *requestInfo, connection string) (answer []byte, status int) {
	k := kindOf(err).spec()
	info.failed(k.kind, err)
	out = fmt.Appendf(out, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\n%s", k.status, http.StatusText(k.status), connection)
	if after := retryAfter(err); after > 0 {
		out = fmt.Appendf(out, "Retry-After: %d\r\n", after)
	}
	if challenge := challengeFor(k.kind, info); challenge != "" {
		out = fmt.Appendf(out, "WWW-Authenticate: %s\r\n", challenge)
	}
	return a.appendBody(out, info, problemType, encodeProblem(problemOf(err, info.id))), k.status
}

// appendBody appends the headers that every answer has, and the body.
func (a *api) appendBody(out []byte, info *requestInfo, media string, body []byte) []byte {
	out = appendField(out, echo.HeaderContentType, media)
	out = append(a.appendFields(out, info), "Vary: Origin\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\n\r\n"...)
	return append(out, body...)
}
