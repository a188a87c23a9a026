package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Item is one message of [Client.PublishLines] and [Client.PublishBatch].
type Item struct {
	Channel        string `json:"channel"`
	Topic          string `json:"topic"`
	Data           any    `json:"data"` // encoded as JSON
	RunID          string `json:"run_id,omitempty"`
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	Traceparent    string `json:"traceparent,omitempty"` // see the option of that name; default: that of the request
}

// PublishLines publishes items over one connection, each as soon as items yields it, and
// yields their receipts in the same order. Use it for a token stream, or for a process
// that reports as long as it runs. The number of items is unlimited.
//
// A [*Problem] in place of a receipt says that the server refused this item; the loop goes
// on. Any other error, and a *Problem for the whole request, is the last pair. Nothing is
// retried.
//
// items runs in its own goroutine. It ends with items or, after the loop was left or ctx
// has ended, the next time items yields.
func (c *Client) PublishLines(ctx context.Context, items iter.Seq[Item]) iter.Seq2[schemas.Receipt, error] {
	return func(yield func(schemas.Receipt, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		body, feed := io.Pipe()
		defer body.CloseWithError(errLoopLeft) // lets feedItems end

		go feedItems(feed, items)
		resp, err := c.send(ctx, request{
			method: http.MethodPost,
			path:   batchPath,
			header: http.Header{"Content-Type": {"application/x-ndjson"}},
			stream: body,
		})
		if err != nil {
			yield(schemas.Receipt{}, err)
			return
		}
		defer resp.Body.Close()
		yieldReceipts(resp.Body, yield)
	}
}

// feedItems writes a line for each item until they end, one cannot be encoded or nobody
// reads any more.
func feedItems(feed *io.PipeWriter, items iter.Seq[Item]) {
	for item := range items {
		line, err := encode(item) // ends with a line feed
		if err != nil {
			feed.CloseWithError(fmt.Errorf("client: encoding an item: %w", err))
			return
		}
		if _, err := feed.Write(line); err != nil {
			return
		}
	}
	feed.Close()
}

func yieldReceipts(body io.Reader, yield func(schemas.Receipt, error) bool) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxAnswerBytes)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		receipt, err := receiptOf(lines.Bytes())
		if !yield(receipt, err) {
			return
		}
		if problem := (*Problem)(nil); err != nil && !errors.As(err, &problem) {
			return
		}
	}
	if err := lines.Err(); err != nil {
		yield(schemas.Receipt{}, fmt.Errorf("client: reading the receipts: %w", err))
	}
}

// receiptOf decodes a line of the answer: a receipt or a problem. Only a problem has a
// status.
func receiptOf(line []byte) (schemas.Receipt, error) {
	var problem Problem
	if err := json.Unmarshal(line, &problem.Problem); err == nil && problem.Status != 0 {
		problem.RetryAfter = time.Duration(problem.Problem.RetryAfter) * time.Second
		return schemas.Receipt{}, &problem
	}
	var receipt schemas.Receipt
	if err := json.Unmarshal(line, &receipt); err != nil {
		return schemas.Receipt{}, fmt.Errorf("client: a line of the answer is no receipt: %w", err)
	}
	return receipt, nil
}
