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
	u := &upload{
		api: a, ctx: context.WithoutCancel(c.Request().Context()), control: controller(c), who: principal(c),
		most: min(maxChunk, max(utf8.UTFMax, (a.MaxMessageBytes-envelopeBytes(&text))/6)),
	}
	defer a.bounded(c, u.control)()
	receipt, err := u.run(text, c.Request().Body)
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
	api     *api
	ctx     context.Context // does not end when the client leaves: its subscribers are still there
	control *http.ResponseController
	who     *auth.Principal
	text    *texts.Writer
	goesOn  bool      // after a cut, if the publisher wants to
	most    int       // bytes of a chunk
	sent    time.Time // when the last chunk left
	bytes   int64     // of the body
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

// piece is the result of one read of the body.
type piece struct {
	text []byte
	err  error
}

// copy publishes the body in chunks: immediately after a pause, otherwise everything that
// has arrived within chunkDelay.
func (u *upload) copy(body io.Reader) error {
	pieces := make(chan piece)
	done := make(chan struct{})
	ended := false
	var reading sync.WaitGroup
	reading.Go(func() { read(body, pieces, done) }) // ends with the body, or when done is closed
	defer func() {
		close(done)
		if !ended {
			_ = u.control.SetReadDeadline(time.Now()) // a client that sends nothing would delay its own answer
		}
		reading.Wait()
	}()

	var text []byte
	var due <-chan time.Time // nil while no text is waiting
	for {
		now := false
		select {
		case p := <-pieces:
			u.bytes += int64(len(p.text))
			text = append(text, p.text...)
			if ended = p.err != nil; ended {
				return u.finish(text, p.err)
			}
			if wait := chunkDelay - time.Since(u.sent); wait <= 0 {
				now = true
			} else if due == nil {
				due = time.After(wait)
			}
		case <-due:
			now, due = true, nil
		}
		var err error
		if text, err = u.send(text, now); err != nil {
			return err
		}
	}
}

// read sends the body piece by piece until it ends. A piece is valid until the next one is
// received.
func read(body io.Reader, pieces chan<- piece, done <-chan struct{}) {
	const size = 4 << 10
	buf, other := make([]byte, size), make([]byte, size)
	for {
		n, err := body.Read(buf)
		buf, other = other, buf
		select {
		case pieces <- piece{other[:n], err}:
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}

// finish publishes the remaining text after the body has ended.
func (u *upload) finish(text []byte, end error) error {
	text, err := u.send(text, true)
	if err == nil && len(text) > 0 && (errors.Is(end, io.EOF) || !u.goesOn) {
		err = u.chunk(text) // an incomplete character. After a cut, whoever goes on sends all of it
	}
	good := u.api.stillGood(u.who)
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

// send publishes the full chunks of text, and also the rest if it is due. It returns what
// remains, such as an incomplete character at the end.
func (u *upload) send(text []byte, due bool) ([]byte, error) {
	for {
		n := whole(text, u.most)
		if n == 0 || len(text) < u.most && !due {
			return text, nil
		}
		if err := u.chunk(text[:n]); err != nil {
			return nil, err
		}
		text = text[n:]
	}
}

// chunk publishes text. Bytes that are not UTF-8 become U+FFFD.
func (u *upload) chunk(text []byte) error {
	if err := u.api.stillGood(u.who); err != nil {
		return err
	}
	if err := u.text.Write(u.ctx, validText(text)); err != nil {
		return err
	}
	u.sent = time.Now()
	return nil
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
