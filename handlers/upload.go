package handlers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

const (
	// chunkDelay is how long a chunk waits for more after its first byte.
	chunkDelay = 25 * time.Millisecond
	// maxChunk is how many bytes of text a chunk has at most. JSON may make six
	// of one.
	maxChunk = 8 << 10
	// frameRoom is more than an event needs beside its data and its names.
	frameRoom = 256
)

// publishBody answers POST and PUT /v1/publish/{channel}/{topic}/stream: the
// body is text that subscribers see while it arrives.
func (a *api) publishBody(c echo.Context) error {
	channel, topic, err := target(c)
	if err != nil {
		return err
	}
	if err := mayPublish(principal(c), channel, topic); err != nil {
		return err
	}
	if err := plainCoding(c); err != nil {
		return err
	}
	if key, err := idempotencyKey(c); err != nil || key != "" {
		return cmp.Or(err, errKeyOfMany())
	}
	runID, err := schemas.ParseRunID(c.QueryParam("run_id"))
	if err != nil {
		return err
	}
	definition := a.Catalog.For(channel)
	if definition != nil {
		// Chunks are not values of the topic, so its schema does not hold for them.
		if err := definition.Check(topic, nil); errors.Is(err, schemas.ErrUnknownTopic) {
			return err
		}
	}
	u := &upload{api: a, ctx: context.WithoutCancel(c.Request().Context()), control: controller(c), publication: broker.Publication{
		Channel: channel, Topic: topic, RunID: runID, StreamID: rand.Text(), Limits: broker.LimitsOf(definition),
	}}
	names := len(channel) + 2*len(topic) + 2*len(runID) // twice: as the event's name, and escaped
	u.most = min(maxChunk, max(utf8.UTFMax, (a.MaxMessageBytes-frameRoom-names)/6))
	u.who = principal(c)
	defer a.bounded(c, u.control)()
	if err := u.run(c.Request().Body); err != nil {
		return err
	}
	return answer(c, http.StatusOK, u.receipt)
}

// upload is a body on its way to the subscribers.
type upload struct {
	api         *api
	ctx         context.Context // does not end with the client: its subscribers are still there
	control     *http.ResponseController
	who         *auth.Principal
	publication broker.Publication
	most        int       // bytes of a chunk
	sent        time.Time // when the last chunk left
	receipt     uploadReceipt
}

// uploadReceipt is the answer to a body stream.
type uploadReceipt struct {
	StreamID string     `json:"stream_id"`
	Chunks   int        `json:"chunks"`
	Bytes    int64      `json:"bytes"` // that arrived
	FirstID  schemas.ID `json:"first_id"`
	LastID   schemas.ID `json:"last_id"`
}

// The data of the message that ends a stream.
const (
	endComplete = `{"reason":"complete"}`
	endAborted  = `{"reason":"aborted"}`
)

// run publishes the body. Whatever happens after the start, the end is told.
func (u *upload) run(body io.Reader) error {
	first, err := u.put(schemas.KindStreamStart, []byte("{}"))
	if err != nil {
		return err
	}
	u.receipt.StreamID, u.receipt.FirstID = u.publication.StreamID, first.ID
	reason := endComplete
	if err = u.copy(body); err != nil {
		reason = endAborted
	}
	last, endErr := u.put(schemas.KindStreamEnd, []byte(reason))
	u.receipt.LastID = last.ID
	return errors.Join(err, endErr)
}

func (u *upload) put(kind schemas.Kind, data []byte) (schemas.Receipt, error) {
	p := u.publication
	p.Kind, p.Data = kind, data
	return u.api.Broker.Publish(u.ctx, p)
}

// piece is what one read of the body gave.
type piece struct {
	text []byte
	err  error
}

// copy publishes the body in chunks: at once when it was quiet, otherwise what
// came within chunkDelay together.
func (u *upload) copy(body io.Reader) error {
	pieces := make(chan piece)
	done := make(chan struct{})
	ended := false
	var reading sync.WaitGroup
	reading.Go(func() { read(body, pieces, done) }) // ends with the body, or when done is closed
	defer func() {
		close(done)
		if !ended {
			_ = u.control.SetReadDeadline(time.Now()) // a client that sends nothing would hold up its answer
		}
		reading.Wait()
	}()

	var text []byte
	var due <-chan time.Time // nil: nothing waits
	for {
		now := false
		select {
		case p := <-pieces:
			u.receipt.Bytes += int64(len(p.text))
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

// read passes the body on, piece by piece, until it ends. A piece is good until
// the next one is taken.
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

// finish publishes what is left when the body has ended.
func (u *upload) finish(text []byte, end error) error {
	text, err := u.send(text, true)
	if err == nil && len(text) > 0 {
		err = u.chunk(text) // a character that was never completed
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

// send publishes the full chunks of text, the rest as well if it is due, and
// returns what stays: at least an incomplete character at the end.
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

// chunk publishes text as one JSON string; bytes that are not UTF-8 become
// U+FFFD.
func (u *upload) chunk(text []byte) error {
	if err := u.api.stillGood(u.who); err != nil {
		return err
	}
	data := u.api.buffers.get()
	defer u.api.buffers.put(data)
	if err := quote(data, string(text)); err != nil {
		return err
	}
	if _, err := u.put(schemas.KindChunk, data.Bytes()); err != nil {
		return err
	}
	u.receipt.Chunks++
	u.sent = time.Now()
	return nil
}

// whole returns how many of the first most bytes of text can be sent without
// splitting a character.
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
