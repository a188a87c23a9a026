package handlers

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicehq/sluice/broker"
)

// plainConnection reports whether the request came over a TCP connection that
// serves it alone and carries it as it is: HTTP/1.x without TLS.
func plainConnection(r *http.Request) bool {
	_, tcp := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return tcp && r.TLS == nil && r.ProtoMajor == 1
}

// takeOver gives the connection and s to a writer loop. The answer's head, which
// net/http would write, goes with them.
func (a *api) takeOver(c echo.Context, s *broker.Stream) error {
	conn, _, err := controller(c).Hijack()
	if err != nil {
		s.Close()
		return fmt.Errorf("handlers: taking a connection over: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	chunked := c.Request().ProtoAtLeast(1, 1)
	head := answerHead(c.Response().Header(), chunked)
	c.Response().Status, c.Response().Committed = http.StatusOK, true
	if err := a.Broker.TakeOver(s, broker.Takeover{Conn: conn, Head: head, Chunked: chunked, Done: a.done}); err != nil {
		s.Close()
		a.finished(s, 0, err)
	}
	return nil
}

// answerHead returns the head of a stream's answer (RFC 9112, sections 4 and 6).
// The connection carries nothing else afterwards.
func answerHead(h http.Header, chunked bool) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // a buffer takes everything
	b.WriteString("Date: ")
	b.WriteString(time.Now().UTC().Format(http.TimeFormat))
	b.WriteString("\r\nConnection: close\r\n")
	if chunked {
		b.WriteString("Transfer-Encoding: chunked\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
