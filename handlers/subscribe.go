package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/internal/tracing"
)

const subscribeRoute = "/v1/subscribe"

// subscribe answers GET /v1/subscribe with the stream that the query describes.
func (a *api) subscribe(c echo.Context) error {
	asked, err := askedInQuery(c.QueryParams(), c.Request().Header.Get("Last-Event-ID"))
	if err != nil {
		return err
	}
	return a.openStream(c, asked)
}

// subscribePost answers POST /v1/subscribe, for requests that are too long for a URL.
func (a *api) subscribePost(c echo.Context) error {
	asked, err := a.askedInBody(c)
	if err != nil {
		return err
	}
	return a.openStream(c, asked)
}

// openStream answers with the requested stream.
func (a *api) openStream(c echo.Context, asked *asking) error {
	sub, err := a.subscription(request(c), asked, format(c.Request()), c.RealIP())
	if err != nil {
		return err
	}
	if c.Request().Method == http.MethodHead { // do not open a stream that nobody can read
		streamHeaders(c.Response().Header(), sub.Format)
		return c.NoContent(http.StatusOK)
	}
	if err := mayStay(c); err != nil {
		return a.turnAway(c, err)
	}
	if sub.UntilEnd {
		ended, err := a.Broker.Ended(c.Request().Context(), sub)
		if err != nil {
			return a.turnAway(c, err)
		}
		if ended { // at which an EventSource stops for good
			return c.NoContent(http.StatusNoContent)
		}
	}
	s, err := a.begin(c.Request().Context(), sub, request(c))
	if err != nil {
		return a.turnAway(c, err)
	}
	return a.stream(c, s)
}

// begin opens a stream.
func (a *api) begin(ctx context.Context, sub broker.Subscription, r *requestInfo) (*broker.Stream, error) {
	who, subscribe := r.who, a.Broker.Subscribe
	if isSystem(sub) {
		subscribe = a.system.Subscribe
	}
	if r.trace != nil {
		sub.Arrived = r.trace.Subscribes(sub.Names())
	}
	s, err := subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	r.trace.Opened(tracing.Answer{Method: http.MethodGet, Route: subscribeRoute, Status: http.StatusOK})
	// Check the credential again now that whoever takes it away can find the stream: one in
	// between would have missed it.
	fate := who.KeyFate()
	if who.TokenID != "" && a.Auth.Revoked(who.TokenID) {
		fate = auth.KeyRemoved
	}
	if reason, ended := endedBy(fate); ended {
		s.End(reason)
	}
	return s, nil
}

// endedBy returns why a stream ends when that has become of its credential. If the key may do
// something else now, the client comes back, and finds out what.
func endedBy(fate auth.KeyFate) (reason broker.CloseReason, ended bool) {
	switch fate {
	case auth.KeyRemoved:
		return broker.TokenRevoked(), true
	case auth.KeyChanged:
		return broker.MaxAge(), true
	case auth.KeyUnchanged:
	}
	return broker.CloseReason{}, false
}

// endStreamsOf ends the streams of an API key that was removed or changed.
func (a *api) endStreamsOf(keyID string, fate auth.KeyFate) {
	if reason, ended := endedBy(fate); ended {
		a.Broker.Disconnect(broker.Filter{KeyID: keyID}, reason)
		a.system.Disconnect(broker.Filter{KeyID: keyID}, reason)
	}
}

// lastEventID returns the position to resume from, as askedInQuery does.
func lastEventID(c echo.Context) string {
	return cmp.Or(c.Request().Header.Get("Last-Event-ID"), c.QueryParam("last_event_id"), c.QueryParam("lastEventId"))
}

// format returns the format of the events: Server-Sent Events, unless the client accepts
// JSON lines and not these.
func format(r *http.Request) ring.Format {
	return formatOf(strings.Join(r.Header.Values(echo.HeaderAccept), ","))
}

func formatOf(accept string) ring.Format {
	accept = strings.ToLower(accept)
	if strings.Contains(accept, "ndjson") && !strings.Contains(accept, "text/event-stream") {
		return ring.NDJSON
	}
	return ring.SSE
}

// notNow returns the close reason for a stream that can be served later.
func notNow(err error) (broker.CloseReason, bool) {
	switch {
	case errors.Is(err, broker.ErrTooManyStreams):
		return broker.TooManyStreams(), true
	case errors.Is(err, broker.ErrDraining), errors.Is(err, broker.ErrClosed):
		return broker.Draining(), true
	case errors.Is(err, auth.ErrIssuerUnavailable), errors.Is(err, engine.ErrUnavailable):
		return broker.EngineUnavailable(), true
	}
	return broker.CloseReason{}, false
}

// turnAway answers a request for a stream that cannot be served at all or at the moment.
// A client that comes back later does not keep its connection until then.
func (a *api) turnAway(c echo.Context, err error) error {
	ending, later := notNow(err)
	if !later {
		return err
	}
	closeAfter(c)
	if !format(c.Request()).Lines() {
		a.metrics.turnedAway(ending, err)
		return a.refuse(c, ending)
	}
	return err
}

// refuse refuses a stream so that a browser retries later: any status except 200 would
// make it give up for good.
func (a *api) refuse(c echo.Context, e broker.CloseReason) error {
	streamHeaders(c.Response().Header(), ring.SSE)
	request(c).stream = true
	c.Response().WriteHeader(http.StatusOK)
	_, err := c.Response().Write(e.Refusal(lastEventID(c)))
	return err
}
