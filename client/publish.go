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

	"github.com/sluicehq/sluice/schemas"
)

// PublishOption changes one publish.
type PublishOption func(*request)

// IdempotencyKey makes a publish durable: the first one with this key on this
// channel and topic is published and remembered, and every later one gets the
// first one's receipt with Duplicate set. So a call that failed without an
// answer may be made again. 1 to [schemas.MaxKeyBytes] printable ASCII
// characters.
func IdempotencyKey(key string) PublishOption {
	return func(r *request) { r.header.Set("Idempotency-Key", key) }
}

// RunID says which run of the channel's job the message belongs to; "": none.
func RunID(id string) PublishOption {
	return func(r *request) {
		if id != "" {
			r.query.Set("run_id", id)
		}
	}
}

// Publish publishes data, encoded as JSON, to a topic of a channel. A string
// becomes a JSON string and [json.RawMessage] goes out as it is; a []byte would
// become base64, as encoding/json does it.
//
// A refusal is a [*Problem]. After any other error it is not known whether the
// message was published, unless it carried an [IdempotencyKey].
func (c *Client) Publish(ctx context.Context, channel, topic string, data any, opts ...PublishOption) (schemas.Receipt, error) {
	body, err := encode(data)
	if err != nil {
		return schemas.Receipt{}, fmt.Errorf("client: encoding the data: %w", err)
	}
	r := request{
		method: http.MethodPost,
		path:   publishPath(channel, topic),
		query:  url.Values{},
		header: http.Header{"Content-Type": {"application/json"}},
		body:   bytes.NewReader(body),
	}
	for _, opt := range opts {
		opt(&r)
	}
	var receipt schemas.Receipt
	err = c.call(ctx, r, &receipt)
	return receipt, err
}

// ErrNotDurable is returned by [Client.PublishBody] when it is given an
// [IdempotencyKey].
var ErrNotDurable = errors.New("client: a stream of text cannot be published under an idempotency key")

// BodyReceipt is the answer to [Client.PublishBody].
type BodyReceipt struct {
	StreamID string     `json:"stream_id"`
	Chunks   int64      `json:"chunks"`
	Bytes    int64      `json:"bytes"`
	FirstID  schemas.ID `json:"first_id"` // of the message that begins the stream
	LastID   schemas.ID `json:"last_id"`  // of the message that ends it
}

// PublishBody sends body to the subscribers while it is being read: the text of
// a log or of a language model, of any length. Bytes that are not UTF-8 become
// U+FFFD. It returns when body has ended and the server has taken all of it; if
// body fails, the subscribers see the stream as aborted. Of the options only
// [RunID] applies: a stream cannot be durable, and [ErrNotDurable] says so.
func (c *Client) PublishBody(ctx context.Context, channel, topic string, body io.Reader, opts ...PublishOption) (BodyReceipt, error) {
	r := request{
		method: http.MethodPost,
		path:   publishPath(channel, topic) + "/stream",
		query:  url.Values{},
		header: http.Header{},
		// Hiding the type keeps net/http from reading a short body whole and from
		// closing what belongs to the caller.
		body: struct{ io.Reader }{body},
	}
	for _, opt := range opts {
		opt(&r)
	}
	if r.header.Get("Idempotency-Key") != "" {
		return BodyReceipt{}, ErrNotDurable
	}
	var receipt BodyReceipt
	err := c.call(ctx, r, &receipt)
	return receipt, err
}

// Run is a state of the job that a channel reports on.
type Run struct {
	Status string `json:"status"` // running, completed, failed or cancelled
	RunID  string `json:"run_id,omitempty"`
	Result any    `json:"result,omitempty"` // encoded as JSON
	Error  any    `json:"error,omitempty"`  // encoded as JSON
}

// SetRun publishes a change of the run's status to every subscriber of the
// channel, and to those who come later. A status other than running is final:
// another one after it is a [*Problem] with status 409.
func (c *Client) SetRun(ctx context.Context, channel string, run Run) (schemas.Receipt, error) {
	var receipt schemas.Receipt
	err := c.callJSON(ctx, http.MethodPut, "/v1/channels/"+url.PathEscape(channel)+"/run", run, &receipt)
	return receipt, err
}

// callJSON is [Client.call] with question as the body.
func (c *Client) callJSON(ctx context.Context, method, path string, question, answer any) error {
	body, err := encode(question)
	if err != nil {
		return fmt.Errorf("client: encoding the request: %w", err)
	}
	return c.call(ctx, request{
		method: method,
		path:   path,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   bytes.NewReader(body),
	}, answer)
}

func publishPath(channel, topic string) string {
	return "/v1/publish/" + url.PathEscape(channel) + "/" + url.PathEscape(topic)
}

// encode is json.Marshal without the escapes for HTML, which would make a
// publisher's JSON longer than it is and count against its limit.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
