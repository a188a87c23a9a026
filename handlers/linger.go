package handlers

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/labstack/echo/v4"
)

// Limits on waiting for an HTTP/1 body that no handler has read.
const (
	// drainTime is how long the answer waits for a body that is on its way. If the body
	// arrives in time, the connection can be reused.
	drainTime = 100 * time.Millisecond
	// drainBytes is the most that is read for this.
	drainBytes = 256 << 10
	// lingerTime is how long the connection stays open after the answer. Closing it with
	// unread bytes would reset it, and the answer might be lost.
	lingerTime = 5 * time.Second
	// answerTime is how long an answer has to arrive when no more of the body can be
	// read.
	answerTime = 500 * time.Millisecond
)

// requestBody is the body of an HTTP/1 request. It is owned by the goroutine of the
// handler, or by the one that reads for it.
type requestBody struct {
	io.ReadCloser

	ended bool // all of it was read
	live  bool // it is read while the answer is written
}

// present reports whether the request has a body.
func (b *requestBody) present() bool { return b.ReadCloser != nil }

// Read implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

// linger answers without waiting for bodies that nobody reads. By default, net/http reads
// the rest of an HTTP/1 body before it sends the answer, however long that takes: whoever
// announces a body and never sends it could hold a connection for ever, without any
// credential. (HTTP/2 resets the stream.)
func (a *api) linger(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.ProtoMajor != 1 || r.ContentLength == 0 {
			return next(c)
		}
		b := &request(c).body
		b.ReadCloser, r.Body = r.Body, b
		defer b.letGo(c)
		return next(c)
	}
}

// letGo limits how long net/http waits for the rest of the body. It also runs when the
// connection is aborted, because net/http reads then, too.
func (b *requestBody) letGo(c echo.Context) {
	if b.ended || request(c).taken {
		return
	}
	if conn := connection(c.Request()); conn != nil {
		conn.Dispensable()
	}
	control, end := controller(c), time.Now().Add(lingerTime)
	_ = control.SetReadDeadline(end)
	whole := c.Response().Header().Get(echo.HeaderContentLength) != ""
	if whole && !b.live && !awaited(c) && control.Flush() == nil {
		// Some clients send a large body completely before they read the answer.
		// net/http would read less of it.
		_, err := io.Copy(io.Discard, b)
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end) {
			<-time.After(answerTime) // once a body was late, no more of it can be read
		}
	}
}

// awaited reports whether the client waits for permission to send its body.
func awaited(c echo.Context) bool { return c.Request().Header.Get("Expect") != "" }

// beforeAnswer closes the connection after the answer, unless the next request can follow
// the body. None may follow a body with Transfer-Encoding: there could have been a
// Content-Length, too, which net/http does not reveal (RFC 9112, section 6.1).
func (b *requestBody) beforeAnswer(c echo.Context) {
	if !b.ended && !b.live {
		b.drain(c)
	}
	if !b.ended {
		_ = controller(c).EnableFullDuplex()
	}
	if r := c.Request(); !b.ended || r.ContentLength < 0 || !r.ProtoAtLeast(1, 1) {
		closeAfter(c)
	}
}

// drain reads what arrives immediately. If the client waits for permission to send the
// body, it gets none.
func (b *requestBody) drain(c echo.Context) {
	r, control := c.Request(), controller(c)
	if awaited(c) || r.ContentLength > drainBytes || c.Response().Header().Get(echo.HeaderConnection) != "" {
		return
	}
	if control.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, b, drainBytes)
	if b.ended {
		_ = control.SetReadDeadline(time.Time{})
	}
}

// readsOn notes that the handler reads the body while it answers, or does not need the
// rest.
func readsOn(c echo.Context) {
	request(c).body.live = true
}
