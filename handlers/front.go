package handlers

import (
	"bytes"
	"context"
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

// Answer implements [front.Handler]. It publishes one message, and leaves everything that
// is to be refused to the route, apart from what only the attempt can show.
func (s *Service) Answer(ctx context.Context, r *front.Request, out []byte) (answer []byte, ok bool) {
	a, began := s.api, time.Now()
	if a.Dev && !loopbackHost(string(r.Host)) {
		return nil, false
	}
	p, ok := a.publication(ctx, r)
	if !ok {
		return nil, false
	}
	data := a.buffers.get()
	defer a.buffers.put(data)
	if compact(data, r.Body) != nil {
		return nil, false
	}
	p.Data = data.Bytes()

	info := requestInfo{id: string(r.RequestID), credential: true}
	if info.id == "" {
		info.id = newRequestID()
	}
	receipt, err := a.putSafely(ctx, p, &info)
	x := exchange{method: http.MethodPost, route: publishRoute}
	if err != nil {
		out, x.status = a.appendRefusal(out, err, &info)
	} else {
		out, x.status = appendReceipt(out, receipt, info.id)
	}
	x.took = time.Since(began)
	a.metrics.request(x, &info)
	if level := info.level(x.status); a.Log.Enabled(ctx, level) {
		a.logRequest(ctx, level, x, &info, a.clientOf(&http.Request{RemoteAddr: r.Remote}))
	}
	return out, true
}

// publication returns what r publishes, without the data, and false if anything is wrong
// with it.
func (a *api) publication(ctx context.Context, r *front.Request) (p broker.Publication, ok bool) {
	if r.ContentType != nil && string(r.ContentType) != echo.MIMEApplicationJSON || r.RequestID != nil && !plain(string(r.RequestID)) {
		return p, false
	}
	path, ok := bytes.CutPrefix(r.Path, []byte(publishPrefix))
	if !ok {
		return p, false
	}
	channel, topic, ok := bytes.Cut(path, []byte("/"))
	if !ok || bytes.IndexByte(topic, '/') >= 0 {
		return p, false
	}
	who, err := a.Auth.Authenticate(ctx, bearerIn(string(r.Authorization)))
	if err != nil {
		return p, false
	}
	p.Channel, err = named(channel, schemas.ParseChannel)
	if err != nil {
		return p, false
	}
	if p.Topic, err = named(topic, schemas.ParseTopic); err != nil || mayPublish(who, p.Channel, p.Topic) != nil {
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
	p.Sub = who.Subject
	return p, true
}

// named parses a part of a path. [inQuery] is no name.
func named[T any](part []byte, parse func(string) (T, error)) (name T, err error) {
	text, err := url.PathUnescape(string(part))
	if err != nil {
		return name, err
	}
	return parse(text)
}

// putSafely is put for callers whose panics nobody else recovers.
func (a *api) putSafely(ctx context.Context, p broker.Publication, info *requestInfo) (receipt schemas.Receipt, err error) {
	defer func() {
		if v := recover(); v != nil {
			info.stack = debug.Stack()
			err = fmt.Errorf("%w: %v", errPanic, v)
		}
	}()
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
func (a *api) appendRefusal(out []byte, err error, info *requestInfo) (answer []byte, status int) {
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
