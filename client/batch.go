package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice/schemas"
)

// Result is the outcome of one [Item] of a batch.
type Result struct {
	Receipt schemas.Receipt // if Err is nil
	Err     error           // a [*Problem] if the server refused this item
}

// The limits of one request, unless a single item has more bytes. A server accepts the
// same number of items, and 128 times the size of the largest message.
const (
	maxBatchItems = 1000
	maxBatchBytes = 1 << 20
)

// PublishBatch publishes items in as few requests as possible, of at most 1,000 items and
// 1 MiB each. Each item is published or refused by itself; results has one element for
// each, in the same order.
//
// Items with a transient failure are retried without the others, see [WithRetries], so
// they may be published later than those after them.
//
// The error is that of a request that failed as a whole. Its items, and all later items,
// which were not sent, have it as their Err. If an item cannot be encoded, nothing is
// sent and there are no results.
func (c *Client) PublishBatch(ctx context.Context, items []Item) (results []Result, err error) {
	b := batch{client: c, encoded: make([][]byte, len(items)), items: items, results: make([]Result, len(items))}
	left := make([]int, len(items))
	for i, item := range items {
		if b.encoded[i], err = encode(item); err != nil {
			return nil, fmt.Errorf("client: encoding item %d: %w", i, err)
		}
		left[i] = i
	}
	var waits backoff
	for tries := 0; len(left) > 0; tries++ {
		if err := b.send(ctx, left); err != nil {
			return b.results, err
		}
		if left = b.again(left); len(left) == 0 || tries >= c.retries {
			break
		}
		if err := pause(ctx, waits.next(0), b.results[left[0]].Err); err != nil {
			return b.results, err
		}
	}
	return b.results, nil
}

// batch is one call of PublishBatch.
type batch struct {
	client  *Client
	items   []Item
	encoded [][]byte
	results []Result
}

// send publishes the items with the given indexes, in parts.
func (b *batch) send(ctx context.Context, left []int) error {
	for len(left) > 0 {
		n := b.fit(left)
		if err := b.sendPart(ctx, left[:n]); err != nil {
			for _, i := range left {
				b.results[i] = Result{Err: err}
			}
			return err
		}
		left = left[n:]
	}
	return nil
}

// fit returns how many of the items fit into one request.
func (b *batch) fit(left []int) int {
	n, size := 0, 0
	for n < len(left) && n < maxBatchItems {
		size += len(b.encoded[left[n]])
		if n > 0 && size > maxBatchBytes {
			break
		}
		n++
	}
	return n
}

func (b *batch) sendPart(ctx context.Context, part []int) error {
	lines := make([][]byte, len(part))
	rule := ifTransient
	for k, i := range part {
		lines[k] = b.encoded[i]
		if b.items[i].IdempotencyKey == "" {
			rule = ifUndone
		}
	}
	var answers []json.RawMessage
	r := arrayOf(lines)
	r.repeat = rule
	if err := b.client.call(ctx, r, &answers); err != nil {
		return err
	}
	if len(answers) != len(part) {
		return fmt.Errorf("client: %d items were answered with %d results", len(part), len(answers))
	}
	for k, i := range part {
		b.results[i].Receipt, b.results[i].Err = receiptOf(answers[k])
	}
	return nil
}

// again returns the items that may be retried.
func (b *batch) again(sent []int) []int {
	var left []int
	for _, i := range sent {
		rule := ifUndone
		if b.items[i].IdempotencyKey != "" {
			rule = ifTransient
		}
		if err := b.results[i].Err; err != nil && rule.allows(err) {
			left = append(left, i)
		}
	}
	return left
}
