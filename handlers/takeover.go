package handlers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
)

// plainConnection reports whether the request has an unencrypted TCP connection to itself:
// HTTP/1.x without TLS.
func plainConnection(r *http.Request) bool {
	_, tcp := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return tcp && r.TLS == nil && r.ProtoMajor == 1
}

// takeOver hands the connection and s to a writer loop, together with the head of the
// answer, which net/http would otherwise write.
func (a *api) takeOver(c echo.Context, s *broker.Stream) error {
	conn, _, err := controller(c).Hijack()
	if err != nil {
		s.Close()
		return fmt.Errorf("handlers: taking a connection over: %w", err)
	}
	request(c).taken = true
	_ = conn.SetDeadline(time.Time{})
	chunked := c.Request().ProtoAtLeast(1, 1)
	head := answerHead(c.Response().Header(), chunked)
	c.Response().Status, c.Response().Committed = http.StatusOK, true
	if err := a.Broker.TakeOver(s, broker.Takeover{Conn: conn, Head: head, Chunked: chunked, Done: a.done}); err != nil {
		defer conn.Close()
		s.Close()
		return a.turnAwayOn(c, conn, s.Format(), err)
	}
	return nil
}

// turnAwayOn is turnAway on a connection that net/http no longer owns: no loop could take
// it over, usually because descriptors had run out.
func (a *api) turnAwayOn(c echo.Context, conn net.Conn, format ring.Format, why error) error {
	ending := broker.TooManyStreams()
	if e, ok := notNow(why); ok {
		ending = e
	}
	a.metrics.refused(ending)
	a.Log.LogAttrs(context.Background(), slog.LevelWarn, "stream not taken over",
		slog.String(keyRequestID, requestID(c)), slog.Any(keyError, why), slog.Int(keyCode, ending.Code), slog.String(keyReason, ending.Reason))
	r := http.Response{
		ProtoMajor: 1, ProtoMinor: 1, StatusCode: http.StatusOK, Header: c.Response().Header().Clone(), Close: true,
	}
	body := ending.Refusal(lastEventID(c))
	if format.Lines() {
		err := fmt.Errorf("%w: the server has no room for it now", broker.ErrTooManyStreams)
		k := kindOf(err).spec()
		r.StatusCode, body = k.status, encodeProblem(problemOf(err, requestID(c)))
		r.Header.Set(echo.HeaderContentType, problemType)
		r.Header.Set(echo.HeaderCacheControl, "no-store")
		r.Header.Set("Retry-After", strconv.Itoa(k.retryAfter))
		c.Response().Status = k.status
	}
	r.ContentLength, r.Body = int64(len(body)), io.NopCloser(bytes.NewReader(body))
	_ = conn.SetWriteDeadline(time.Now().Add(a.WriteTimeout))
	_ = r.Write(conn) // a client that does not get it reconnects anyway
	return nil
}

// answerHead returns the head of the answer with a stream (RFC 9112, sections 4 and 6).
// The connection carries nothing after this answer.
func answerHead(h http.Header, chunked bool) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // writing to a buffer cannot fail
	b.WriteString("Date: ")
	b.WriteString(time.Now().UTC().Format(http.TimeFormat))
	b.WriteString("\r\nConnection: close\r\n")
	if chunked {
		b.WriteString("Transfer-Encoding: chunked\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
