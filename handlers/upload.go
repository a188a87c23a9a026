package handlers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/texts"
	"github.com/sluicehq/sluice/schemas"
)

const (
	// chunkDelay is how long a chunk waits for more text after its first byte.
	chunkDelay = 25 * time.Millisecond
	// maxChunk is the most bytes of text in a chunk. JSON may need six bytes for one.
	maxChunk = 8 << 10
	// maxIDBytes is the length of the longest id: an epoch, a shard and a number.
	maxIDBytes = 13 + len(".64-") + 20
)

// publishBody answers POST and PUT /v1/publish/{channel}/{topic}/stream. The body is text
// that subscribers get while it arrives.
func (a *api) publishBody(c echo.Context) error {
	text, err := a.textOf(c)
	if err != nil {
		return err
	}
	if err := cmp.Or(plainCoding(c), mayStay(c)); err != nil {
		return err
	}
	if key, err := idempotencyKey(c); err != nil || key != "" {
		return cmp.Or(err, errKeyOfMany())
	}
	definition := a.Catalog.For(text.Channel)
	if definition != nil {
		// Chunks are not values of the topic, so its schema does not apply to them.
		if err := definition.Check(c.Request().Context(), text.Topic, nil); errors.Is(err, schemas.ErrUnknownTopic) {
			return err
		}
	}
	text.Limits = engine.LimitsOf(definition)
	r := request(c)
	if r.limited != nil {
		if err := a.admit(r, 1, 0); err != nil {
			return err
		}
		r.limited.pause = func(d time.Duration) error { return a.pauseFor(c.Request().Context(), d) }
	}
	u := &upload{
		request: r,
		api:     a, ctx: context.WithoutCancel(c.Request().Context()), control: controller(c), who: principal(c),
		channel: text.Channel, topic: text.Topic,
		most: min(maxChunk, max(utf8.UTFMax, (a.MaxMessageBytes-envelopeBytes(&text))/6)),
	}
	defer a.bounded(c, u.control)()
	receipt, err := u.run(text, c.Request().Body)
	a.sends(r.trace.Span(), text.Channel, text.Topic, int(receipt.Bytes), schemas.Receipt{ID: receipt.FirstID, Duplicate: receipt.Duplicate})
	r.trace.Span().Chunks(receipt.Chunks)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, receipt)
}

// textOf returns the text that a request names, which the caller may publish.
func (a *api) textOf(c echo.Context) (text texts.Text, err error) {
	text.Sub, text.Traceparent = principal(c).Subject, traceparent(c)
	if text.Channel, text.Topic, err = target(c); err != nil {
		return text, err
	}
	if err := mayPublish(principal(c), text.Channel, text.Topic); err != nil {
		return text, err
	}
	if text.RunID, err = runIDParam(c); err != nil {
		return text, err
	}
	return text, attemptParams(c, &text)
}

// envelopeBytes returns how long the event of a chunk can be without its text.
func envelopeBytes(t *texts.Text) int {
	m := schemas.Message{
		Channel: t.Channel, Topic: t.Topic, Kind: schemas.KindChunk, Data: []byte(`""`), RunID: t.RunID,
		StreamID: t.StreamID, Offset: math.MaxInt64, Sub: t.Sub,
	}
	return m.EventBytes(maxIDBytes)
}

// namedText is textOf for a request that is about a text with a stream id.
func (a *api) namedText(c echo.Context) (texts.Text, error) {
	text, err := a.textOf(c)
	if err == nil && text.Attempt == 0 {
		err = fmt.Errorf("%w: the query must have stream_id", ErrMalformed)
	}
	return text, err
}

// abortText answers DELETE /v1/publish/{channel}/{topic}/stream: the publisher gives the
// text up.
func (a *api) abortText(c echo.Context) error {
	text, err := a.namedText(c)
	if err != nil {
		return err
	}
	text.Limits = engine.LimitsOf(a.Catalog.For(text.Channel))
	known, err := a.Broker.AbortText(c.Request().Context(), text)
	if err != nil {
		return err
	}
	if !known {
		return ErrNotFound
	}
	return unsent(c.NoContent(http.StatusNoContent))
}

// textStatus answers HEAD /v1/publish/{channel}/{topic}/stream with how far a text has
// come.
func (a *api) textStatus(c echo.Context) error {
	text, err := a.namedText(c)
	if err != nil {
		return err
	}
	s, found, err := a.Broker.TextStatus(c.Request().Context(), engine.TextName{Channel: text.Channel, Topic: text.Topic, StreamID: text.StreamID})
	if err != nil {
		return err
	}
	if !found {
		return ErrNotFound
	}
	state := s.State.String()
	if text.Attempt < s.Attempt && c.QueryParam("attempt") != "" {
		state = "superseded"
	}
	h := c.Response().Header()
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set("Stream-Attempt", strconv.FormatInt(s.Attempt, 10))
	h.Set("Stream-Offset", strconv.FormatInt(s.Bytes, 10))
	h.Set("Stream-State", state)
	return unsent(c.NoContent(http.StatusOK))
}

// upload is a body on its way to the subscribers.
type upload struct {
	// Static after construction.
	api     *api
	request *requestInfo
	ctx     context.Context // does not end when the client leaves: its subscribers are still there
	control *http.ResponseController
	channel schemas.Channel
	topic   schemas.Topic
	text    *texts.Writer
	goesOn  bool // after a cut, if the publisher wants to
	most    int  // bytes of a chunk

	mu      sync.Mutex
	who     *auth.Principal // guarded by mu
	waiting []byte          // guarded by mu; text that no chunk has had yet
	due     *time.Timer     // guarded by mu; runs flush; nil before the first text that waits
	set     bool            // guarded by mu; due is going to run
	sent    time.Time       // guarded by mu; when the last chunk left
	bytes   int64           // guarded by mu; of the body
	failed  error           // guarded by mu; of flush
	fault   any             // guarded by mu; what flush has recovered from
}

// run publishes the body. Whatever happens after the start, subscribers get the end.
func (u *upload) run(text texts.Text, body io.Reader) (receipt schemas.StreamReceipt, err error) {
	if text.Attempt == 0 {
		text.StreamID = rand.Text()
	}
	w, first, err := u.api.Broker.OpenText(u.ctx, text)
	if first != nil {
		return *first, nil // the attempt is complete, whatever the body says
	}
	if err != nil {
		return receipt, err
	}
	u.text, u.goesOn = w, text.Attempt > 0
	if err = u.copy(body); err == nil {
		receipt, err = w.Complete(u.ctx)
	}
	if err != nil {
		return receipt, errors.Join(err, w.Leave(u.ctx))
	}
	if text.Attempt == 0 {
		receipt.Bytes = u.bytes
	}
	return receipt, nil
}

// copy publishes the body in chunks: immediately after a pause, otherwise everything that
// has arrived within chunkDelay.
func (u *upload) copy(body io.Reader) error {
	defer u.stop()
	buf := make([]byte, 4<<10)
	for {
		n, err := body.Read(buf)
		if u.request.limited != nil && n > 0 {
			// The client is slowed down: it can send no more than is read.
			if stop := u.api.admit(u.request, 0, n); stop != nil {
				n, err = 0, stop
			}
		}
		if done, err := u.take(buf[:n], err); done {
			return err
		}
	}
}

// take takes what one read of the body has brought. It reports whether that was the last
// one, and why.
func (u *upload) take(text []byte, end error) (done bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fault != nil {
		panic(u.fault) // here, where it ends no more than the request
	}
	if u.failed != nil {
		return true, u.failed
	}
	u.bytes += int64(len(text))
	u.waiting = append(u.waiting, text...)
	if end != nil {
		return true, u.finish(end)
	}
	wait := chunkDelay - time.Since(u.sent)
	if err := u.send(wait <= 0); err != nil {
		return true, err
	}
	if len(u.waiting) > 0 && !u.set {
		u.setTimer(wait)
	}
	return false, nil
}

// setTimer makes flush run after wait. The caller holds u.mu.
func (u *upload) setTimer(wait time.Duration) {
	u.set = true
	if u.due == nil {
		u.due = time.AfterFunc(wait, u.flush) // ends with stop
		return
	}
	u.due.Reset(wait)
}

// flush publishes the text that has waited long enough, while copy waits for more.
func (u *upload) flush() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.set {
		return // the upload is over
	}
	u.set = false
	defer func() {
		if u.fault = recover(); u.fault != nil || u.failed != nil {
			_ = u.control.SetReadDeadline(time.Now()) // ends the read of copy
		}
	}()
	u.failed = u.send(true)
}

// stop keeps flush from doing anything more.
func (u *upload) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.set = false
	if u.due != nil {
		u.due.Stop()
	}
}

// finish publishes the remaining text after the body has ended. The caller holds u.mu.
func (u *upload) finish(end error) error {
	err := u.send(true)
	if err == nil && len(u.waiting) > 0 && (errors.Is(end, io.EOF) || !u.goesOn) {
		err = u.chunk(u.waiting) // an incomplete character. After a cut, whoever goes on sends all of it
	}
	good := u.stillMay()
	switch {
	case err != nil || errors.Is(end, io.EOF):
		return err
	case good != nil:
		return good
	case u.api.Stopping.Err() != nil:
		return broker.ErrDraining
	}
	return errBrokeOff()
}

// send publishes the full chunks of what waits, and also the rest if it is due, except an
// incomplete character at its end. The caller holds u.mu.
func (u *upload) send(due bool) error {
	rest := u.waiting
	for {
		n := whole(rest, u.most)
		if n == 0 || len(rest) < u.most && !due {
			u.waiting = append(u.waiting[:0], rest...)
			return nil
		}
		if err := u.chunk(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
}

// chunk publishes text. Bytes that are not UTF-8 become U+FFFD. The caller holds u.mu.
func (u *upload) chunk(text []byte) error {
	if err := u.stillMay(); err != nil {
		return err
	}
	if err := u.text.Write(u.ctx, validText(text)); err != nil {
		return err
	}
	u.sent = time.Now()
	return nil
}

// stillMay returns the error that keeps the publisher from going on. The caller holds u.mu.
func (u *upload) stillMay() error {
	who, err := u.api.stillGood(u.who)
	if who == u.who || err != nil {
		return err
	}
	u.who = who
	return mayPublish(who, u.channel, u.topic)
}

// validText returns text with U+FFFD in place of every byte that is not UTF-8.
func validText(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	return string([]rune(string(text)))
}

// whole returns how many bytes of text, at most most, can be sent without splitting a
// character.
func whole(text []byte, most int) int {
	n := min(len(text), most)
	for back := 1; back <= min(n, utf8.UTFMax-1); back++ {
		start := n - back
		if !utf8.RuneStart(text[start]) {
			continue
		}
		if !utf8.FullRune(text[start:n]) {
			return start
		}
		break
	}
	return n
}
