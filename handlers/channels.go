package handlers

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// history answers GET /v1/channels/{channel}/messages.
func (a *api) history(c echo.Context) error {
	channel, err := channelParam(c)
	if err != nil {
		return err
	}
	topics, err := topicParams(c)
	if err != nil {
		return err
	}
	q := broker.Query{After: c.QueryParam("after"), Before: c.QueryParam("before")}
	if q.Topics, err = mayRead(principal(c), schemas.Pattern(channel), topics, schemas.NewTopicSet(topics)); err != nil {
		return err
	}
	if q.Limit, err = limitParam(c, 100, 1000); err != nil {
		return err
	}
	switch order := c.QueryParam("order"); order {
	case "", "asc":
	case "desc":
		q.Newest = true
	default:
		return fmt.Errorf("%w: order %q is neither asc nor desc", ErrMalformed, order)
	}
	page, err := a.Broker.History(c.Request().Context(), channel, q)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return respond(c, http.StatusOK, echo.MIMEApplicationJSON, append(page.AppendJSON(nil), '\n'))
}

// channelList is the answer to GET /v1/channels.
type channelList struct {
	Channels []broker.ChannelInfo `json:"channels"`
	Next     *schemas.Channel     `json:"next"` // the after of the next page; null if there is none
}

// listChannels answers GET /v1/channels.
func (a *api) listChannels(c echo.Context) error {
	limit, err := limitParam(c, 100, 1000)
	if err != nil {
		return err
	}
	infos, next, err := a.Broker.Channels(c.Request().Context(), c.QueryParam("prefix"), schemas.Channel(c.QueryParam("after")), limit)
	if err != nil {
		return err
	}
	list := channelList{Channels: infos}
	if next != "" {
		list.Next = &next
	}
	return answer(c, http.StatusOK, list)
}

// getChannel answers GET /v1/channels/{channel}.
func (a *api) getChannel(c echo.Context) error {
	channel, err := channelParam(c)
	if err != nil {
		return err
	}
	if _, err := mayRead(principal(c), schemas.Pattern(channel), nil, schemas.TopicSet{}); err != nil {
		return err
	}
	info, err := a.Broker.Channel(c.Request().Context(), channel)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, info)
}

// getPresence answers GET /v1/channels/{channel}/presence.
func (a *api) getPresence(c echo.Context) error {
	channel, err := channelParam(c)
	if err != nil {
		return err
	}
	if err := maySeePresence(principal(c), schemas.Pattern(channel)); err != nil {
		return err
	}
	list, err := a.Presence.Presence(c.Request().Context(), channel)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return answer(c, http.StatusOK, list)
}

// deleteChannel answers DELETE /v1/channels/{channel}.
func (a *api) deleteChannel(c echo.Context) error {
	channel, err := channelParam(c)
	if err != nil {
		return err
	}
	if err := a.Broker.Delete(c.Request().Context(), channel); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
