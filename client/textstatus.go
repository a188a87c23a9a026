package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// textStatus is how far the server is with a text. The zero value is that of a text that it
// does not know.
type textStatus struct {
	attempt int64 // the latest one
	offset  int64 // bytes of UTF-8 that the server has of it
	state   string
}

// The states of an attempt that need to be told from others.
const (
	textComplete = "complete"
	textAborted  = "aborted"
)

// textStatus asks for the status of the text that a publish with this query is about.
func (c *Client) textStatus(ctx context.Context, publish url.Values) (textStatus, error) {
	resp, err := c.send(ctx, request{method: http.MethodHead, path: streamPath, query: textQuery(publish)})
	if problem := (*Problem)(nil); errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return textStatus{}, nil
	}
	if err != nil {
		return textStatus{}, err
	}
	resp.Body.Close()
	attempt, attemptErr := strconv.ParseInt(resp.Header.Get("Stream-Attempt"), 10, 64)
	offset, offsetErr := strconv.ParseInt(resp.Header.Get("Stream-Offset"), 10, 64)
	if err := errors.Join(attemptErr, offsetErr); err != nil {
		return textStatus{}, fmt.Errorf("client: the answer does not say how far the text is: %w", err)
	}
	return textStatus{attempt, offset, resp.Header.Get("Stream-State")}, nil
}

// textQuery returns the part of the query of a publish that names the text.
func textQuery(publish url.Values) url.Values {
	query := url.Values{}
	for _, name := range []string{"channel", "topic", streamIDParam} {
		query[name] = publish[name]
	}
	return query
}
