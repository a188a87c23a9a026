package handlers

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
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
	p := broker.Publication{Channel: channel, Topic: topic}
	if p.RunID, err = schemas.ParseRunID(c.QueryParam("run_id")); err != nil {
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
	status := http.StatusCreated
	if receipt.Duplicate {
		status = http.StatusOK
	}
	return writeReceipt(c, status, receipt)
}

// idempotencyKey returns the key of a durable publish, "" if it is an ordinary
// one. An empty header is a mistake and not the same as none.
func idempotencyKey(c echo.Context) (string, error) {
	values := c.Request().Header["Idempotency-Key"]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return schemas.ParseKey(values[0])
	}
	return "", fmt.Errorf("%w: more than one Idempotency-Key", ErrMalformed)
}

// readData reads the body, which is the data of one message, into raw, and as
// compact JSON into data.
func (a *api) readData(c echo.Context, raw, data *bytes.Buffer) error {
	media, err := mediaType(c)
	if err != nil {
		return err
	}
	if media != "" && media != "application/json" && media != "text/plain" {
		return unsupported(media, "application/json (curl: --json) or text/plain")
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

// bodyLimit bounds a body that is one message: white space may double it.
func (a *api) bodyLimit() int64 { return 2 * int64(a.MaxMessageBytes) }

// put holds a message to its channel's definition and publishes it. Every
// publish but that of a run status and of a body stream goes through here.
func (a *api) put(ctx context.Context, p broker.Publication) (schemas.Receipt, error) {
	if definition := a.Catalog.For(p.Channel); definition != nil {
		if err := definition.Check(p.Topic, p.Data); err != nil {
			return a.recall(ctx, p, err)
		}
		p.Limits = broker.LimitsOf(definition)
	}
	return a.Broker.Publish(ctx, p)
}

// recall returns the first receipt of a durable publish that has happened: whatever
// its body is now, and however its schema has changed, a retry gets that. Of others
// it returns what is wrong with them.
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

// writeReceipt answers a publish.
func writeReceipt(c echo.Context, status int, r schemas.Receipt) error {
	if r.Duplicate {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	return c.Blob(status, echo.MIMEApplicationJSON, append(r.AppendJSON(make([]byte, 0, 256)), '\n'))
}
