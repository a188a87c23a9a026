package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// giveUpTimeout is how long an error waits for the server to end a text.
const giveUpTimeout = 2 * time.Second

// StreamReceipt is the answer to [Client.PublishStream].
type StreamReceipt = schemas.StreamReceipt

// PublishStream sends text to the subscribers while it reads it: a log, or the output of a
// language model, of any length. Bytes that are not UTF-8 become U+FFFD. It returns when
// text has ended and the server has received all of it. [Texts] assembles the pieces again.
//
// After a lost connection it asks the server how much has arrived, and goes on there, see
// [WithRetries]. For that it keeps the last [MaxTextBytes] of the text, and reads no further
// ahead of the server. If the server has given up or lost the text in the meantime,
// subscribers see it begin again, unless its beginning is no longer kept: [ErrTextLost].
//
// If text fails or ctx ends, subscribers see the text as aborted. If the client is lost, they
// do after the time that the server leaves for going on, 30 s by default. A Read that has
// begun is not interrupted.
//
// The options are [RunID], [StreamID] and [Attempt]. A text that is complete under this id
// and attempt is not published again: the receipt is the first one, with Duplicate set. A
// refusal is a [*Problem]; [ErrSuperseded] and [ErrConflict] say that somebody else has the
// text. An [IdempotencyKey] is [ErrNotDurable].
func (c *Client) PublishStream(ctx context.Context, channel, topic string, text io.Reader, opts ...PublishOption) (StreamReceipt, error) {
	u, err := c.upload(channel, topic, opts)
	if err != nil {
		return StreamReceipt{}, err
	}
	return u.run(ctx, text)
}

// upload is a text on its way to the server, over one connection after the other.
//
// The caller's goroutine sends what is held, and after a failure asks the server where to go
// on. Another one reads the text (fill), so that a silent text delays nobody who has to notice
// that the connection or the context is gone. Each request has one that watches it (watch).
type upload struct {
	// Static after construction.
	client  *Client
	request request // without what differs between connections
	text    *heldText

	// Owned by run.
	offset  int64 // at which the next connection begins
	lost    bool  // something was sent, so the offset may be wrong: the server must be asked
	reached int64 // how far the server has been at most
	renewed bool  // the last answer was 401, and there may be another credential
	tries   int   // failures in a row, without progress in between
	cut     int   // failures after which the server may yet begin a request
	waits   backoff
}

// upload checks the options and prepares an upload. It makes no request.
func (c *Client) upload(channel, topic string, opts []PublishOption) (*upload, error) {
	r := request{
		method: http.MethodPost,
		path:   streamPath,
		query:  url.Values{"channel": {channel}, "topic": {topic}},
		header: http.Header{},
	}
	for _, opt := range opts {
		opt(&r)
	}
	if r.header.Get(keyHeader) != "" {
		return nil, ErrNotDurable
	}
	// Without retries nobody would go on, and without an id the server does not wait for it.
	if !r.query.Has(streamIDParam) && c.retries > 0 {
		r.query.Set(streamIDParam, rand.Text())
	}
	attempt := int64(1)
	if n, err := strconv.ParseInt(r.query.Get(attemptParam), 10, 64); err == nil {
		attempt = n
	}
	return &upload{client: c, request: r, text: newHeldText(attempt, c.retries > 0)}, nil
}

// run sends the text.
func (u *upload) run(ctx context.Context, text io.Reader) (StreamReceipt, error) {
	filling, cancel := context.WithCancel(ctx)
	defer cancel()
	go u.fill(filling, text) // ends with text; or with ctx, after the Read that it may be in
	receipt, err := u.send(ctx)
	if err == nil {
		return receipt, nil
	}
	fault := u.text.failed()
	if fault != nil {
		err = fmt.Errorf("client: reading the text: %w", fault)
	}
	if fault != nil || ctx.Err() != nil {
		u.giveUp(ctx)
	}
	return StreamReceipt{}, err
}

// send sends what is held, over one connection after the other. The offset moves forward only:
// each connection begins where the server is, so readers get every piece once.
func (u *upload) send(ctx context.Context) (StreamReceipt, error) {
	for {
		receipt, err := u.connect(ctx)
		switch {
		case err == nil:
			return receipt, nil
		case ctx.Err() != nil || u.text.failed() != nil || u.tries >= u.client.retries || !u.survives(err):
			return StreamReceipt{}, err
		}
		u.tries++
		if err := pause(ctx, u.waits.next(hintOf(err)), err); err != nil {
			return StreamReceipt{}, err
		}
	}
}

// giveUp ends the text as aborted, so that readers need not wait for more of it. If that
// fails, the server does it after a while.
func (u *upload) giveUp(ctx context.Context) {
	if !u.lost || !u.request.query.Has(streamIDParam) {
		return // nothing was sent, or the server does not wait
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpTimeout)
	defer cancel()
	query := textQuery(u.request.query)
	query.Set(attemptParam, strconv.FormatInt(u.text.currentAttempt(), 10))
	if resp, err := u.client.send(ctx, request{method: http.MethodDelete, path: streamPath, query: query}); err == nil {
		resp.Body.Close()
	}
}

// connect sends as much as possible over one connection.
func (u *upload) connect(ctx context.Context) (StreamReceipt, error) {
	if u.lost {
		if err := u.find(ctx); err != nil {
			return StreamReceipt{}, err
		}
	}
	u.lost = true
	return u.post(ctx)
}

// find asks the server where to go on.
func (u *upload) find(ctx context.Context) error {
	status, err := u.client.textStatus(ctx, u.request.query)
	if err != nil {
		return err
	}
	if u.offset, err = u.text.resume(status); err != nil {
		return err
	}
	if status.offset > u.reached {
		u.reached = status.offset
		u.tries, u.renewed = 0, false
		u.waits.reset()
	}
	return nil
}

// survives reports whether the text can go on after a failure.
func (u *upload) survives(err error) bool {
	var (
		problem *Problem
		network *networkError
	)
	switch {
	case errors.As(err, &network):
		u.cut++
		return true
	case !errors.As(err, &problem):
		return false
	case problem.taken() && u.cut > 0 && u.text.holds(u.offset):
		// A request that was cut may have come so late that it has taken the text from its
		// successor. The same offset once more: if it was somebody else with another text, the
		// server sees that.
		u.cut--
		u.lost = false
		return true
	case problem.Status == http.StatusUnauthorized && u.client.renewable && !u.renewed:
		u.renewed = true
		return true
	}
	return problem.transient() || problem.continuable()
}

// post sends the text from the offset on, in one request. It begins only when there is
// something to send: net/http sends the head of a request together with the first bytes of
// its body, and a connection that waits for that can be closed as idle.
func (u *upload) post(ctx context.Context) (StreamReceipt, error) {
	if err := u.text.await(ctx, u.offset); err != nil {
		return StreamReceipt{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // lets go of the text, whatever net/http still does with the body
	go u.watch(ctx, cancel)
	r := u.requestFor(u.text.currentAttempt(), u.offset)
	conn := new(watchedConn)
	ctx = conn.trace(ctx)
	r.reopen = func() (io.ReadCloser, error) { return newTextBody(ctx, u.text, u.offset, conn), nil }
	r.stream, _ = r.reopen()
	var receipt StreamReceipt
	err := u.client.callOnce(ctx, r, &receipt)
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		err = context.Cause(ctx)
	}
	return receipt, err
}

// repeat asks for the receipt of an attempt that is complete, by publishing it again from its
// end on. If the server has forgotten it by now, it refuses that.
func (u *upload) repeat(ctx context.Context, complete textStatus) (StreamReceipt, error) {
	r := u.requestFor(complete.attempt, complete.offset)
	r.repeat = ifTransient
	var receipt StreamReceipt
	err := u.client.call(ctx, r, &receipt)
	return receipt, err
}

// requestFor returns the request that publishes an attempt from an offset on, without a body.
func (u *upload) requestFor(attempt, offset int64) request {
	r := u.request
	r.query = maps.Clone(r.query)
	if attempt != 1 { // the default
		r.query.Set(attemptParam, strconv.FormatInt(attempt, 10))
	}
	if offset > 0 {
		r.query.Set(offsetParam, strconv.FormatInt(offset, 10))
	}
	return r
}

// stallCheck is the time between two looks whether the server gets anything.
const stallCheck = 15 * time.Second

var errStalled = errors.New("client: the connection is dead: the server gets nothing of the text")

// watch ends a request if the server gets nothing of the text although there is some. Then its
// connection is dead, and nobody has closed it: TCP would notice that after a quarter of an
// hour. It ends with ctx.
func (u *upload) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	last := textStatus{attempt: -1}
	for u.text.keep {
		sent := u.text.unconfirmed()
		if !sleep(ctx, stallCheck) {
			return
		}
		if sent == 0 {
			continue
		}
		now, err := u.client.textStatus(ctx, u.request.query)
		if err != nil {
			continue
		}
		if now == last && u.text.stalled(now, sent) {
			cancel(&networkError{errStalled})
			return
		}
		u.text.confirm(now)
		last = now
	}
}
