package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

const (
	maxAnswerBytes     = 1 << 20
	maxLongAnswerBytes = 64 << 20 // to what may be answered at length
)

// request is one call of the API. An empty field is left out.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte
	stream io.Reader // in place of body; sent once, so repeat must be never

	repeat repeat
	long   bool // the answer may have maxLongAnswerBytes
}

// answerLimit returns how many bytes of an answer are read.
func (r *request) answerLimit() int64 {
	if r.long {
		return maxLongAnswerBytes
	}
	return maxAnswerBytes
}

// send sends r once. The answer is the caller's to close; a status of 400 or
// more comes back as [*Problem] instead.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	target := c.base + r.path
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
	for name, values := range r.header {
		req.Header[name] = values
	}
	key, err := c.credential(ctx)
	if err != nil {
		return nil, &credentialError{err}
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &networkError{err}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		defer resp.Body.Close()
		return nil, problemOf(resp)
	}
	return resp, nil
}

// call sends r, again if r allows it, and decodes the answer's JSON into answer,
// unless that is nil.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	return c.repeating(ctx, r.repeat, func() error { return c.callOnce(ctx, r, answer) })
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

// encode is json.Marshal without the escapes for HTML, which would make a
// publisher's JSON longer than it is and count against its limit.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// credentialError tells the failure of a credential source, which ends whatever
// is under way, from that of a request, which may be tried again.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return "client: no credential: " + e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

// networkError is a request that was not answered, or not to the end.
type networkError struct{ err error }

func (e *networkError) Error() string { return e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }
