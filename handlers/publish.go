package handlers

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/internal/strictjson"
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
		receipt, err = a.put(c.Request().Context(), p)
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

// put checks a message against the definition of its channel and publishes it. All
// publishes go through here, except run statuses and streams of text.
func (a *api) put(ctx context.Context, p broker.Publication) (schemas.Receipt, error) {
	if err := strictjson.CheckDepth(p.Data); err != nil {
		return a.recall(ctx, p, err) // here, so that every kind of publish has the same limit
	}
	if definition := a.Catalog.For(p.Channel); definition != nil {
		if err := definition.Check(ctx, p.Topic, p.Data); err != nil {
			return a.recall(ctx, p, err)
		}
		p.Limits = engine.LimitsOf(definition)
	}
	return a.Broker.Publish(ctx, p)
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
