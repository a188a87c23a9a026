package handlers

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/facts"
	"github.com/sluicehq/sluice/schemas"
)

// listSubscribers answers GET /v1/subscribers.
func (a *api) listSubscribers(c echo.Context) error {
	f := broker.Filter{Subject: c.QueryParam("sub")}
	if name := c.QueryParam("channel"); name != "" {
		channel, err := schemas.ParseChannel(name)
		if err != nil {
			return err
		}
		f.Channel = channel
	}
	limit, err := limitParam(c, 100, 1000)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, struct {
		Subscribers []broker.StreamInfo `json:"subscribers"`
	}{a.Broker.Streams(f, limit)})
}

// disconnect answers DELETE /v1/subscribers with the number of streams that ended
// here. A subject must be named, so that a forgotten parameter does not disconnect
// everybody.
func (a *api) disconnect(c echo.Context) error {
	sub := c.QueryParam("sub")
	if sub == "" {
		return fmt.Errorf("%w: sub is missing", ErrMalformed)
	}
	now := time.Now()
	value, err := json.Marshal(disconnection{Subject: sub, Before: now})
	if err != nil {
		return err
	}
	f := facts.Fact{Kind: factDisconnect, Name: rand.Text(), Value: value, Until: now.Add(disconnectFor)}
	stop := a.tally.begin(f.Name)
	err = a.Facts.Tell(c.Request().Context(), f)
	n := stop()
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, struct {
		Disconnected int `json:"disconnected"`
	}{n})
}
