package handlers

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine/clusterstate"
	"github.com/sluicehq/sluice/schemas"
)

// listSubscribers answers GET /v1/subscribers.
func (a *api) listSubscribers(c echo.Context) error {
	f, err := streamFilter(c)
	if err != nil {
		return err
	}
	limit, err := limitParam(c, 100, 1000)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, struct {
		Subscribers []broker.StreamInfo `json:"subscribers"`
	}{a.Broker.Streams(f, limit)})
}

// streamFilter returns the filter in the query.
func streamFilter(c echo.Context) (broker.Filter, error) {
	f := broker.Filter{Subject: c.QueryParam("sub")}
	var err error
	if c.QueryParams().Has("channel") {
		f.Channel, err = schemas.ParseChannel(c.QueryParam("channel"))
	}
	return f, err
}

// disconnect answers DELETE /v1/subscribers with the number of streams that ended on this
// node: those of a subject, or only those of them that read a channel. The subject is
// required, so that a forgotten parameter does not disconnect everybody.
func (a *api) disconnect(c echo.Context) error {
	streams, err := streamFilter(c)
	if err != nil {
		return err
	}
	if streams.Subject == "" {
		return fmt.Errorf("%w: sub is missing", ErrMalformed)
	}
	now := time.Now()
	value, err := json.Marshal(disconnection{Subject: streams.Subject, Channel: streams.Channel, Before: now})
	if err != nil {
		return err
	}
	f := clusterstate.Item{Kind: kindDisconnect, Name: rand.Text(), Value: value, ExpiresAt: now.Add(disconnectFor)}
	stop := a.tally.begin(f.Name)
	err = a.ClusterState.Put(c.Request().Context(), f)
	n := stop()
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, struct {
		Disconnected int `json:"disconnected"`
	}{n})
}
