package handlers

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/schemas"
)

// pathParam returns a path parameter, unescaped once. The router hands it out
// still escaped when the path has escapes in it that a plain path would not,
// such as %2F. A slash that is not escaped is never part of one, though the
// router takes it for that at the end of a route.
func pathParam(c echo.Context, name string) (string, error) {
	value := c.Param(name)
	if strings.Contains(value, "/") {
		return "", ErrNotFound
	}
	if c.Request().URL.RawPath == "" {
		return value, nil
	}
	value, err := url.PathUnescape(value)
	if err != nil {
		return "", fmt.Errorf("%w: the path: %w", ErrMalformed, err)
	}
	return value, nil
}

// checkQuery refuses a query that is not understood as a whole: the part that is
// would mean something else.
func checkQuery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, err := url.ParseQuery(c.Request().URL.RawQuery); err != nil {
			return fmt.Errorf("%w: the query: bad escape, or a semicolon", ErrMalformed)
		}
		return next(c)
	}
}

func channelParam(c echo.Context) (schemas.Channel, error) {
	name, err := pathParam(c, "channel")
	if err != nil {
		return "", err
	}
	return schemas.ParseChannel(name)
}

// target returns the channel and the topic of a publish.
func target(c echo.Context) (schemas.Channel, schemas.Topic, error) {
	channel, err := channelParam(c)
	if err != nil {
		return "", "", err
	}
	name, err := pathParam(c, "topic")
	if err != nil {
		return "", "", err
	}
	topic, err := schemas.ParseTopic(name)
	return channel, topic, err
}

// limitParam returns the query's limit, at most most.
func limitParam(c echo.Context, standard, most int) (int, error) {
	text := c.QueryParam("limit")
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%w: limit %q is not a number from 1 to %d", ErrMalformed, text, most)
	}
	return n, nil
}

// maxTopics is how many topics one request may name: as many as a grant.
const maxTopics = 256

// topicParams returns the topics that the query names.
func topicParams(c echo.Context) ([]string, error) {
	topics := c.QueryParams()["topic"]
	if len(topics) > maxTopics {
		return nil, fmt.Errorf("%w: %d topics, at most %d are allowed", ErrMalformed, len(topics), maxTopics)
	}
	for _, topic := range topics {
		if topic == schemas.AnyTopic || topic == string(schemas.TopicRun) {
			continue
		}
		if _, err := schemas.ParseTopic(topic); err != nil {
			return nil, err
		}
	}
	return topics, nil
}
