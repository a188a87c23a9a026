package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

const (
	maxAnswerBytes     = 1 << 20
	maxLongAnswerBytes = 64 << 20 // the answer to a batch, or a list of definitions
)

// request is one request to the API. Empty fields are left out of it.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte
	stream io.Reader                     // instead of body; it can be sent only once, so repeat must be never
	reopen func() (io.ReadCloser, error) // the stream again, for a redirect; nil: there is none

	repeat repeat
	traced bool // it names the spans of its messages itself, if they have any
	long   bool // the answer may have up to maxLongAnswerBytes
}

// answerLimit returns how many bytes of an answer are read.
func (r *request) answerLimit() int64 {
	if r.long {
		return maxLongAnswerBytes
	}
	return maxAnswerBytes
}

// trace adds the span of ctx to the header of a request.
func (c *Client) trace(ctx context.Context, header http.Header) {
	if c.traceparent == nil {
		return
	}
	if traceparent := c.traceparent(ctx); traceparent != "" {
		header.Set(traceHeader, traceparent)
	}
}

// send sends r once. The caller closes the body of the response. If the status is not 2xx,
// the error is a [*Problem].
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	token, base, err := c.authorize(ctx)
	if err != nil {
		return nil, &credentialError{err}
	}
	target := base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	body := r.stream
	if body == nil && r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	if r.reopen != nil {
		req.GetBody = r.reopen
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if !r.traced {
		c.trace(ctx, req.Header)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, ErrRedirected):
		return nil, err
	case err != nil:
		return nil, &networkError{err}
	case resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices:
		defer discard(resp)
		return nil, problemOf(resp)
	}
	return resp, nil
}

// authorize returns the credential of a request, and the URL of the server.
func (c *Client) authorize(ctx context.Context) (token, base string, err error) {
	t, err := c.credential(ctx)
	switch {
	case err != nil || c.base != "":
		return t.Token, c.base, err
	case t.URL == "":
		return "", "", fmt.Errorf("%w: neither New nor the token names one", ErrBadURL)
	}
	base, err = baseOf(t.URL)
	return t.Token, base, err
}

// discard closes the body of resp. It reads the rest of a short body, so that the
// connection can be reused.
func discard(resp *http.Response) {
	if 0 < resp.ContentLength && resp.ContentLength <= maxAnswerBytes {
		io.Copy(io.Discard, resp.Body) //nolint:errcheck // after an error the connection is not reused
	}
	resp.Body.Close()
}

// call sends r, with the retries that r allows, and decodes the JSON answer into answer. A nil
// answer discards it.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	return c.retry(ctx, r.repeat, func() error { return c.callOnce(ctx, r, answer) })
}

func (c *Client) callOnce(ctx context.Context, r request, answer any) error {
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	limit := r.answerLimit()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return &networkError{fmt.Errorf("client: reading the answer: %w", err)}
	case int64(len(body)) > limit:
		return fmt.Errorf("client: the answer is longer than %d bytes", limit)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("client: the answer is not what a sluice server sends: %w", err)
	}
	return nil
}

// callJSON is [Client.call] with question as the body.
func (c *Client) callJSON(ctx context.Context, r request, question, answer any) error {
	body, err := encode(question)
	if err != nil {
		return fmt.Errorf("client: encoding the request: %w", err)
	}
	r.header, r.body = jsonHeader(), body
	return c.call(ctx, r, answer)
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// encode is json.Marshal without escaping for HTML. The escapes would make the JSON longer,
// which counts against the publisher's limit.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// credentialError is an error of a credential source. It is never retried.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return "client: no credential: " + e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

// networkError is the error of a request that got no complete answer.
type networkError struct{ err error }

func (e *networkError) Error() string { return e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }
