package handlers

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// runBody is the body of PUT /v1/channels/{channel}/run.
type runBody schemas.RunChange

func (*runBody) members() []string { return []string{"status", "run_id", "result", "error"} }

// setRun answers PUT /v1/channels/{channel}/run.
func (a *api) setRun(c echo.Context) error {
	channel, err := channelParam(c)
	if err != nil {
		return err
	}
	if err := mayPublish(principal(c), channel, schemas.TopicRun); err != nil {
		return err
	}
	change, err := a.readRun(c)
	if err != nil {
		return err
	}
	if r := request(c); r.limited != nil {
		if err := a.admit(r, 1, len(change.Result)+len(change.Error)); err != nil {
			return err
		}
	}
	receipt, err := a.Broker.SetRun(c.Request().Context(), broker.RunPublication{
		Channel: channel, Change: change, Sub: principal(c).Subject, Traceparent: traceparent(c), Limits: engine.LimitsOf(a.Catalog.For(channel)),
	})
	a.sends(request(c).trace.Span(), channel, schemas.TopicRun, len(change.Result)+len(change.Error), receipt)
	if err != nil {
		return err
	}
	return writeReceipt(c, http.StatusOK, receipt)
}

func (a *api) readRun(c echo.Context) (schemas.RunChange, error) {
	var body runBody
	if err := a.readJSON(c, &body); err != nil {
		return schemas.RunChange{}, err
	}
	change := schemas.RunChange{Status: body.Status}
	var err error
	if change.RunID, err = schemas.ParseRunID(body.RunID); err != nil {
		return change, err
	}
	if change.Result, err = compacted(body.Result); err != nil {
		return change, err
	}
	change.Error, err = compacted(body.Error)
	return change, err
}

// readJSON reads a small JSON body into v, strictly.
func (a *api) readJSON(c echo.Context, v any) error {
	raw := a.buffers.get()
	defer a.buffers.put(raw)
	media, err := mediaType(c)
	if err != nil {
		return err
	}
	if media != "" && media != echo.MIMEApplicationJSON {
		return unsupported(media, echo.MIMEApplicationJSON)
	}
	if err := a.readBody(c, raw, a.bodyLimit()); err != nil {
		return err
	}
	return decodeStrict(raw.Bytes(), v)
}

// compacted returns a copy of raw without insignificant white space, nil for nil.
func compacted(raw json.RawMessage) (json.RawMessage, error) {
	if raw == nil {
		return nil, nil
	}
	var b bytes.Buffer
	err := compact(&b, raw)
	return b.Bytes(), err
}
