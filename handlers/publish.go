package handlers

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/internal/proxies"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/internal/tracing"
	"github.com/sluicehq/sluice/schemas"
)

// publish answers POST /v1/publish/{channel}/{topic}.
func (a *api) publish(c echo.Context) error {
	channel, topic, err := target(c)
	if err != nil {
		return err
	}
	if err := mayPublish(principal(c), channel, topic); err != nil {
		return err
	}
	p := broker.Publication{Channel: channel, Topic: topic, Sub: principal(c).Subject, Traceparent: traceparent(c)}
	if p.RunID, err = runIDParam(c); err != nil {
		return err
	}
	if p.Key, err = idempotencyKey(c); err != nil {
		return err
	}
	raw, data := a.buffers.get(), a.buffers.get()
	defer a.buffers.put(raw)
	defer a.buffers.put(data)
	var receipt schemas.Receipt
	if err = a.readData(c, raw, data); err != nil {
		receipt, err = a.recall(c.Request().Context(), p, err)
	} else {
		p.Data = data.Bytes()
		receipt, err = a.put(c.Request().Context(), request(c), p)
	}
	if err != nil {
		return err
	}
	return writeReceipt(c, http.StatusCreated, receipt)
}

// idempotencyKey returns the key of a durable publish, "" for an ordinary one. An empty
// header is a mistake, not the same as none.
func idempotencyKey(c echo.Context) (string, error) {
	values := c.Request().Header["Idempotency-Key"] // one at most, see checkHeaders
	if len(values) == 0 {
		return "", nil
	}
	return schemas.ParseKey(values[0])
}

// readData reads the body, which is the data of one message, into raw, and compacts its
// JSON into data.
func (a *api) readData(c echo.Context, raw, data *bytes.Buffer) error {
	media, err := mediaType(c)
	if err != nil {
		return err
	}
	if media != "" && media != "application/json" && media != "text/plain" {
		return unsupported(media, "application/json or text/plain")
	}
	if err := a.readBody(c, raw, a.bodyLimit()); err != nil {
		return err
	}
	if media != "text/plain" {
		return compact(data, raw.Bytes())
	}
	if !utf8.Valid(raw.Bytes()) {
		return fmt.Errorf("%w: the text is not UTF-8", ErrMalformed)
	}
	return quote(data, raw.String())
}

// bodyLimit is the limit of a body with one message: white space may double its size.
func (a *api) bodyLimit() int64 { return 2 * int64(a.MaxMessageBytes) }

// put checks a message against the limits of the caller and the definition of its channel, and
// publishes it. All publishes go through here, except run statuses and streams of text.
func (a *api) put(ctx context.Context, r *requestInfo, p broker.Publication) (schemas.Receipt, error) {
	if r.trace != nil {
		return a.putTraced(ctx, r, p)
	}
	return a.putIn(ctx, nil, r, p)
}

// putIn is put within a span, which may be nil.
func (a *api) putIn(ctx context.Context, span *tracing.Span, r *requestInfo, p broker.Publication) (schemas.Receipt, error) {
	if r.limited != nil {
		if err := a.admit(r, 1, len(p.Data)); err != nil {
			return schemas.Receipt{}, err
		}
	}
	if err := strictjson.CheckDepth(p.Data); err != nil {
		return a.recall(ctx, p, err) // here, so that every kind of publish has the same limit
	}
	if definition := a.Catalog.For(p.Channel); definition != nil {
		if err := definition.Check(ctx, p.Topic, p.Data); err != nil {
			return a.recall(ctx, p, err)
		}
		p.Limits = engine.LimitsOf(definition)
	}
	if span == nil {
		return a.Broker.Publish(ctx, p)
	}
	appends := span.Child(tracing.Append)
	receipt, err := a.Broker.Publish(ctx, p)
	appends.End(problemOfSpan(err))
	return receipt, err
}

// putTraced is put with spans.
func (a *api) putTraced(ctx context.Context, r *requestInfo, p broker.Publication) (schemas.Receipt, error) {
	span, end := r.trace.Message(p.Traceparent)
	if span == nil {
		return a.putIn(ctx, nil, r, p)
	}
	// Readers link what they do to the span that made the message, so that of the publisher stays.
	p.Traceparent = cmp.Or(p.Traceparent, span.Traceparent())
	receipt, err := a.putIn(ctx, span, r, p)
	a.sends(span, p.Channel, p.Topic, len(p.Data), receipt)
	end(problemOfSpan(err))
	return receipt, err
}

// problemOfSpan returns what a span says of an error: its problem, "" for none, and whether it
// is a fault of the server.
func problemOfSpan(err error) (problem string, fault bool) {
	if err == nil {
		return "", false
	}
	k := kindOf(err).spec()
	return string(k.kind), k.status >= http.StatusInternalServerError
}

// sends says what a span publishes. The receipt is that of nothing if that has failed.
func (a *api) sends(span *tracing.Span, channel schemas.Channel, topic schemas.Topic, bytes int, r schemas.Receipt) {
	if span == nil {
		return
	}
	m := tracing.Message{Channel: string(channel), Topic: string(topic), Bytes: bytes, Duplicate: r.Duplicate}
	if d := a.Catalog.For(channel); d != nil {
		m.Template = d.Name()
	}
	if r.ID.Seq > 0 {
		m.ID = r.ID.String()
	}
	span.Sends(m)
}

// limitedCaller is a request whose publishes are limited.
type limitedCaller struct {
	network string // its address, see proxies.NetworkOf
	last    ratelimit.Decision
	decided bool // there is a last one
	// pause waits, for a body that is slowed down; nil: what is too much is refused.
	pause func(time.Duration) error
}

// limited makes publishes of a request count for the limits of its caller.
func (a *api) limited(next echo.HandlerFunc) echo.HandlerFunc {
	if a.Limits == nil {
		return next
	}
	return func(c echo.Context) error {
		request(c).limited = &limitedCaller{network: proxies.NetworkOf(c.RealIP())}
		return next(c)
	}
}

// maxPause is how long a body that is slowed down waits before it looks at its credential again.
const maxPause = time.Second

// admit charges the limits of the caller with what it publishes. If that is too much, it waits,
// if the body is to be slowed down, and otherwise returns [ratelimit.ErrLimited]. Requests that
// are not limited need not call it.
func (a *api) admit(r *requestInfo, messages, bytes int) error {
	for delayed := false; ; delayed = true {
		l := r.limited
		l.last, l.decided = a.Limits.Take(r.caller(), int64(messages), int64(bytes)), true
		switch {
		case l.last.Wait == 0:
			return nil
		case l.pause == nil:
			return a.Limits.Refuse(l.last)
		case !delayed:
			a.Limits.Delayed(l.last)
		default: // somebody else was faster: not all that wait may come back at the same time
			l.last.Wait += rand.N(8 * l.last.Wait)
		}
		if err := l.pause(min(l.last.Wait, maxPause)); err != nil {
			return err
		}
		who, err := a.stillGood(r.who)
		if err != nil {
			return err
		}
		r.who = who
	}
}

// caller returns whom limits know the sender of a request as: by its API key, or by the subject
// of its token, or else by the token; and in any case by its address.
func (r *requestInfo) caller() ratelimit.Caller {
	c := ratelimit.Caller{Address: r.limited.network}
	switch who := r.who; {
	case who.APIKey():
		c.Key = who.KeyID
	case who.Subject != "":
		c.Subject = "s" + who.Subject
	default:
		c.Subject = "t" + cmp.Or(who.TokenID, r.holder)
	}
	return c
}

// quotas returns the headers that tell the caller of its limits, "" if it has none.
func (a *api) quotas(r *requestInfo) (policy, state string) {
	if r.limited == nil || r.who == nil {
		return "", ""
	}
	if !r.limited.decided {
		r.limited.last = a.Limits.Take(r.caller(), 0, 0)
	}
	return r.limited.last.Fields(a.Limits)
}

// pauseFor waits until d has passed, or returns why a body must not go on.
func (a *api) pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.Stopping.Done():
		return broker.ErrDraining
	case <-ctx.Done():
		return unsent(ctx.Err())
	}
}

// recall returns the first receipt of a durable publish that has already happened: a
// retry gets it even if the body is different now or the schema has changed. For any
// other publish it returns the error wrong.
func (a *api) recall(ctx context.Context, p broker.Publication, wrong error) (schemas.Receipt, error) {
	if p.Key == "" {
		return schemas.Receipt{}, wrong
	}
	first, known, err := a.Broker.Recall(ctx, p.Channel, p.Topic, p.Key)
	switch {
	case err != nil:
		return schemas.Receipt{}, err
	case !known:
		return schemas.Receipt{}, wrong
	}
	return first, nil
}

// writeReceipt answers a publish: with the status, or with 200 if it was done before.
func writeReceipt(c echo.Context, status int, r schemas.Receipt) error {
	if r.Duplicate {
		status = http.StatusOK
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	return respond(c, status, echo.MIMEApplicationJSON, append(r.AppendJSON(make([]byte, 0, 256)), '\n'))
}
