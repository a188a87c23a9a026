package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluicehq/sluice/schemas"
)

const (
	keyHeader     = "Idempotency-Key"
	traceHeader   = "Traceparent"
	streamIDParam = "stream_id"
	attemptParam  = "attempt"
	offsetParam   = "offset"
)

// PublishOption configures one publish.
type PublishOption func(*request)

// IdempotencyKey makes a publish durable: the first one with this key on this channel and
// topic is published and remembered, and every later one returns the first receipt with
// Duplicate set. So you can repeat a call that failed without an answer. The key has 1 to
// [schemas.MaxKeyBytes] printable ASCII characters.
func IdempotencyKey(key string) PublishOption {
	return func(r *request) {
		r.header.Set(keyHeader, key)
		r.repeat = ifTransient
	}
}

// RunID is the run of the channel's job to which the message belongs; "" for none.
func RunID(id string) PublishOption {
	return func(r *request) {
		if id != "" {
			r.query.Set("run_id", id)
		}
	}
}

// Traceparent is the span that the message follows from, as the header of that name says it (W3C
// Trace Context): the message carries it to its readers, and the spans of a server that traces
// are its children. Default: what [WithTraceparent] returns.
func Traceparent(traceparent string) PublishOption {
	return func(r *request) {
		if traceparent != "" {
			r.header.Set(traceHeader, traceparent)
		}
	}
}

// StreamID is the id of the text that [Client.PublishStream] publishes: 1 to 64 of the
// characters A-Z a-z 0-9 _ . : -, unique on the channel and topic. With an id of its own, a
// program that starts again continues or replaces the text. Default: a random one.
func StreamID(id string) PublishOption {
	return func(r *request) {
		if id != "" {
			r.query.Set(streamIDParam, id)
		}
	}
}

// Attempt is which try to publish the text with a [StreamID] this is, from 1, which is also
// the default. A later attempt replaces earlier ones: readers see the text begin again, and
// whoever still publishes an earlier one gets [ErrSuperseded].
func Attempt(n int64) PublishOption {
	return func(r *request) { r.query.Set(attemptParam, strconv.FormatInt(n, 10)) }
}

// Publish publishes data, encoded as JSON, to a topic of a channel. A string becomes a JSON
// string, and a [json.RawMessage] is sent as it is. As usual with encoding/json, a []byte
// becomes base64.
//
// Messages that are published at the same time share requests, see [WithGather].
//
// Transient failures are retried, see [WithRetries]. A refusal is a [*Problem]. After any
// other error, the message may or may not have been published; with an [IdempotencyKey]
// you can simply repeat the call.
func (c *Client) Publish(ctx context.Context, channel, topic string, data any, opts ...PublishOption) (schemas.Receipt, error) {
	body, err := encode(data)
	if err != nil {
		return schemas.Receipt{}, fmt.Errorf("client: encoding the data: %w", err)
	}
	r := request{
		method: http.MethodPost,
		path:   publishPath,
		query:  url.Values{"channel": {channel}, "topic": {topic}},
		header: jsonHeader(),
		body:   body,
		repeat: ifUndone,
	}
	c.trace(ctx, r.header)
	r.traced = true
	for _, opt := range opts {
		opt(&r)
	}
	if c.gatherer != nil {
		if item, fits := r.item(); fits {
			return c.gatherer.publish(ctx, item, r)
		}
	}
	var receipt schemas.Receipt
	err = c.call(ctx, r, &receipt)
	return receipt, err
}

// item returns the request of a publish as an item, and whether that says all that it says.
func (r *request) item() (item Item, complete bool) {
	item = Item{
		Channel: r.query.Get("channel"), Topic: r.query.Get("topic"), Data: json.RawMessage(r.body),
		RunID: r.query.Get("run_id"), IdempotencyKey: r.header.Get(keyHeader), Traceparent: r.header.Get(traceHeader),
	}
	query, header := 2, 1 // with the type of the body
	if item.RunID != "" {
		query++
	}
	if item.IdempotencyKey != "" {
		header++
	}
	if item.Traceparent != "" {
		header++
	}
	return item, len(r.query) == query && len(r.header) == header
}

// These paths have a $ instead of a name, and the name is in the query: proxies decode,
// join and resolve paths, which would change names with slashes or dots.
const (
	publishPath    = "/v1/publish/$/$"
	streamPath     = publishPath + "/stream"
	runPath        = "/v1/channels/$/run"
	definitionPath = "/v1/schemas/$"
)

// batchPath takes whole items, with their names.
const batchPath = "/v1/publish"
