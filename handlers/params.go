package handlers

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker/texts"
	"github.com/sluicehq/sluice/schemas"
)

// inQuery in a path stands for a name that is in the query, under the name of the
// parameter. Proxies and URL parsers decode, join and resolve paths, which changes names
// with slashes or dots; they leave queries alone. No channel, topic or definition can
// have this name.
const inQuery = "$"

// pathParam returns a path parameter, or the one in the query that replaces it.
func pathParam(c echo.Context, name string) (string, error) {
	value, err := segment(c, name)
	if err != nil || value != inQuery {
		return value, err
	}
	values := c.QueryParams()[name] // one at most, see query
	if len(values) == 0 {
		return "", fmt.Errorf("%w: the path has %s in place of a name, so the query must have %s", ErrMalformed, inQuery, name)
	}
	return values[0], nil
}

// segment returns a path parameter, unescaped once. The router returns it still escaped
// if the path has escapes that a plain path would not need, such as %2F. An unescaped
// slash is never part of a parameter, although the router accepts it at the end of a
// route.
func segment(c echo.Context, name string) (string, error) {
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

// checkQuery refuses a query with a syntax error: its valid part might mean something
// else.
func checkQuery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		text := c.Request().URL.RawQuery
		if text == "" {
			return next(c) // as most publishes
		}
		if _, err := url.ParseQuery(text); err != nil {
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

// runIDParam returns the run id in the query, "" for none.
func runIDParam(c echo.Context) (string, error) {
	if c.Request().URL.RawQuery == "" {
		return "", nil // as most publishes: echo would make a map
	}
	return schemas.ParseRunID(c.QueryParam("run_id"))
}

// traceparent returns the span that messages of a request follow from: the one that its
// header names, or else that of the request, "" if there is neither.
func traceparent(c echo.Context) string {
	if values := c.Request().Header["Traceparent"]; len(values) == 1 { // more are invalid
		if named := schemas.ParseTraceparent(values[0]); named != "" {
			return named
		}
	}
	return request(c).trace.Traceparent()
}

// attemptParams sets what the query says about the attempt at a text: its stream id, and
// without one nothing.
func attemptParams(c echo.Context, text *texts.Text) (err error) {
	if c.Request().URL.RawQuery == "" {
		return nil
	}
	params := c.QueryParams()
	if !params.Has("stream_id") {
		if params.Has("attempt") || params.Has("offset") {
			return fmt.Errorf("%w: attempt and offset are of a text with a stream_id", ErrMalformed)
		}
		return nil
	}
	if text.StreamID, err = schemas.ParseStreamID(params.Get("stream_id")); err != nil {
		return err
	}
	if text.Attempt, err = countParam(params, "attempt", 1); err != nil {
		return err
	}
	text.Offset, err = countParam(params, "offset", 0)
	return err
}

// countParam returns a number in the query that is not below least, which stands for none.
func countParam(params url.Values, name string, least int64) (int64, error) {
	text := params.Get(name)
	if text == "" {
		return least, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > maxCount {
		return 0, fmt.Errorf("%w: %s %q is not a whole number from %d to %d", ErrMalformed, name, text, least, int64(maxCount))
	}
	return n, nil
}

// maxCount is the greatest number that every JSON reader takes exactly.
const maxCount = 1<<53 - 1

// limitParam returns the limit in the query, which must be at most most.
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

// maxTopics is the most topics that one request may name, as many as a grant.
const maxTopics = 256

// topicParams returns the topics that the query names.
func topicParams(c echo.Context) ([]string, error) {
	topics := c.QueryParams()["topic"]
	return topics, checkTopics(topics)
}

// checkTopics checks the requested topics: names, *, $run, which every reader gets, and more
// of the system's own.
func checkTopics(topics []string, more ...schemas.Topic) error {
	if len(topics) > maxTopics {
		return fmt.Errorf("%w: %d topics, at most %d are allowed", ErrMalformed, len(topics), maxTopics)
	}
	for _, topic := range topics {
		if topic == schemas.AnyTopic || topic == string(schemas.TopicRun) || slices.Contains(more, schemas.Topic(topic)) {
			continue
		}
		if _, err := schemas.ParseTopic(topic); err != nil {
			return err
		}
	}
	return nil
}

// parameter says how a route accepts a parameter in its query.
type parameter struct {
	many  bool // it may be repeated
	empty bool // it may be empty
}

// query refuses queries that would be misunderstood: with a misspelt parameter, with one
// for another route, or with a repeated one, of which only the first would count. names
// lists the known parameters, with * after those that may be repeated and ? after those
// that may be empty. Names for which the path has [inQuery] are known, too.
func query(names string) echo.MiddlewareFunc {
	known := parameters(names)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Request().URL.RawQuery != "" {
				inPlace := func(name string) (bool, error) { return isInQuery(c, name) }
				if err := checkParameters(c.QueryParams(), known, inPlace); err != nil {
					return err
				}
			}
			return next(c)
		}
	}
}

// parameters returns what names says, see query.
func parameters(names string) map[string]parameter {
	known := map[string]parameter{}
	for _, name := range strings.Fields(names) {
		bare := strings.TrimRight(name, "*?")
		known[bare] = parameter{many: strings.HasSuffix(name, "*"), empty: strings.HasSuffix(name, "?")}
	}
	return known
}

// checkParameters checks a query. inPlace tells for which names the path has [inQuery].
func checkParameters(params url.Values, known map[string]parameter, inPlace func(name string) (bool, error)) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		p, ok := known[name]
		if is, err := inPlace(name); err != nil {
			return err
		} else if is {
			p, ok = parameter{}, true
		}
		values := params[name]
		switch {
		case !ok:
			return fmt.Errorf("%w: the query: %.64q is unknown here; known are %s", ErrMalformed, name, knownNames(known))
		case len(values) > 1 && !p.many:
			return fmt.Errorf("%w: the query: %s stands there more than once", ErrMalformed, name)
		case !p.empty && slices.Contains(values, ""):
			return fmt.Errorf("%w: the query: %s is empty", ErrMalformed, name)
		}
	}
	return nil
}

// isInQuery reports whether the path refers to the query for the name.
func isInQuery(c echo.Context, name string) (bool, error) {
	if !slices.Contains(c.ParamNames(), name) {
		return false, nil
	}
	value, err := segment(c, name)
	return value == inQuery, err
}

func knownNames(known map[string]parameter) string {
	if len(known) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}
