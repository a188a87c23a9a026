package handlers

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// subscribe answers GET /v1/subscribe with a stream.
func (a *api) subscribe(c echo.Context) error {
	sub, err := a.subscription(c)
	if err != nil {
		return err
	}
	if c.Request().Method == http.MethodHead { // a stream that nobody can read is not opened
		streamHeaders(c.Response().Header(), sub.Format)
		return c.NoContent(http.StatusOK)
	}
	s, err := a.Broker.Subscribe(c.Request().Context(), sub)
	if err != nil {
		if ending, ok := notNow(err); ok && sub.Format == broker.SSE {
			return a.refuse(c, ending)
		}
		return err
	}
	// Asked again now that the stream can be found: a revocation in between
	// would have missed it.
	if who := principal(c); who.TokenID != "" && a.Auth.Revoked(who.TokenID) {
		s.End(broker.TokenRevoked())
	}
	return a.stream(c, s)
}

// subscription reads the query and checks it against what is granted.
func (a *api) subscription(c echo.Context) (broker.Subscription, error) {
	who := principal(c)
	topics, err := topicParams(c)
	if err != nil {
		return broker.Subscription{}, err
	}
	names := c.QueryParams()["channel"]
	if len(names) == 0 {
		if names, err = onlyChannel(who); err != nil {
			return broker.Subscription{}, err
		}
	}
	if err := a.Broker.Fits(names); err != nil {
		return broker.Subscription{}, err
	}
	sub := broker.Subscription{
		LastEventID: lastEventID(c),
		Format:      format(c.Request()),
		Owner: broker.Owner{
			Subject: who.Subject, TokenID: who.TokenID, Address: c.RealIP(), RequestID: requestID(c), ExpiresAt: who.ExpiresAt,
		},
	}
	if sub.Replay, err = broker.ParseReplay(c.QueryParam("replay")); err != nil {
		return sub, err
	}
	asked := schemas.NewTopicSet(topics) // shared by all channels
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		pattern, err := schemas.ParsePattern(name)
		if err != nil {
			return sub, err
		}
		wanted, err := mayRead(who, pattern, topics, asked)
		if err != nil {
			return sub, err
		}
		if !seen[name] {
			seen[name] = true
			sub.Channels = append(sub.Channels, broker.Selector{Channel: pattern, Topics: wanted})
		}
	}
	return sub, nil
}

// onlyChannel returns the one channel that a token names, if that is so.
func onlyChannel(who *auth.Principal) ([]string, error) {
	var only string
	for _, g := range who.Subscribe {
		name, exact := g.Channel.Exact()
		if !exact || only != "" && only != string(name) {
			only = ""
			break
		}
		only = string(name)
	}
	if only == "" {
		return nil, fmt.Errorf("%w: channel is missing, and the credential does not name exactly one", ErrMalformed)
	}
	return []string{only}, nil
}

// lastEventID returns the position to go on from. The header wins: a browser
// that reconnects sends it along with the address it started with.
func lastEventID(c echo.Context) string {
	return cmp.Or(c.Request().Header.Get("Last-Event-ID"), c.QueryParam("last_event_id"), c.QueryParam("lastEventId"))
}

// format returns how the client wants its events: as Server-Sent Events, unless
// it accepts JSON lines and not these.
func format(r *http.Request) broker.Format {
	accept := strings.ToLower(strings.Join(r.Header.Values(echo.HeaderAccept), ","))
	if strings.Contains(accept, "ndjson") && !strings.Contains(accept, "text/event-stream") {
		return broker.NDJSON
	}
	return broker.SSE
}

// notNow returns how a stream is turned away that may be served later.
func notNow(err error) (broker.Ending, bool) {
	switch {
	case errors.Is(err, broker.ErrTooManyStreams):
		return broker.TooManyStreams(), true
	case errors.Is(err, broker.ErrDraining), errors.Is(err, broker.ErrClosed):
		return broker.Draining(), true
	case errors.Is(err, auth.ErrIssuerUnavailable), errors.Is(err, broker.ErrUnavailable):
		return broker.EngineUnavailable(), true
	}
	return broker.Ending{}, false
}

// refuse turns a stream away in a way that a browser understands as "later": any
// status but 200 would make it give up for good.
func (a *api) refuse(c echo.Context, e broker.Ending) error {
	streamHeaders(c.Response().Header(), broker.SSE)
	a.metrics.refused(e)
	request(c).stream = true
	c.Response().WriteHeader(http.StatusOK)
	_, err := c.Response().Write(e.Refusal(lastEventID(c)))
	return err
}
