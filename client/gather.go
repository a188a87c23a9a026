package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// WithGather makes [Client.Publish] and what is built on it send messages together: those
// that are published while a request is under way leave with the next one, of at most 1,000
// messages and 1 MiB. A message that is alone leaves at once. Each still has its own receipt,
// error, retries and context. A request is cancelled only when all of its callers have given
// up, or when the server has not answered for 30 seconds.
//
// Messages that wait leave in the order in which they were published, except that a retry
// goes behind those that wait.
//
// Such a request has the values of the context of its first message, without its deadline.
// Default: on, but off with [WithHTTPClient], [WithCredentials] and [WithTokens], which may
// take from a context what is meant for one message, such as a trace or a token.
func WithGather(on bool) Option {
	return func(c *Client) { c.gather = &on }
}

const (
	// gatherTimeout is how long a request of a gatherer may stay unanswered.
	gatherTimeout = 30 * time.Second
	// holdUp is how long messages of other channels wait for one.
	holdUp = time.Second
)

var errUnanswered = fmt.Errorf("client: no answer within %v", gatherTimeout)

// gatherer publishes messages that come at the same time with as few requests as possible.
//
// At any moment one request is under way and the next one forms in waiting, so the load
// decides how many messages share a request, and a timer is not needed. A request that stays
// unanswered for longer than holdUp, perhaps because of one channel with slow readers, holds up
// only its own channels from then on: it has been overtaken.
//
// Messages share a request and nothing else. If a request is refused as a whole, each half of
// it is sent again, until only the message at fault is refused. Retries are decided for each
// message by its caller, which then enters it anew.
type gatherer struct {
	client *Client

	mu       sync.Mutex
	waiting  []*gathered         // guarded by mu
	current  *gathering          // guarded by mu; the request under way, nil if there is none or it has been overtaken
	channels map[string]struct{} // guarded by mu; those of all requests under way
}

// gathered is one attempt to publish a message.
type gathered struct {
	ctx   context.Context
	item  Item
	alone request     // the message by itself
	done  chan Result // has room for one

	left    bool       // guarded by mu; its caller has given up
	request *gathering // guarded by mu; nil while it waits
}

// gathering is one request.
type gathering struct {
	ctx      context.Context
	cancel   context.CancelFunc
	messages []*gathered
	live     int // guarded by the gatherer's mu; how many callers still wait
}

// size returns about how many bytes m adds to a request, at least as many as it does.
func (m *gathered) size() int {
	const names = 100 // of the members, with punctuation
	it := &m.item
	return names + len(m.alone.body) + 2*(len(it.Channel)+len(it.Topic)+len(it.RunID)+len(it.IdempotencyKey)+len(it.Traceparent))
}

func newGatherer(c *Client) *gatherer {
	return &gatherer{client: c, channels: make(map[string]struct{})}
}

// publish publishes a message, with the retries that its request allows.
func (g *gatherer) publish(ctx context.Context, item Item, alone request) (schemas.Receipt, error) {
	var receipt schemas.Receipt
	err := g.client.retry(ctx, alone.repeat, func() (err error) {
		receipt, err = g.attempt(&gathered{ctx: ctx, item: item, alone: alone, done: make(chan Result, 1)})
		return err
	})
	return receipt, err
}

// attempt makes m wait for its request and returns its result, or the error of its context.
func (g *gatherer) attempt(m *gathered) (schemas.Receipt, error) {
	if err := context.Cause(m.ctx); err != nil {
		return schemas.Receipt{}, &networkError{fmt.Errorf("client: nothing was sent: %w", err)}
	}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	g.start()
	g.mu.Unlock()
	select {
	case result := <-m.done:
		return result.Receipt, result.Err
	case <-m.ctx.Done():
		return g.leave(m)
	}
}

// leave takes m out of what waits, or out of its request.
func (g *gatherer) leave(m *gathered) (schemas.Receipt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case result := <-m.done: // at the same time
		return result.Receipt, result.Err
	default:
	}
	m.left = true
	if m.request == nil {
		return schemas.Receipt{}, &networkError{fmt.Errorf("client: nothing was sent: %w", context.Cause(m.ctx))}
	}
	if m.request.live--; m.request.live == 0 {
		m.request.cancel()
	}
	return schemas.Receipt{}, &networkError{fmt.Errorf("client: there is no answer yet: %w", context.Cause(m.ctx))}
}

// start starts the next request, unless one is under way or nothing can leave. The caller
// holds mu.
func (g *gatherer) start() {
	if g.current != nil {
		return
	}
	messages := g.take()
	if len(messages) == 0 {
		return
	}
	r := &gathering{messages: messages, live: len(messages)}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(messages[0].ctx))
	for _, m := range messages {
		m.request = r
		g.channels[m.item.Channel] = struct{}{}
	}
	g.current = r
	go g.run(r) // until it is answered, given up or too late
}

// take takes as many of the waiting messages as fit into one request, without those whose
// channels are held up. The caller holds mu.
func (g *gatherer) take() (taken []*gathered) {
	heldUp := maps.Clone(g.channels)
	waiting := g.waiting[:0]
	size := 0
	for _, m := range g.waiting {
		if m.left {
			continue
		}
		_, held := heldUp[m.item.Channel]
		if held || len(taken) == maxBatchItems || len(taken) > 0 && size+m.size() > maxBatchBytes {
			heldUp[m.item.Channel] = struct{}{} // nothing overtakes it
			waiting = append(waiting, m)
			continue
		}
		size += m.size()
		taken = append(taken, m)
	}
	clear(g.waiting[len(waiting):])
	g.waiting = waiting
	return taken
}

// run makes one request and lets the next one start.
func (g *gatherer) run(r *gathering) {
	defer r.cancel()
	overtake := time.AfterFunc(holdUp, func() { g.passed(r) })
	defer overtake.Stop()
	g.deliver(r, r.messages)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range r.messages {
		delete(g.channels, m.item.Channel)
	}
	if g.current == r {
		g.current = nil
	}
	g.start()
}

// passed lets messages of other channels overtake r.
func (g *gatherer) passed(r *gathering) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current == r {
		g.current = nil
		g.start()
	}
}

// deliver sends those of the messages whose callers still wait, and gives each its result.
func (g *gatherer) deliver(r *gathering, messages []*gathered) {
	messages = g.staying(messages)
	switch len(messages) {
	case 0:
		return
	case 1:
		messages[0].done <- g.client.publishAlone(r.ctx, messages[0])
		return
	}
	results, err := g.client.publishTogether(r.ctx, messages)
	if refused(err, http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity) {
		half := len(messages) / 2
		g.deliver(r, messages[:half])
		g.deliver(r, messages[half:])
		return
	}
	for i, m := range messages {
		switch {
		case err != nil:
			m.done <- Result{Err: err}
		case refused(results[i].Err, http.StatusBadRequest): // the server describes a fault of an item in another way
			m.done <- g.client.publishAlone(r.ctx, m)
		default:
			m.done <- results[i]
		}
	}
}

// staying returns the messages whose callers have not given up.
func (g *gatherer) staying(messages []*gathered) []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	var staying []*gathered
	for _, m := range messages {
		if !m.left {
			staying = append(staying, m)
		}
	}
	return staying
}

// refused reports whether err is a refusal with one of the statuses.
func refused(err error, statuses ...int) bool {
	var problem *Problem
	return errors.As(err, &problem) && slices.Contains(statuses, problem.Status)
}

// publishAlone makes the request of one message, once.
func (c *Client) publishAlone(ctx context.Context, m *gathered) (result Result) {
	ctx, cancel := context.WithTimeoutCause(ctx, gatherTimeout, errUnanswered)
	defer cancel()
	result.Err = c.callOnce(ctx, m.alone, &result.Receipt)
	return result
}

// publishTogether makes one request with several messages, once.
func (c *Client) publishTogether(ctx context.Context, messages []*gathered) ([]Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, gatherTimeout, errUnanswered)
	defer cancel()
	items := make([][]byte, len(messages))
	for i, m := range messages {
		var err error
		if items[i], err = encode(m.item); err != nil {
			return nil, fmt.Errorf("client: encoding an item: %w", err)
		}
	}
	var answers []json.RawMessage
	r := arrayOf(items)
	r.traced = true
	if err := c.callOnce(ctx, r, &answers); err != nil {
		return nil, err
	}
	if len(answers) != len(items) {
		return nil, fmt.Errorf("client: %d items were answered with %d results", len(items), len(answers))
	}
	results := make([]Result, len(items))
	for i, answer := range answers {
		results[i].Receipt, results[i].Err = receiptOf(answer)
	}
	return results, nil
}

// arrayOf returns the request that publishes encoded items.
func arrayOf(items [][]byte) request {
	return request{
		method: http.MethodPost,
		path:   batchPath,
		header: jsonHeader(),
		body:   append(append([]byte{'['}, bytes.Join(items, []byte{','})...), ']'),
		long:   true,
	}
}
