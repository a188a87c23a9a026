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
	"github.com/sluicehq/sluice/internal/front"
	"github.com/sluicehq/sluice/schemas"
)

const (
	publishPrefix = "/v1/publish/"
	publishRoute  = publishPrefix + ":channel/:topic"
)

// Answer implements [front.Handler]. It publishes one message. What is wrong without an
// attempt is left to the route; whatever an attempt shows is answered, since there must be
// only one.
func (s *Service) Answer(ctx context.Context, r *front.Request, out []byte) (answer []byte, ok bool) {
	a, began := s.api, time.Now()
	data := a.buffers.get()
	defer a.buffers.put(data)
	p, ok := a.publication(r, data)
	if !ok {
		return nil, false
	}
	info := requestInfo{id: string(r.RequestID)}
	if info.id == "" {
		info.id = newRequestID()
	}
	receipt, err := a.attempt(ctx, p, &info, bearerIn(string(r.Authorization)))
	x := exchange{method: http.MethodPost, route: publishRoute}
	switch {
	case err == nil:
		out, x.status = appendReceipt(out, receipt, info.id)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		x.status = statusGone
	default:
		out, x.status = appendRefusal(out, err, &info)
	}
	x.took = time.Since(began)
	a.metrics.request(x, &info)
	if level := info.level(x.status); a.Log.Enabled(ctx, level) {
		a.logRequest(ctx, level, x, &info, a.clientOf(&http.Request{RemoteAddr: r.Remote}))
	}
	return out, true
}

// publication returns what r publishes, with its data in the buffer, and false if anything
// is wrong with it.
func (a *api) publication(r *front.Request, data *bytes.Buffer) (p broker.Publication, ok bool) {
	path, ok := bytes.CutPrefix(r.Path, []byte(publishPrefix))
	channel, topic, found := bytes.Cut(path, []byte("/"))
	switch {
	case !ok, !found, bytes.IndexByte(topic, '/') >= 0,
		!a.answersFor(string(r.Host)),
		r.ContentType != nil && string(r.ContentType) != echo.MIMEApplicationJSON,
		r.RequestID != nil && !plain(string(r.RequestID)),
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

// attempt publishes p if the credential grants it. A panic becomes an error: nobody else
// would answer.
func (a *api) attempt(ctx context.Context, p broker.Publication, info *requestInfo, credential string) (receipt schemas.Receipt, err error) {
	defer func() {
		if v := recover(); v != nil {
			info.stack = debug.Stack()
			err = fmt.Errorf("%w: %v", errPanic, v)
		}
	}()
	if err := a.authenticate(ctx, info, credential); err != nil {
		return receipt, err
	}
	if err := mayPublish(info.who, p.Channel, p.Topic); err != nil {
		return receipt, err
	}
	p.Sub = info.who.Subject
	return a.put(ctx, p)
}

// appendReceipt appends the answer to a publish.
func appendReceipt(out []byte, r schemas.Receipt, requestID string) (answer []byte, status int) {
	status = http.StatusCreated
	out = append(out, "HTTP/1.1 "...)
	if r.Duplicate {
		status = http.StatusOK
		out = append(out, "200 OK\r\nIdempotent-Replayed: true\r\n"...)
	} else {
		out = append(out, "201 Created\r\n"...)
	}
	var body [512]byte
	return appendBody(out, requestID, echo.MIMEApplicationJSON, append(r.AppendJSON(body[:0]), '\n')), status
}

// appendRefusal is fail for requests of the front.
func appendRefusal(out []byte, err error, info *requestInfo) (answer []byte, status int) {
	k := kindOf(err).spec()
	info.failed(k.kind, err)
	out = fmt.Appendf(out, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\n", k.status, http.StatusText(k.status))
	if k.retryAfter > 0 {
		out = fmt.Appendf(out, "Retry-After: %d\r\n", k.retryAfter)
	}
	if challenge := challengeFor(k.kind, info); challenge != "" {
		out = fmt.Appendf(out, "WWW-Authenticate: %s\r\n", challenge)
	}
	return appendBody(out, info.id, problemType, encodeProblem(problemOf(err, info.id))), k.status
}

// appendBody appends the headers that every answer has, and the body.
func appendBody(out []byte, requestID, media string, body []byte) []byte {
	out = append(out, "Content-Type: "...)
	out = append(out, media...)
	out = append(out, "\r\nVary: Origin\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: "...)
	out = append(out, requestID...)
	out = append(out, "\r\nDate: "...)
	out = time.Now().UTC().AppendFormat(out, http.TimeFormat)
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\n\r\n"...)
	return append(out, body...)
}
