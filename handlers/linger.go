package handlers

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// What is still read of the body of a refused request.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// unbounded says whether the body may go on for as long as its sender likes.
func unbounded(r *http.Request) bool { return r.ProtoMajor == 1 && r.ContentLength < 0 }

// linger sends the answer to a request with an unbounded body now, and then
// reads on for a little while. HTTP/1 would do it the other way round: read the
// body that nobody needs, and answer who streams it when they are done. Without
// the reading, a connection that is closed on unread bytes is reset, and the
// answer may be lost with it.
func linger(c echo.Context) {
	control := http.NewResponseController(c.Response())
	_ = control.Flush()
	if err := control.SetReadDeadline(time.Now().Add(lingerTime)); err == nil {
		_, _ = io.CopyN(io.Discard, c.Request().Body, lingerBytes)
	}
}
