package handlers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
)

// maxBatch is the most messages in one array. Larger batches must be sent as NDJSON.
const maxBatch = 1000

// publishMany answers POST /v1/publish: one message, an array of them, or a
// stream of lines.
func (a *api) publishMany(c echo.Context) error {
	if len(principal(c).Publish) == 0 {
		return fmt.Errorf("%w: publishing", ErrForbidden) // before anything is read
	}
	media, err := mediaType(c)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		if key != "" {
			return errKeyOfMany()
		}
		return a.publishLines(c)
	case "", "application/json":
	default:
		return unsupported(media, "application/json or application/x-ndjson")
	}
	body := a.buffers.get()
	defer a.buffers.put(body)
	if err := a.readBody(c, body, 64*a.bodyLimit()); err != nil {
		return err
	}
	if text := bytes.TrimSpace(body.Bytes()); len(text) > 0 && text[0] == '[' {
		if key != "" {
			return errKeyOfMany()
		}
		return a.publishArray(c, text)
	}
	receipt, err := a.publishItem(c, body.Bytes(), key)
	if err != nil {
		return err
	}
	return writeReceipt(c, http.StatusCreated, receipt)
}

// errKeyOfMany refuses a key in the header of a request with several messages.
func errKeyOfMany() error {
	return fmt.Errorf("%w: Idempotency-Key is for one message; here each has its own idempotency_key", ErrMalformed)
}

// publishArray publishes the messages of an array. If one fails, the answer has a problem
// instead of its receipt, and the others are still published. A malformed array is refused
// as a whole.
func (a *api) publishArray(c echo.Context, body []byte) error {
	items, err := splitArray(body)
	if err != nil {
		return err
	}
	request(c).trace.Each(len(items))
	answer := []byte{'['}
	for i, o := range a.publishItems(c, items) {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = a.appendOutcome(c, answer, o)
	}
	return respond(c, http.StatusOK, echo.MIMEApplicationJSON, append(answer, "]\n"...))
}

// splitArray returns the items of a JSON array. It stops at the first item beyond
// maxBatch.
func splitArray(body []byte) ([]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil { // the bracket
		return nil, jsonFault(err)
	}
	var items []json.RawMessage
	for dec.More() {
		if len(items) == maxBatch {
			return nil, fmt.Errorf("%w: more than %d messages in one array", ErrTooLarge, maxBatch)
		}
		var item json.RawMessage
		if err := dec.Decode(&item); err != nil {
			return nil, jsonFault(err)
		}
		items = append(items, item)
	}
	if _, err := dec.Token(); err != nil { // the other bracket
		return nil, jsonFault(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is more after the array", ErrMalformed)
	}
	return items, nil
}

// appendOutcome appends the receipt of an item or its problem to b.
func (a *api) appendOutcome(c echo.Context, b []byte, o itemResult) []byte {
	if o.err != nil {
		return a.appendProblem(c, b, o.err)
	}
	return o.receipt.AppendJSON(b)
}

func (a *api) appendProblem(c echo.Context, b []byte, err error) []byte {
	k := kindOf(err)
	a.metrics.problem(k, err)
	p := problemOf(err, requestID(c))
	p.RetryAfter = retryAfter(err)
	return append(b, encodeProblem(p)...)
}

// publishLines publishes each line as it arrives and answers it immediately, with a
// receipt or a problem. The body may be endless; the length of a line is limited.
//
// If a client sends without reading, its connection is closed once its socket has
// accepted no answer for the write time-out. When the server stops, the last answer is a
// problem.
func (a *api) publishLines(c echo.Context) error {
	if err := mayStay(c); err != nil {
		return err
	}
	w, r := a.writer(c), request(c)
	r.trace.Lines()
	if err := w.control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) { // HTTP/2 is full duplex by itself
		return err
	}
	readsOn(c)
	defer a.bounded(c, w.control)()
	beginLines(c, w)

	in := bufio.NewReaderSize(c.Request().Body, 64<<10)
	out := make([]byte, 0, 4<<10)
	if r.limited != nil { // lines are slowed down, once the client has the answers to those before
		r.limited.pause = func(d time.Duration) error {
			if err := w.send(out); err != nil {
				return err
			}
			out = out[:0]
			return a.pauseFor(c.Request().Context(), d)
		}
	}
	for {
		line, err := readLine(in, int(a.bodyLimit()))
		switch {
		case errors.Is(err, ErrTooLarge):
			out = a.appendLine(c, out, itemResult{err: err})
		case err != nil && len(line) == 0:
			return w.send(a.appendEnd(c, out, err))
		case len(bytes.TrimSpace(line)) > 0:
			o, last := a.publishLine(c, line) // which may send out, see above
			if out = a.appendLine(c, out, o); last {
				return w.send(out)
			}
		}
		if len(out) > 32<<10 || !hasLine(in) {
			if err := w.send(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
}

// beginLines begins an answer of lines while the body still comes.
func beginLines(c echo.Context, w *streamWriter) {
	if r := c.Request(); r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		c.Response().Writer.WriteHeader(http.StatusContinue) // the first read would send it too late, after the answer has begun
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/x-ndjson")
	c.Response().Header().Set("X-Accel-Buffering", "no")
	c.Response().WriteHeader(http.StatusOK)
	w.head()
}

// publishLine publishes a line if its sender may still do that. It reports whether the line is
// the last one.
func (a *api) publishLine(c echo.Context, line []byte) (o itemResult, last bool) {
	r := request(c)
	if r.who, o.err = a.stillGood(r.who); o.err != nil {
		return o, true
	}
	o.receipt, o.err = a.publishItem(c, line, "")
	// The credential may have ended, or the server begun to stop, while the line was slowed down.
	return o, o.err != nil && (errors.Is(o.err, auth.ErrUnauthorized) || a.Stopping.Err() != nil)
}

// appendLine appends the answer to a line.
func (a *api) appendLine(c echo.Context, b []byte, o itemResult) []byte {
	return append(a.appendOutcome(c, b, o), '\n')
}

// appendEnd appends why there are no more lines, if that is not for the client to know already.
// err is that of reading: the end of the body, or of the connection.
func (a *api) appendEnd(c echo.Context, b []byte, err error) []byte {
	r := request(c)
	_, over := a.stillGood(r.who)
	if over == nil && a.Stopping.Err() != nil {
		over = broker.ErrDraining
	}
	switch {
	case over != nil:
		return a.appendLine(c, b, itemResult{err: over})
	case !errors.Is(err, io.EOF):
		r.failed(malformed, errBrokeOff())
	}
	return b
}

// bounded makes reads of the body fail when the server is about to stop or the token
// expires: an endless body would delay the stop and outlive the token. The returned
// function undoes the former.
func (a *api) bounded(c echo.Context, control *http.ResponseController) (undo func() bool) {
	if end := principal(c).ExpiresAt; !end.IsZero() {
		_ = control.SetReadDeadline(end)
	}
	return a.untilStop(control)
}

// untilStop makes reads of the body fail when the server is about to stop.
func (a *api) untilStop(control *http.ResponseController) (undo func() bool) {
	return context.AfterFunc(a.Stopping, func() { _ = control.SetReadDeadline(time.Now()) })
}

// stillGood returns what the sender of a long body may do by now: the file of API keys may have
// changed. It returns who and [auth.ErrUnauthorized] if the token has expired or was revoked
// in the meantime, or the key was removed.
func (a *api) stillGood(who *auth.Principal) (*auth.Principal, error) {
	switch {
	case !who.ExpiresAt.IsZero() && !time.Now().Before(who.ExpiresAt):
		return who, fmt.Errorf("%w: the token has expired", auth.ErrUnauthorized)
	case who.TokenID != "" && a.Auth.Revoked(who.TokenID):
		return who, fmt.Errorf("%w: the token was revoked", auth.ErrUnauthorized)
	}
	now, err := a.Auth.Current(who)
	if err != nil {
		return who, err
	}
	return now, nil
}

// hasLine reports whether a complete line is already buffered, so that its answer can be
// sent together with those before it.
func hasLine(in *bufio.Reader) bool {
	waiting, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(waiting, '\n') >= 0
}

// readLine returns the next line without its line feed, which the last line may lack. It
// skips a line of more than limit bytes and returns [ErrTooLarge].
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == nil && len(line) <= limit+1 {
		return line[:len(line)-1], nil
	}
	long := append([]byte(nil), line...)
	size := len(long)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		if size += len(line); size <= limit+1 {
			long = append(long, line...)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err // the connection broke in the middle of a line
	}
	if err == nil {
		size-- // the line feed
	}
	if size > limit {
		return nil, fmt.Errorf("%w: a line of %d bytes, at most %d are allowed", ErrTooLarge, size, limit)
	}
	return long[:size], err
}
