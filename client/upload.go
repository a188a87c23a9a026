package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/schemas"
)

// ErrNotDurable is returned by [Client.PublishStream] when it is given an
// [IdempotencyKey].
var ErrNotDurable = errors.New("client: a stream of text cannot be published under an idempotency key")

// StreamReceipt is the answer to [Client.PublishStream].
type StreamReceipt struct {
	StreamID string     `json:"stream_id"`
	Chunks   int64      `json:"chunks"`
	Bytes    int64      `json:"bytes"`
	FirstID  schemas.ID `json:"first_id"` // of the message that begins the stream
	LastID   schemas.ID `json:"last_id"`  // of the message that ends it
}

// PublishStream sends text to the subscribers while it is being read: a log, or
// what a language model says, of any length. Bytes that are not UTF-8 become
// U+FFFD. It returns when text has ended and the server has taken all of it; if
// text fails, the subscribers see the stream as aborted. [Texts] puts the pieces
// together again.
//
// Of the options only [RunID] applies: a stream cannot be durable, and
// [ErrNotDurable] says so. It is never tried again. A refusal is a [*Problem].
func (c *Client) PublishStream(ctx context.Context, channel, topic string, text io.Reader, opts ...PublishOption) (StreamReceipt, error) {
	r := request{
		method: http.MethodPost,
		path:   publishPath(channel, topic) + "/stream",
		query:  url.Values{},
		header: http.Header{},
		// Hiding the type keeps net/http from reading a short text whole and from
		// closing what belongs to the caller.
		stream: struct{ io.Reader }{text},
	}
	for _, opt := range opts {
		opt(&r)
	}
	if r.header.Get(keyHeader) != "" {
		return StreamReceipt{}, ErrNotDurable
	}
	var receipt StreamReceipt
	err := c.call(ctx, r, &receipt)
	return receipt, err
}
