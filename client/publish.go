package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/schemas"
)

const keyHeader = "Idempotency-Key"

// PublishOption changes one publish.
type PublishOption func(*request)

// IdempotencyKey makes a publish durable: the first one with this key on this
// channel and topic is published and remembered, and every later one gets the
// first one's receipt with Duplicate set. So a call that failed without an
// answer may be made again. 1 to [schemas.MaxKeyBytes] printable ASCII
// characters.
func IdempotencyKey(key string) PublishOption {
	return func(r *request) {
		r.header.Set(keyHeader, key)
		r.repeat = ifPassing
	}
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
// What fails in passing is tried again, see [WithRetries]. A refusal is a
// [*Problem]. After any other error it is not known whether the message was
// published; with an [IdempotencyKey] the call may simply be made again.
func (c *Client) Publish(ctx context.Context, channel, topic string, data any, opts ...PublishOption) (schemas.Receipt, error) {
	body, err := encode(data)
	if err != nil {
		return schemas.Receipt{}, fmt.Errorf("client: encoding the data: %w", err)
	}
	r := request{
		method: http.MethodPost,
		path:   publishPath(channel, topic),
		query:  url.Values{},
		header: jsonHeader(),
		body:   body,
		repeat: ifUndone,
	}
	for _, opt := range opts {
		opt(&r)
	}
	var receipt schemas.Receipt
	err = c.call(ctx, r, &receipt)
	return receipt, err
}

func publishPath(channel, topic string) string {
	return "/v1/publish/" + url.PathEscape(channel) + "/" + url.PathEscape(topic)
}
